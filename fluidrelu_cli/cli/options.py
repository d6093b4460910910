"""The options that commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fluidrelu_cli.protocol import Protocol


def _protocol_option(field: str, text: str) -> Any:
    """An option that sets a field of the protocol; left out, an existing study's value holds."""
    return typer.Option(help=f"{text} (left out: the study's, or {getattr(Protocol, field)}).", show_default=False)


DatasetOption = Annotated[
    str | None, _protocol_option("dataset", "Data set: a name of `fluidrelu data list`, or the path of an .npz file")
]
ModelOption = Annotated[str | None, _protocol_option("model", "Network: a name of `fluidrelu models`, or module:Class")]
EpochsOption = Annotated[int | None, _protocol_option("epochs", "Passes over the training images")]
BatchSizeOption = Annotated[int | None, _protocol_option("batch_size", "Images a step")]
LrOption = Annotated[float | None, _protocol_option("lr", "Learning rate")]
MomentumOption = Annotated[float | None, _protocol_option("momentum", "Momentum")]
BetaOption = Annotated[float | None, _protocol_option("beta", "What the gradient of every a is multiplied by")]
TrainImagesOption = Annotated[
    int | None, typer.Option(help="Use only the first so many training images, for a quick look.", show_default=False)
]
TestImagesOption = Annotated[
    int | None, typer.Option(help="Use only the first so many test images.", show_default=False)
]
ScheduleOption = Annotated[
    str | None, _protocol_option("schedule", "How the learning rate goes: constant, cosine, or step")
]
WeightDecayOption = Annotated[
    float | None, _protocol_option("weight_decay", "L2 penalty of the weights, never of an activation's parameters")
]
StandardiseOption = Annotated[
    str | None, _protocol_option("standardise", "Standardise each channel of colour images, always, or never")
]
AugmentOption = Annotated[str | None, _protocol_option("augment", "Augment training images: none, or flip-crop")]
ValidationImagesOption = Annotated[
    int | None,
    typer.Option(
        help="Hold out so many training images and test on them, not on the test images: to choose settings by.",
        show_default=False,
    ),
]
PrecisionOption = Annotated[str | None, _protocol_option("precision", "fp32, or bf16 by torch.autocast")]
DeviceOption = Annotated[
    str, typer.Option(help="Where to train: auto (cuda if it is there, else cpu), cpu, cuda or mps.")
]
DataDirOption = Annotated[
    Path | None, typer.Option(help="Where data sets are kept (left out: the user's cache).", show_default=False)
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Never download: fail if the data is not here.")]
ResultsOption = Annotated[Path, typer.Option(help="The folder of all studies.")]
StudyOption = Annotated[str, typer.Option(help="The study: a folder of results with one protocol.")]
BaselineOption = Annotated[str, typer.Option(help="The activation that others are compared with.")]
WorkersOption = Annotated[
    int | None, typer.Option(help="Worker processes (left out: one a core, or one for a GPU).", show_default=False)
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
