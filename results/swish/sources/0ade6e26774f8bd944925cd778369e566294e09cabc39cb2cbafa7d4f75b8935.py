from fluidrelu_cli import ParametricActivation


class Swish(ParametricActivation):
    def function(v, a):  # one learned a per kernel, which starts at 0
        return v * ((1 + a) * v).sigmoid()
