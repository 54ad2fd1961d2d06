"""The command line: `python -m flaskapi COMMAND`."""

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flaskapi.errors import FlaskapiError, ModelFileError, StoreUnavailableError

if TYPE_CHECKING:
    from flaskapi.answers import Route
    from flaskapi.evaluation.ask import Ask

MOST_DAYS = 36_500
TRAIN_EXTRA = "This needs the extra 'train': .venv/bin/pip install --constraint requirements.txt --editable '.[train]'"


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 for an error, which is said on standard error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m flaskapi", description="Tools beside the service itself.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    checking = commands.add_parser("check", help="would the service be ready? makes it as a web process does, the compiled form included")
    checking.set_defaults(run=check)

    compiling = commands.add_parser("compile", help="build the compiled form (.onnx) of a model file (.h5); needs the extra 'train'")
    compiling.add_argument("model", type=Path)
    compiling.add_argument("target", type=Path, nargs="?", help="by default beside the model")
    compiling.set_defaults(run=compile_model)

    stripping = commands.add_parser(
        "strip-optimizer", help="remove the optimizer's weights from an old model file, in place; needs the extra 'train'"
    )
    stripping.add_argument("model", type=Path)
    stripping.set_defaults(run=strip_optimizer)

    showing = commands.add_parser("card", help="print the model card of a model file, as Markdown; needs the extra 'train'")
    showing.add_argument("model", type=Path)
    showing.add_argument("--picture", type=Path, metavar="FILE", help="write the picture of its mistakes on MNIST's test set there, as PNG")
    showing.set_defaults(run=show_card)

    evaluating = commands.add_parser("evaluate", help="read labelled images and say how well: accuracy, calibration, the worst mistakes")
    evaluating.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="holds images and labels.csv (file,label), or MNIST's files"
    )
    evaluating.add_argument(
        "--number", action="store_true", help="labels are numbers, such as 05221859 or 12|345: read them as /predict/number"
    )
    evaluating.add_argument("--url", help="ask the service there, such as http://127.0.0.1:8000, instead of the model of the settings")
    evaluating.add_argument("--html", type=Path, metavar="FILE", help="write a page too, with the plots and pictures of the mistakes")
    evaluating.add_argument("--record", action="store_true", help="write the figures into the model's card; needs the extra 'train'")
    evaluating.set_defaults(run=evaluate)

    _add_predict(commands)

    forgetting = commands.add_parser("forget", help="erase submissions and their images, by their ids or by their age")
    forgetting.add_argument("ids", type=UUID, nargs="*", metavar="ID", help="an id that an answer bore")
    forgetting.add_argument("--older-than", type=float, metavar="DAYS", help="all that were received before so many days, as 90 or 0.5")
    forgetting.set_defaults(run=forget)

    options = parser.parse_args(argv)
    try:
        return options.run(options) or 0
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed. {TRAIN_EXTRA}", file=sys.stderr)
        return 1
    except (FlaskapiError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def _add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    predicting = commands.add_parser("predict", help="read files, folders, archives or standard input; no server is needed")
    predicting.add_argument("paths", nargs="+", metavar="PATH", help="an image, a folder, a ZIP, tar or tar.gz, or - for standard input")
    predicting.add_argument("--number", action="store_true", help="read a number in each image, not one digit")
    predicting.add_argument("--output", choices=("csv", "ndjson", "parquet"), default="csv", help="parquet needs the extra 'parquet'")
    predicting.add_argument("--to", type=Path, metavar="FILE", help="write there instead of standard output")
    predicting.add_argument("--workers", type=int, default=1, metavar="N", help="processes that read at the same time (1)")
    predicting.set_defaults(run=predict)


def predict(options: argparse.Namespace) -> int:
    """Read many images; the status is 1 where any could not be read."""
    # Read by libraries when they are imported: processes use the cores, and threads would only get in their way.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
    from flaskapi.bulk.command import Order, predict_paths

    if options.workers < 1:
        raise FlaskapiError(f"--workers is {options.workers}; it must be at least 1.")
    route: Route = "number" if options.number else "digit"
    return predict_paths(Order(options.paths, route, options.output, options.to, options.workers))


def check(options: argparse.Namespace) -> None:
    """Make the service and ask it whether it is ready."""
    config, services = _load_service()
    print(f"Ready: model {services.classifier.card['version']}, detector {services.detector.card['version']}.")
    if config["STORE"] == "off":
        return
    try:
        print(f"Ready: store {services.store.check()['kind']}.")
    except StoreUnavailableError as error:
        if config["STORE"] == "required":
            raise
        print(f"Not ready: store: {error} Predictions will be answered without being kept.", file=sys.stderr)
    services.store.close()


def forget(options: argparse.Namespace) -> None:
    """Erase submissions with their images."""
    if not options.ids and options.older_than is None:
        raise FlaskapiError("Say what to forget: an id, or several, or --older-than DAYS.")
    if options.older_than is not None and not 0 <= options.older_than <= MOST_DAYS:
        raise FlaskapiError(f"--older-than is {options.older_than:g}; it must be 0 to {MOST_DAYS:,} days.")
    store = _load_service(STORE="on")[1].store  # what was kept can be erased also where nothing more is
    try:
        missing = [one for one in options.ids if not store.delete(one)]
        erased = len(options.ids) - len(missing)
        if options.older_than is not None:
            erased += store.delete_before(datetime.now(UTC) - timedelta(days=options.older_than))
    finally:
        store.close()
    print(f"Erased {erased:,} submission{'' if erased == 1 else 's'}, with the images that no other has.")
    if missing:
        raise FlaskapiError(f"There is no submission of the id {', '.join(map(str, missing))}.")


def _load_service(**settings: str) -> "tuple[dict[str, Any], Any]":
    """Settings and services as a web process has them, but for these settings."""
    from flaskapi import create_app

    app = create_app({"LOG_LEVEL": "ERROR"} | settings)
    return app.config, app.extensions["flaskapi"]


def compile_model(options: argparse.Namespace) -> None:
    """Build the compiled form of a model file."""
    _check_there(options.model)
    # TensorFlow reads both when it is imported; without oneDNN it runs no channels-first convolution on a CPU.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        from flaskapi.training.compile import compile_artifact
    except ModuleNotFoundError as error:
        raise FlaskapiError(f"{options.model.name} has to be compiled, and {error.name} is not installed. {TRAIN_EXTRA}") from error
    target = options.target or options.model.with_suffix(".onnx")
    compile_artifact(options.model, target)
    print(f"Wrote {target}.")


def _check_there(model: Path) -> None:
    """Name a missing file before a missing extra is, which takes minutes to install."""
    if not model.is_file():
        raise ModelFileError(f"{model}: there is no such file.")


def strip_optimizer(options: argparse.Namespace) -> None:
    """Remove the optimizer's weights from a model file."""
    _check_there(options.model)
    from flaskapi.training.artifact import strip_optimizer as strip

    freed = strip(options.model)
    print(f"{options.model}: {freed:,} bytes of optimizer weights removed." if freed else f"{options.model}: no optimizer weights in it.")


def show_card(options: argparse.Namespace) -> None:
    """Print a model card."""
    _check_there(options.model)
    from flaskapi.training.artifact import read_picture
    from flaskapi.training.card import render_card

    print(render_card(options.model), end="")
    if options.picture:
        options.picture.write_bytes(read_picture(options.model))


def evaluate(options: argparse.Namespace) -> None:
    """Read every labelled image and report."""
    from tqdm import tqdm

    from flaskapi.evaluation.ask import Answered, ask_service
    from flaskapi.evaluation.labelled import LabelledImage, load_labelled
    from flaskapi.evaluation.measures import DigitEvaluation, NumberEvaluation, together
    from flaskapi.evaluation.report import detail, draw_mistakes, find_pictures, render_html, summarize

    folders = _check_evaluation(options)
    sets = {name: load_labelled(folder, numbers=options.number) for name, folder in folders.items()}
    config, services = ({}, None) if options.url else _load_service(STORE="off")
    ask = ask_service(options.url, numbers=options.number) if options.url else _ask_here(config, services, options)
    with tqdm(total=sum(map(len, sets.values())), unit=" images", disable=None) as progress:

        def ask_and_count(image: LabelledImage) -> Answered:
            answer = ask(image)
            progress.update()
            return answer

        answers = {name: list(map(ask_and_count, images)) for name, images in sets.items()}
    kind = NumberEvaluation if options.number else DigitEvaluation
    evaluations = {name: kind([answer.outcome for answer in answers[name]]) for name in sets}
    of_mnist = [name for name, folder in folders.items() if not (folder / "labels.csv").is_file()]
    all_of_them = together(evaluations, of_mnist)
    print(summarize(evaluations | all_of_them))
    for name, evaluation in evaluations.items():
        print(f"\n--- {name} ---\n{detail(evaluation)}")
    if options.html:
        pictures = {name: find_pictures(sets[name], answers[name], numbers=options.number) for name in sets}
        page = render_html("Evaluation of " + ", ".join(sets), evaluations, pictures, all_of_them)
        options.html.write_text(page, "utf-8")
        print(f"\nWrote {options.html}.")
    if options.record:
        picture = draw_mistakes([answer for name in of_mnist for answer in answers[name]]) if of_mnist and not options.number else None
        _record(_recorded(config, options), {name: one.figures() for name, one in (evaluations | all_of_them).items()}, picture)


def _check_evaluation(options: argparse.Namespace) -> dict[str, Path]:
    """Refuse what cannot be done before anything is read; give the folders by their names."""
    if options.record and options.url:
        raise FlaskapiError("--record writes into the model of the settings, which --url does not ask.")
    if options.html and not options.html.resolve().parent.is_dir():
        raise FlaskapiError(f"{options.html}: there is no such folder to write the page into.")
    folders = {folder.resolve().name: folder for folder in options.folders}
    if len(folders) < len(options.folders):
        raise FlaskapiError("Two of the folders have the same name, by which they are told apart.")
    return folders


def _ask_here(config: "dict[str, Any]", services: Any, options: argparse.Namespace) -> "Ask":
    """Ask the service's own parts, in this process."""
    from flaskapi.evaluation.ask import ask_classifier, ask_reader

    limits = {"max_pixels": config["MAX_IMAGE_PIXELS"], "uncertain_below": config["UNCERTAIN_BELOW"]}
    if options.record:
        from flaskapi.training.artifact import check_recordable

        check_recordable(_recorded(config, options))
    if options.number:
        return ask_reader(services.classifier, services.detector, **limits)
    return ask_classifier(services.classifier, **limits)


def _recorded(config: "dict[str, Any]", options: argparse.Namespace) -> Path:
    """The artifact that figures of this route are written into."""
    model: Path = config["DETECTOR_PATH" if options.number else "MODEL_PATH"]
    return model


def _record(model: Path, figures: dict[str, dict[str, int | float]], picture: bytes | None) -> None:
    from flaskapi.serving.compiled import build_compiled
    from flaskapi.training.artifact import record_evaluation

    record_evaluation(model, figures, picture)
    build_compiled(model, model.with_suffix(".onnx"))
    print(f"\nWrote the figures into {model.name} and built its compiled form anew.")


if __name__ == "__main__":
    sys.exit(main())
