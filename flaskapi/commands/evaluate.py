"""`evaluate`: how well does the model read labelled images?"""

import argparse
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaskapi.commands import check_page, load_service, write_page
from flaskapi.errors import FlaskapiError

if TYPE_CHECKING:
    from flaskapi.evaluation.ask import Ask


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `evaluate`."""
    evaluating = commands.add_parser(
        "evaluate",
        help="read labelled images and report accuracy, calibration and the worst mistakes",
    )
    evaluating.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="a folder with images and labels.csv (file,label), or with MNIST's files",
    )
    evaluating.add_argument(
        "--number",
        action="store_true",
        help="labels are numbers, such as 05221859 or 12|345; read them as /predict/number does",
    )
    evaluating.add_argument(
        "--url",
        help="ask the service at this address, such as http://127.0.0.1:8000, instead of the model "
        "of the settings",
    )
    evaluating.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write a page with plots, and pictures of the mistakes",
    )
    evaluating.add_argument(
        "--record",
        action="store_true",
        help="write the figures into the model's card; needs the extra 'train'",
    )
    evaluating.set_defaults(run=evaluate)


def evaluate(options: argparse.Namespace) -> None:
    """Read every labelled image and report."""
    from tqdm import tqdm

    from flaskapi.evaluation.ask import Answered, ask_service
    from flaskapi.evaluation.labelled import LabelledImage, load_labelled
    from flaskapi.evaluation.measures import DigitEvaluation, NumberEvaluation, together
    from flaskapi.evaluation.report import (
        detail,
        draw_mistakes,
        find_pictures,
        render_html,
        summarize,
    )

    folders = _check_evaluation(options)
    sets = {name: load_labelled(folder, numbers=options.number) for name, folder in folders.items()}
    config, services = ({}, None) if options.url else load_service(STORE="off")
    ask = (
        ask_service(options.url, numbers=options.number)
        if options.url
        else _ask_here(config, services, options)
    )
    with tqdm(total=sum(map(len, sets.values())), unit=" images", disable=None) as progress:

        def ask_and_count(image: LabelledImage) -> Answered:
            answer = ask(image)
            progress.update()
            return answer

        answers = {name: list(map(ask_and_count, images)) for name, images in sets.items()}
    kind = NumberEvaluation if options.number else DigitEvaluation
    evaluations = {name: kind([answer.outcome for answer in answers[name]]) for name in sets}
    of_mnist = [
        name
        for name, folder in folders.items()
        if not (folder / "labels.csv").is_file() and folder.suffix != ".json"
    ]
    all_of_them = together(evaluations, of_mnist)
    print(summarize(evaluations | all_of_them))
    for name, evaluation in evaluations.items():
        print(f"\n--- {name} ---\n{detail(evaluation)}")
    if options.html:
        pictures = {
            name: find_pictures(sets[name], answers[name], numbers=options.number) for name in sets
        }
        page = render_html("Evaluation of " + ", ".join(sets), evaluations, pictures, all_of_them)
        write_page(options.html, page)
        print(f"\nWrote {options.html}.")
    if options.record:
        picture = (
            draw_mistakes([answer for name in of_mnist for answer in answers[name]])
            if of_mnist and not options.number
            else None
        )
        _record(
            _recorded(config, options),
            {name: one.figures() for name, one in (evaluations | all_of_them).items()},
            picture,
        )


def _check_evaluation(options: argparse.Namespace) -> dict[str, Path]:
    """Refuse impossible options before anything is read; give the folders by their names."""
    if options.record and options.url:
        raise FlaskapiError(
            "--record writes into the model of the settings, but --url asks another service."
        )
    check_page(options.html)
    folders = {Path(os.path.realpath(folder)).name: folder for folder in options.folders}
    if len(folders) < len(options.folders):
        raise FlaskapiError("Two of the folders have the same name. Rename one of them.")
    return folders


def _ask_here(config: "dict[str, Any]", services: Any, options: argparse.Namespace) -> "Ask":
    """Ask the parts of the service in this process."""
    from flaskapi.evaluation.ask import ask_digits, ask_numbers

    if options.record:
        from flaskapi.artifacts.artifact import check_recordable

        model = _recorded(config, options)
        check_recordable(model)
        if (
            not options.number
            and services.classifier.card["sha256"] != hashlib.sha256(model.read_bytes()).hexdigest()
        ):
            raise FlaskapiError(
                f"--record writes into {model.name}, but the serving version is "
                f"{services.classifier.version}."
            )
    return ask_numbers(services.reader) if options.number else ask_digits(services.reader)


def _recorded(config: "dict[str, Any]", options: argparse.Namespace) -> Path:
    """The artifact that the figures of this route are written into."""
    model: Path = config["DETECTOR_PATH" if options.number else "MODEL_PATH"]
    return model


def _record(model: Path, figures: dict[str, dict[str, int | float]], picture: bytes | None) -> None:
    from flaskapi.artifacts.artifact import record_evaluation
    from flaskapi.serving.compiled import build_compiled

    record_evaluation(model, figures, picture)
    build_compiled(model, model.with_suffix(".onnx"))
    print(f"\nWrote the figures into {model.name} and built its compiled form again.")
