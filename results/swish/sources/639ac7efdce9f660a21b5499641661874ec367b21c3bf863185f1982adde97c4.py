from fluidrelu_cli.networks.activations import ParametricActivation


class Swish(ParametricActivation):
    def function(v, a):  # one learned a per kernel, which starts at 0
        return v * ((1 + a) * v).sigmoid()
