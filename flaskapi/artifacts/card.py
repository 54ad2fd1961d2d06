"""The model card as a page, written from the artifact's own data."""

import hashlib
from pathlib import Path
from typing import Any

from flaskapi.artifacts.artifact import Card, read_card, read_picture
from flaskapi.errors import ModelFileError

MOST_CONFUSED = 5


def render_card(path: Path) -> str:
    """Write an artifact's card as Markdown.

    Raises:
        ModelFileError: the file has no card: it was not made by `train_mnist.py`.
    """
    card = read_card(path)
    if not card:
        raise ModelFileError(f"{path.name}: has no model card; it was not made by train_mnist.py.")
    lines = [
        *_head(path, card),
        *(_detector(card) if card["network"] == "detector" else _classifier(card)),
        *_picture(path),
    ]
    return "\n".join(lines)


def _head(path: Path, card: Card) -> list[str]:
    data, sha256 = card["data"], hashlib.sha256(path.read_bytes()).hexdigest()
    return [
        f"# Model card: {path.name}",
        "",
        f"Written by `.venv/bin/python -m flaskapi card models/{path.name}` from the artifact "
        f"itself. `{path.stem}.onnx` is its compiled form.",
        "",
        f"- **Version** `{card['date']}-{sha256[:8]}`, SHA-256 `{sha256}`, "
        f"{path.stat().st_size / 1e6:.1f} MB.",
        f"- **Network** `{card['network']}`, {card['weights']:,} weights "
        f"(`flaskapi/training/networks.py`);"
        f" made with "
        f"{', '.join(f'{name} {version}' for name, version in card['versions'].items())}.",
        f"- **Data** {data['name']}: {data['training']:,} images to train with, "
        f"{data['validation']:,} held out of the training set"
        f" to validate, {data['test']:,} to test. SHA-256 of the arrays `{data['sha256']}`."
        " MNIST is by Yann LeCun, Corinna Cortes and Christopher Burges, CC BY-SA 3.0 by Keras's "
        "documentation.",
        *_made(card),
    ]


def _made(card: Card) -> list[str]:
    """How to make the model again; empty for a card from before this was recorded."""
    if "command" not in card:
        return []
    commit = f" at commit `{card['commit']}`" if card["commit"] else ""
    return [
        f"- **Made** by `{card['command']}`{commit}, in {card['hours']:.1f} hours on "
        f"{card['cores']} cores with {card['instructions']}."
    ]


def _detector(card: Card) -> list[str]:
    training, pages = card["training"], card["pages"]
    return [
        "- **Reads** a page as `float32 (height, width, 1)`, 0 the paper and 1 the ink, sides "
        "multiples of 16, digits 18 to 52 pixels high;"
        " answers for each 2x4 pixels whether a digit is there, which one, and its box.",
        f"- **Training** {training['epochs']} epochs of {training['steps']} batches of "
        f"{training['batch_size']} pages, drawn with"
        f" training digits (`pages.py`), seed {training['seed']}.",
        f"- **Confidence** is calibrated on pages of held-out digits: slope "
        f"{training['presence_slope']:.2f} and shift"
        f" {training['presence_shift']:.2f} of presence, temperature {training['temperature']:.2f} "
        f"of the digits.",
        f"- **Accuracy** on drawn pages of held-out digits, textures, touching neighbours and all: "
        f"of {pages['digits']:,} digits"
        f" {pages['found'] / pages['digits']:.2%} found, {pages['right'] / pages['digits']:.2%} "
        f"found and named rightly;"
        f" {pages['false_alarms']} found where none is.",
        "",
        *_evaluation(card.get("evaluation", {}), "numbers"),
    ]


def _classifier(card: Card) -> list[str]:
    training, confusion = card["training"], card["confusion"]
    total = sum(map(sum, confusion))
    wrong = total - sum(confusion[digit][digit] for digit in range(10))
    rows = ["| was \\ said | " + " | ".join(map(str, range(10))) + " |", "|---" * 11 + "|"]
    rows += [
        f"| **{digit}** | " + " | ".join(str(n or "") for n in row) + " |"
        for digit, row in enumerate(confusion)
    ]
    return [
        f"- **Reads** one digit as `float32 {tuple(card['input_shape'])}`, 0 the paper and 1 the "
        f"ink, prepared as MNIST was;"
        " answers ten probabilities.",
        *_training(training),
        *_retrainings(card.get("retrainings", [])),
        f"- **Accuracy** {card['accuracy']['test']:.2%} on the test set ({wrong} wrong of "
        f"{total:,})"
        + (
            f", {card['accuracy']['validation']:.2%} on the validation part."
            if "validation" in card["accuracy"]
            else "."
        )
        + " Counted on the arrays as they are; through `/predict` each image is cut out, scaled "
        "and centred anew, by which a few"
        " answers change.",
        _confidence((card.get("retrainings") or [training])[-1]),
        f"- **Known weaknesses** On the test set: {_weaknesses(confusion)}.",
        "",
        "What the test digits were, and what the model said:",
        "",
        *rows,
        "",
        *_evaluation(card.get("evaluation", {})),
    ]


def _training(training: dict[str, Any]) -> list[str]:
    if not training:  # what was retrained was not trained here
        return []
    return [
        f"- **Training** {training['epochs']} epochs{_finishing(training)} of batches of "
        f"{training['batch_size']},"
        f" seed {training['seed']}, "
        f"{'varied anew in each epoch (`augment.py`)' if training['augmented'] else 'not varied'}"
        f"{_outliers(training)}."
    ]


def _retrainings(retrainings: list[dict[str, Any]]) -> list[str]:
    return [
        f"- **Retrained** from `{one['from']}`: {one['steps']} batches of {one['batch_size']}, of "
        f"which {one['labelled_share']:.0%} are"
        f" {one['labelled']:,} images that people labelled, the rest of the data above; seed "
        f"{one['seed']} (`finetune.py`)."
        for one in retrainings
    ]


def _finishing(training: dict[str, Any]) -> str:
    taught, gentler = (training.get(part) for part in ("taught_epochs", "finishing_epochs"))
    text = (
        f", {taught} of what a larger network says (`teacher` in `networks.py`)" if taught else ""
    )
    return text + (f" and {gentler} gentler ones" if gentler else "")


def _outliers(training: dict[str, Any]) -> str:
    share = training.get("outliers_share")
    return (
        f", and for every 100 digits {100 * share:.0f} drawn pictures that are none (`outliers.py`)"
        if share
        else ""
    )


def _confidence(training: dict[str, Any]) -> str:
    if "temperature" not in training:
        return (
            "- **Confidence** is the network's own, not calibrated; it names a digit for anything."
        )
    return (
        f"- **Confidence** is calibrated on the validation part, varied as in training: "
        f"temperature {training['temperature']:.2f},"
        " divided into the last layer."
    )


def _weaknesses(confusion: list[list[int]]) -> str:
    pairs = [
        (n, was, said)
        for was, row in enumerate(confusion)
        for said, n in enumerate(row)
        if n and was != said
    ]
    worst = sorted(pairs, key=lambda pair: (-pair[0], *pair[1:]))[:MOST_CONFUSED]
    return ", ".join(f"a {was} read as {said} ({n})" for n, was, said in worst) if worst else "none"


def _evaluation(sets: dict[str, dict[str, Any]], of: str = "digits") -> list[str]:
    if not sets:
        return []
    route, option = ("/predict/number", " --number") if of == "numbers" else ("/predict", "")
    lines = [
        f"Through `{route}`, by `.venv/bin/python -m flaskapi evaluate{option}` (what the columns "
        f"mean is in `docs/training.md`):",
        "",
        f"| set | {of} | right | wrong | uncertain | wrong of certain | calibration error |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figures in sets.items():
        if of in figures:
            shares = " | ".join(
                f"{figures[key]:.2%}"
                for key in ("uncertain", "wrong_of_certain", "calibration_error")
            )
            lines.append(
                f"| {name} | {figures[of]:,} | {figures['accuracy']:.2%} | {figures['wrong']} | "
                f"{shares} |"
            )
    others = {name: figures for name, figures in sets.items() if "others" in figures}
    if others:
        lines += [
            "",
            "| what is no digit | images | uncertain, or found to be none |",
            "|---|---|---|",
        ]
        lines += [
            f"| {name} | {figures['others']:,} | {figures['rejected']:.2%} |"
            for name, figures in others.items()
        ]
    return [*lines, ""]


def _picture(path: Path) -> list[str]:
    try:
        read_picture(path)
    except ModelFileError:
        return []
    return [
        "What is left of mistakes on MNIST's test set, as it was > as it was read:",
        "",
        "![mistakes](mistakes.png)",
        "",
    ]
