"""fluidrelu: is this activation function really better, or were three seeds lucky?"""

__version__ = "0.1.0"
