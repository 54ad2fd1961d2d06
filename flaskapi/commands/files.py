"""`compile`, `strip-optimizer` and `card`: commands on a model file."""

import argparse
import os
from pathlib import Path

from flaskapi.commands import TRAIN_EXTRA
from flaskapi.errors import FlaskapiError, ModelFileError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands on model files."""
    compiling = commands.add_parser(
        "compile",
        help="build the compiled form (.onnx) of a model file (.h5, .keras); needs the extra "
        "'train'",
    )
    compiling.add_argument("model", type=Path)
    compiling.add_argument("target", type=Path, nargs="?", help="by default beside the model")
    compiling.set_defaults(run=compile_model, is_of_instance=False)

    stripping = commands.add_parser(
        "strip-optimizer",
        help="remove the optimizer's weights from an old model file, in place; needs the extra "
        "'train'",
    )
    stripping.add_argument("model", type=Path)
    stripping.set_defaults(run=strip_optimizer, is_of_instance=False)

    showing = commands.add_parser(
        "card", help="print a model file's card as Markdown; needs the extra 'train'"
    )
    showing.add_argument("model", type=Path)
    showing.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="write a picture of the model's mistakes on MNIST's test set, as PNG",
    )
    showing.set_defaults(run=show_card, is_of_instance=False)


def compile_model(options: argparse.Namespace) -> None:
    """Build the compiled form of a model file."""
    _check_there(options.model)
    # TensorFlow reads both when it is imported; without oneDNN it runs no channels-first
    # convolution on a CPU.
    os.environ |= {
        "KERAS_BACKEND": "tensorflow",
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    try:
        from flaskapi.artifacts.compile import compile_artifact
    except ModuleNotFoundError as error:
        raise FlaskapiError(
            f"{options.model.name} cannot be compiled here: {error.name} is not installed. "
            f"{TRAIN_EXTRA}"
        ) from error
    target = options.target or options.model.with_suffix(".onnx")
    compile_artifact(options.model, target)
    print(f"Wrote {target}.")


def _check_there(model: Path) -> None:
    """Report a missing file before a missing extra, which takes minutes to install."""
    if not model.is_file():
        from flaskapi.serving.missing import why_no_file

        raise ModelFileError(why_no_file(model))


def strip_optimizer(options: argparse.Namespace) -> None:
    """Remove the optimizer's weights from a model file."""
    _check_there(options.model)
    from flaskapi.artifacts.artifact import strip_optimizer as strip

    freed = strip(options.model)
    print(
        f"{options.model}: {freed:,} bytes of optimizer weights removed."
        if freed
        else f"{options.model}: no optimizer weights in it."
    )


def show_card(options: argparse.Namespace) -> None:
    """Print a model card."""
    _check_there(options.model)
    from flaskapi.artifacts.artifact import read_picture
    from flaskapi.artifacts.card import render_card

    print(render_card(options.model), end="")
    if options.picture:
        options.picture.write_bytes(read_picture(options.model))
