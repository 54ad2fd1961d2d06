"""What labelled numbers would teach the detector: it learns from half of each collection, beside
drawn pages, and reads the other half and drawn strings, before and after.
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.digits.page import PADDING_PX, scale_page
from flaskapi.errors import FlaskapiError
from flaskapi.evaluation.labelled import LabelledImage, load_labelled
from flaskapi.handwriting.pages import HEIGHT_PX, WIDTH_PX, DrawnPage, Placed, draw_targets
from flaskapi.reading.number import NumberQuery, _read
from flaskapi.reading.reader import Limits, Reader
from tests.servers import ROOT

if TYPE_CHECKING:
    from flaskapi.serving.classifier import OnnxClassifier
    from flaskapi.serving.detector import OnnxDetector

MODELS = ROOT / "models"
STEPS, BATCH, RATES = 300, 32, (3e-5, 3e-4)  # half of each batch are labelled pages
LIMITS = Limits(max_pixels=10**9, uncertain_below=0.95)
VISIBLE = 0.8  # of a digit, to be learned as a whole one
Random = np.random.Generator


def main(data: Path, folders: Sequence[Path]) -> None:
    """Print how many numbers of each collection are read right, before and after.

    Args:
        data: folder with MNIST.
        folders: collections of labelled numbers. The last is only read, not learned from.
    """
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
    from flaskapi.serving.classifier import load_classifier
    from flaskapi.serving.detector import load_detector
    from flaskapi.sources.mnist import load_dataset

    with tempfile.TemporaryDirectory() as made:
        cache = Path(made)
        classifier = load_classifier(MODELS / "my_model.h5", cache)
        serving = load_detector(MODELS / "detector.h5", cache)
        learned, tests = [], {}
        for folder in folders:
            images = load_labelled(folder, numbers=True)
            taught = [] if folder == folders[-1] else list(filter(_is_taught, images))
            tests[folder.name] = [one for one in images if one not in taught]
            learned += [
                page for one in taught if (page := _find_page(one, classifier, serving)) is not None
            ]
        print(f"{len(learned)} labelled numbers give pages.")
        print("| detector | " + " | ".join(f"{name}, of {len(tests[name])}" for name in tests))
        print("|---" * (len(tests) + 1))
        _print("serving", tests, classifier, serving)
        dataset = load_dataset(data)
        for rate in RATES:
            target = cache / f"{rate}.h5"
            _learn(learned, dataset.train_images, dataset.train_labels, rate, target)
            _print(f"learned, {rate:g}", tests, classifier, load_detector(target, cache))


def _is_taught(image: LabelledImage) -> bool:
    return hashlib.sha256(image.read()).digest()[0] % 2 == 0


def _print(
    name: str,
    tests: dict[str, list[LabelledImage]],
    classifier: "OnnxClassifier",
    detector: "OnnxDetector",
) -> None:
    reader = Reader(classifier, detector, LIMITS)
    cells = []
    for images in tests.values():
        right = unsure = 0
        for image in images:
            try:
                answer = reader.number(image.read())
            except FlaskapiError:
                unsure += 1
                continue
            right += "|".join(answer.lines) == image.label
            unsure += answer.uncertain
        cells.append(f"{right} right, {unsure} unsure")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def _find_page(
    image: LabelledImage, classifier: "OnnxClassifier", detector: "OnnxDetector"
) -> DrawnPage | None:
    """What the detector saw of a labelled number, and where its digits are; None where they are not
    found.
    """
    number = (image.label or "").replace("|", "")
    try:
        look, (best, *_), *_ = _read(
            image.read(), classifier, detector, LIMITS, NumberQuery(number)
        )
    except FlaskapiError:
        return None
    if best.number != number or look.scale is None:
        return None
    left, top = look.page.part[:2]
    digits = []
    for place, digit in zip(look.order, best.choices, strict=True):
        if digit is not None:
            edges = np.array(look.candidates[place].edges) - (left, top, left, top)
            x, y, right, bottom = edges * look.scale + PADDING_PX
            digits.append(Placed(digit, x, y, right - x, bottom - y, True))
    return DrawnPage(scale_page(look.page, look.scale), digits)


def _cut(page: DrawnPage, rng: Random) -> DrawnPage:
    """A part of a page, as large as those that are drawn."""
    height, width = page.pixels.shape
    pixels = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    middle = np.mean([digit.y + digit.height / 2 for digit in page.digits])
    top = int(np.clip(middle - HEIGHT_PX / 2, 0, max(height - HEIGHT_PX, 0)))
    left = int(rng.integers(0, max(width - WIDTH_PX, 0) + 1))
    part = page.pixels[top : top + HEIGHT_PX, left : left + WIDTH_PX]
    pixels[: part.shape[0], : part.shape[1]] = part
    digits = []
    for one in page.digits:
        x, y = max(one.x - left, 0), max(one.y - top, 0)
        across = min(one.x - left + one.width, WIDTH_PX) - x
        down = min(one.y - top + one.height, HEIGHT_PX) - y
        if across > 0 and down > 0:
            is_whole = across * down > VISIBLE * one.width * one.height
            digits.append(Placed(one.digit, x, y, across, down, is_whole))
    return DrawnPage(pixels, digits)


def _learn(
    labelled: Sequence[DrawnPage], images: Floats, labels: Floats, rate: float, target: Path
) -> None:
    """Go on training the detector, and write what came out."""
    import keras

    from flaskapi.artifacts.artifact import read_card, save_artifact
    from flaskapi.artifacts.keras_file import load_artifact
    from flaskapi.training.detector import detection_loss, draw_batch, make_learner
    from flaskapi.training.networks import detector

    rng = np.random.default_rng(0)
    source = MODELS / "detector.h5"
    learner = make_learner("float32")
    learner.set_weights(load_artifact(source).get_weights())
    steps = keras.optimizers.schedules.CosineDecay(rate, STEPS)
    learner.compile(keras.optimizers.Adam(steps), loss=detection_loss, jit_compile=False)
    for _ in range(STEPS):
        pixels, targets = draw_batch(images, labels, BATCH // 2, rng)
        chosen = [
            _cut(labelled[place], rng) for place in rng.integers(0, len(labelled), BATCH // 2)
        ]
        pages = np.stack([page.pixels for page in chosen])[..., np.newaxis]
        answers = np.stack([draw_targets(page.digits) for page in chosen])
        learner.train_on_batch(np.concatenate([pixels, pages]), np.concatenate([targets, answers]))
    model = detector((None, None, 1))
    model.set_weights(learner.get_weights())
    save_artifact(model, read_card(source), target)
