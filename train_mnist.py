#!/usr/bin/env python3
"""Train a network on MNIST and write `models/my_model.h5`, or `models/detector.h5`, and its
compiled form, `.onnx`.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from flaskapi.commands import tell_missing
from flaskapi.errors import FlaskapiError
from flaskapi.privileges import drop_to_owner

# TensorFlow reads both when it is imported: no notes on CPU features, and convolutions of
# channels-first images by oneDNN.
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "1"}
MODELS = Path(__file__).parent / "models"
STATES = Path(__file__).parent / "instance" / "training"


def main() -> int:
    """Train with the options of the command line. Returns the exit status."""
    options = parse_arguments()

    from flaskapi.artifacts.artifact import check_writable, save_artifact
    from flaskapi.serving.compiled import build_compiled
    from flaskapi.training.download import load_or_download
    from flaskapi.training.provenance import choose_precision, describe_run

    output = options.output or MODELS / (
        "detector.h5" if options.network == "detector" else "my_model.h5"
    )
    drop_to_owner([output.absolute().parent, output])
    check_writable(output)
    chosen = {
        name: getattr(options, name)
        for name in ("epochs", "batch_size", "validation")
        if getattr(options, name) is not None
    }
    dataset = load_or_download(options.data)
    if options.network == "detector":
        from flaskapi.training.detector import DetectorRecipe, train_detector

        precision = options.precision or choose_precision()
        pages = DetectorRecipe(seed=options.seed, precision=precision)
        if options.epochs is not None:
            chosen["cooling_epochs"] = pages.cooling_epochs * options.epochs // pages.epochs
        pages = pages._replace(**chosen)
        model, card, training = train_detector(dataset, pages, backup=options.backup)
        found = (
            "{digits} digits, {found} found, {right} read correctly, {false_alarms} false alarms"
        ).format(**card["pages"])
        result = f"Held-out pages: {found}"
    else:
        from flaskapi.training.train import RECIPES, train

        own = RECIPES[options.network]
        if options.epochs is not None:
            for part in (
                "finishing_epochs",
                "taught_epochs",
                "cooling_epochs",
            ):  # in the same proportion
                chosen[part] = getattr(own, part) * options.epochs // own.epochs
        recipe = own._replace(seed=options.seed, channels_first=options.channels_first, **chosen)
        model, card, test, training = train(
            dataset, recipe, backup=options.backup, processes=options.processes
        )
        result = f"Test set: {test}"
    print(f"\n{result}\n")
    save_artifact(model, card | describe_run(sys.argv[1:]), output)
    print(f"Wrote {output}.")
    build_compiled(output, output.with_suffix(".onnx"))
    print(f"Wrote its compiled form, {output.with_suffix('.onnx').name}.")
    training.forget()
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        help="folder with MNIST's four IDX files (gzipped or not), or an .npz; by default Keras "
        "downloads it",
    )
    add(
        "--network",
        choices=("compact", "tutorial", "detector"),
        default="compact",
        help="the network to train (compact); detector finds the digits of a number",
    )
    add(
        "--channels-first",
        action="store_true",
        help="images as (1, 28, 28), as in old tutorials",
    )
    add(
        "--epochs",
        type=whole(1),
        help="passes over the training set (by default the network's own: 60 and 8 with a low "
        "learning rate for compact, 5 for tutorial, 200 for detector)",
    )
    add(
        "--batch-size",
        type=whole(1),
        help="images, or pages, per step (by default the network's own: 128 for compact, else 32)",
    )
    add("--validation", type=whole(0), help="training images held out for validation (5000)")
    add("--seed", type=whole(0), default=0, help="random seed (0)")
    add(
        "--processes",
        type=whole(0),
        default=0,
        help="processes that make the batches of digits: on a machine with a GPU one per core (0)",
    )
    add(
        "--precision",
        choices=("float32", "mixed_bfloat16"),
        help="of the detector's training (what this processor is faster with)",
    )
    add(
        "--backup",
        type=Path,
        default=STATES,
        help="folder for the state of the training, from which the same command continues after an "
        "interruption (instance/training); removed once the artifact is written",
    )
    add(
        "--output",
        type=Path,
        help="the artifact to write (models/my_model.h5, or models/detector.h5)",
    )
    return parser.parse_args()


def whole(least: int) -> Callable[[str], int]:
    """Make a parser of whole numbers of at least `least`."""

    def parse(text: str) -> int:
        if (number := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return number

    return parse


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ModuleNotFoundError as error:
        sys.exit(f"error: {tell_missing(error)}")
    except FlaskapiError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print(
            "\nInterrupted. Only files that were reported as written have changed.",
            file=sys.stderr,
            flush=True,
        )
        # TensorFlow's threads may still call Python while it shuts down, which would abort it.
        os._exit(130)
