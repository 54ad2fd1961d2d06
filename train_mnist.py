#!/usr/bin/env python3
"""Train a network on MNIST and write `models/my_model.h5` and its compiled form, `models/my_model.onnx`."""

import argparse
import os
import sys
from pathlib import Path

from flaskapi.errors import FlaskapiError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported: silences notes on CPU features


def main() -> int:
    """Train as the arguments say. Returns the exit status."""
    from flaskapi.training.artifact import check_writable, save_artifact
    from flaskapi.training.compile import compile_artifact
    from flaskapi.training.dataset import load_dataset
    from flaskapi.training.train import RECIPES, train

    options = parse_arguments(list(RECIPES))
    chosen = {name: getattr(options, name) for name in ("epochs", "batch_size", "validation") if getattr(options, name) is not None}
    recipe = RECIPES[options.network]._replace(seed=options.seed, channels_first=options.channels_first, **chosen)
    check_writable(options.output)
    model, card, test = train(load_dataset(options.data), recipe, backup=options.backup)
    print(f"\nTest set: {test}\n")
    save_artifact(model, card, options.output)
    compile_artifact(options.output, options.output.with_suffix(".onnx"))
    print(f"Wrote {options.output} and its compiled form, {options.output.with_suffix('.onnx').name}.")
    return 0


def parse_arguments(networks: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--data", type=Path, help="folder with MNIST's four IDX files (gzipped or not), or an .npz; else Keras downloads it"
    )
    parser.add_argument("--network", choices=networks, default=networks[0], help="what to train")
    parser.add_argument("--channels-first", action="store_true", help="take images as (1, 28, 28), as old tutorials do")
    parser.add_argument("--epochs", type=positive, help="passes over the training set; the default is the network's own")
    parser.add_argument("--batch-size", type=positive, help="images per step; the default is the network's own")
    parser.add_argument("--validation", type=int, help="training images held out to validate with; the default is the network's own")
    parser.add_argument("--seed", type=int, default=0, help="where all chance comes from")
    parser.add_argument("--backup", type=Path, help="folder for the state after each epoch: the same command goes on from there")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "models" / "my_model.h5", help="the artifact to write")
    return parser.parse_args()


def positive(text: str) -> int:
    """Parse a whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FlaskapiError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; nothing was written.")
