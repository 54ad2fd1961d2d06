"""The command line: `python -m flaskapi COMMAND`."""

import argparse
import os
import sys
from pathlib import Path

from flaskapi.errors import FlaskapiError

TRAIN_EXTRA = "This needs the extra 'train': .venv/bin/pip install --constraint requirements.txt --editable '.[train]'"


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, or 1 for an error, which is said on standard error."""
    parser = argparse.ArgumentParser(prog="python -m flaskapi", description="Tools beside the service itself.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    checking = commands.add_parser("check", help="would the service be ready? makes it as a web process does, the compiled form included")
    checking.set_defaults(run=check)

    compiling = commands.add_parser("compile", help="build the compiled form (.onnx) of a model file (.h5); needs the extra 'train'")
    compiling.add_argument("model", type=Path)
    compiling.add_argument("target", type=Path, nargs="?", help="by default beside the model")
    compiling.set_defaults(run=compile_model)

    stripping = commands.add_parser("strip-optimizer", help="remove the optimizer's weights from an old model file, in place")
    stripping.add_argument("model", type=Path)
    stripping.set_defaults(run=strip_optimizer)

    showing = commands.add_parser("card", help="print the model card of a model file, as Markdown")
    showing.add_argument("model", type=Path)
    showing.set_defaults(run=show_card)

    options = parser.parse_args(argv)
    try:
        options.run(options)
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed. {TRAIN_EXTRA}", file=sys.stderr)
        return 1
    except (FlaskapiError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def check(options: argparse.Namespace) -> None:
    """Make the service and ask it whether it is ready."""
    from flaskapi import create_app

    app = create_app({"LOG_LEVEL": "ERROR"})
    version = app.extensions["flaskapi"].classifier.card["version"]
    print(f"Ready: model {version}.")


def compile_model(options: argparse.Namespace) -> None:
    """Build the compiled form of a model file."""
    # TensorFlow reads both when it is imported; without oneDNN it runs no channels-first convolution on a CPU.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        from flaskapi.training.compile import compile_artifact
    except ModuleNotFoundError as error:
        raise FlaskapiError(f"{options.model.name} has to be compiled, and {error.name} is not installed. {TRAIN_EXTRA}") from error
    target = options.target or options.model.with_suffix(".onnx")
    compile_artifact(options.model, target)
    print(f"Wrote {target}.")


def strip_optimizer(options: argparse.Namespace) -> None:
    """Remove the optimizer's weights from a model file."""
    from flaskapi.training.artifact import strip_optimizer as strip

    freed = strip(options.model)
    print(f"{options.model}: {freed:,} bytes of optimizer weights removed." if freed else f"{options.model}: no optimizer weights in it.")


def show_card(options: argparse.Namespace) -> None:
    """Print a model card."""
    from flaskapi.training.card import render_card

    print(render_card(options.model), end="")


if __name__ == "__main__":
    sys.exit(main())
