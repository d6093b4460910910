"""`python -m fluidrelu_cli` is `fluidrelu`."""

from fluidrelu_cli.cli.app import app

# The guard matters: a spawned worker process imports this module again.
if __name__ == "__main__":
    app(prog_name="fluidrelu")
