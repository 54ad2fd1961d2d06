"""Retrainings on seven hands that the shipped model reads badly, with forty labels and two hundred;
and circles in which nothing is to be gained: real ones, and a thousand drawn from recorded answers.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.checkpoint import Checkpoint
from flaskapi.arrays import Bytes
from flaskapi.digits.normalize import normalize_digit
from flaskapi.learning import Example, to_arrays
from flaskapi.learning.cross import CopyOf, cross
from flaskapi.learning.judge import Judgement, ask, pair_answers, rank, sign_test, spend
from flaskapi.sources.mnist import Dataset, load_dataset
from flaskapi.submissions.identifiers import new_id
from tests.servers import ROOT

if TYPE_CHECKING:
    from flaskapi.training.finetune import Finetuner

MODEL = ROOT / "models" / "my_model.h5"
COUNTS, LABELS, FRESH = (40, 200), 200, 400
CIRCLES, FIRST, MORE, LOOKS = 1000, 40, 20, 10  # labels at first, and more for each look after it
ORDINARY = 800  # digits of ordinary handwriting: for twenty circles, or to draw circles from
UNCERTAIN_BELOW = 0.95
COLUMNS = (
    "hand",
    "labels",
    "misread, unsure",
    "better, worse",
    "fixed, broken",
    "p",
    "promoted",
    "others misread",
    "others unsure",
    "MNIST, wrong",
    "s",
)

Random = np.random.Generator
Changes = npt.NDArray[np.int64]


class Hand(NamedTuple):
    """How a hand writes MNIST's digits otherwise; angles in radians."""

    slant: float = 0
    turn: float = 0
    wide: float = 1
    bend: float = 0
    pen: int = 0  # pixels added to each stroke at 56 a digit
    barred: bool = False  # a 7 with a bar, and a 0 with a stroke through it


HANDS = {
    "a 7 with a bar, leaning left": Hand(slant=-0.95, barred=True),
    "leaning right": Hand(slant=0.95),
    "wide": Hand(wide=2.3, slant=-0.4),
    "narrow": Hand(wide=0.45),
    "turned": Hand(turn=0.75),
    "crossed 0 and 7, leaning": Hand(slant=0.75, barred=True),
    "bent, bold": Hand(bend=0.9, pen=9),
}


def main(
    data: Path, hands: int, counts: Sequence[int], ordinary: int, checkpoint: Path | None
) -> None:
    """Print a table of the hands, a row as it comes, and how often a circle without gain promotes.

    Args:
        data: where MNIST lies.
        hands: how many of the seven.
        counts: how many labels of each; all but the last `FRESH` digits of a hand are for labels.
        ordinary: how many real circles without gain, at most 20.
        checkpoint: keeps each result; what is there is not measured again.
    """
    tried = Tried(data)
    kept = Checkpoint(checkpoint)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name, hand in list(HANDS.items())[:hands]:
        for count in counts:
            row = kept.measure(
                f"{name}, {count}", partial(retrain_on_hand, tried, name, hand, count)
            )
            print(row, flush=True)
    for place in range(ordinary):
        measure = partial(retrain_on_ordinary, tried, place)
        print(kept.measure(f"ordinary, {place}", measure), flush=True)
    changes = kept.measure("without gain", partial(record_changes, tried))
    for how, fair in (("as recorded", False), ("with sides drawn by a coin", True)):
        share = simulate(np.array(changes), np.random.default_rng(0), fair=fair)
        print(
            f"Of {CIRCLES} circles without gain, {how}, {LOOKS} looks each, {share:.1%} promoted.",
            flush=True,
        )


class Tried:
    """The shipped model and MNIST, loaded when they are first needed.

    Args:
        data: where MNIST lies.
    """

    def __init__(self, data: Path) -> None:
        self._data = data

    @cached_property
    def dataset(self) -> Dataset:
        return load_dataset(self._data)

    @cached_property
    def finetuner(self) -> "Finetuner":
        os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
        from flaskapi.training.finetune import Finetuner, FinetuneRecipe

        return Finetuner(MODEL, self.dataset, FinetuneRecipe())

    @cached_property
    def held_out(self) -> tuple[Bytes, Bytes]:
        """Images and labels that the shipped model was not trained with."""
        chosen = np.random.default_rng(0).permutation(len(self.dataset.train_images))[:5000]
        return self.dataset.train_images[chosen], self.dataset.train_labels[chosen]

    @property
    def test(self) -> tuple[Bytes, Bytes]:
        return self.dataset.test_images, self.dataset.test_labels

    def draw(self, name: str, hand: Hand) -> tuple[Bytes, Bytes]:
        """Digits in one of the hands, each of other images: for labels, then `FRESH` others."""
        place = list(HANDS).index(name) * (LABELS + FRESH)
        images, labels = (part[place : place + LABELS + FRESH] for part in self.held_out)
        return write(hand, images, labels), labels


def record_changes(tried: Tried) -> list[int]:
    """Whether a copy answers each of 800 ordinary digits better, 1, or worse, -1, or neither."""
    ordinary = to_examples(*(part[-ORDINARY:] for part in tried.held_out))
    share = tried.finetuner.learn(to_arrays(ordinary)).share
    crossed = cross(tried.finetuner, ordinary, share, lambda share: None)
    pairs = pair_answers(*crossed, to_arrays(ordinary)[1], [""] * len(ordinary), UNCERTAIN_BELOW)
    return [int(np.sign(rank(after) - rank(before))) for before, after in pairs]


def write(hand: Hand, images: Bytes, labels: Bytes) -> Bytes:
    """Write digits of MNIST with a hand, as the network sees them, `uint8 (n, 28, 28)`."""
    return np.stack(
        [_write(hand, image, int(label)) for image, label in zip(images, labels, strict=True)]
    )


def _write(hand: Hand, image: Bytes, label: int) -> Bytes:
    image = image.copy()
    if hand.barred and label == 7:
        cv2.line(image, (8, 15), (21, 14), 255, 2, cv2.LINE_AA)
    if hand.barred and label == 0:
        cv2.line(image, (20, 5), (8, 23), 255, 2, cv2.LINE_AA)
    canvas, side = np.zeros((112, 112), np.uint8), 56
    canvas[28:84, 28:84] = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    cos, sin = np.cos(hand.turn), np.sin(hand.turn)
    lean = np.array([[hand.wide, -hand.slant * hand.wide], [0, 1]])
    matrix = np.array([[cos, -sin], [sin, cos]]) @ lean
    shift = np.array([[side], [side]]) - matrix @ np.array([[side], [side]])
    drawn = cv2.warpAffine(canvas, np.hstack([matrix, shift]), (112, 112), flags=cv2.INTER_CUBIC)
    if hand.bend:
        down, across = np.mgrid[0:112, 0:112].astype(np.float32)
        away = (down - side) ** 2 / side
        drawn = cv2.remap(drawn, across + np.float32(hand.bend) * away, down, cv2.INTER_LINEAR)
    if hand.pen:
        drawn = cv2.dilate(drawn, np.ones((hand.pen, hand.pen), np.uint8))
    return np.rint(255 * normalize_digit(255 - drawn).pixels).astype(np.uint8)


def to_examples(images: Bytes, labels: Bytes) -> list[Example]:
    """What people would have labelled."""
    return [
        Example(
            hashlib.sha256(image.tobytes()).digest(),
            (new_id(),),
            image.tobytes(),
            int(label),
            "operator",
            False,
        )
        for image, label in zip(images, labels, strict=True)
    ]


def retrain_on_hand(tried: Tried, name: str, hand: Hand, count: int) -> str:
    """Retrain on some labels of a hand."""
    written, known = tried.draw(name, hand)
    examples = to_examples(written[:count], known[:count])
    return _retrain_on(tried, name, examples, (written[LABELS:], known[LABELS:]))


def retrain_on_ordinary(tried: Tried, place: int) -> str:
    """Retrain on forty labels of ordinary handwriting, of which next to nothing is to be gained."""
    images, labels = tried.held_out
    begin = len(images) - ORDINARY + place * FIRST
    examples = to_examples(images[begin : begin + FIRST], labels[begin : begin + FIRST])
    return _retrain_on(tried, "ordinary", examples, (images[:FRESH], labels[:FRESH]))


def _retrain_on(
    tried: Tried, name: str, examples: list[Example], fresh: tuple[Bytes, Bytes]
) -> str:
    """Retrain, and say what came of it, as a row of the table."""
    finetuner = tried.finetuner
    started_s = time.perf_counter()
    labels = to_arrays(examples)[1]
    candidate = finetuner.learn(to_arrays(examples))
    crossed = cross(finetuner, examples, candidate.share, lambda share: None)
    took_s = time.perf_counter() - started_s
    pairs = pair_answers(*crossed, labels, [""] * len(examples), UNCERTAIN_BELOW)
    serving, new = (CopyOf(finetuner, one) for one in (finetuner.serving, candidate))
    mnist, others = (
        pair_answers(
            ask(serving, pixels), ask(new, pixels), known, [""] * len(known), UNCERTAIN_BELOW
        )
        for pixels, known in (tried.test, fresh)
    )
    judgement = Judgement(mnist, pairs)
    unsure = [sum(outcome.uncertain for outcome in side) for side in zip(*others, strict=True)]
    wrong = [sum(not outcome.right for outcome in side) for side in zip(*others, strict=True)]
    errors = [sum(not outcome.right for outcome in side) for side in zip(*mnist, strict=True)]
    before = [pair.before for pair in pairs]
    misread = sum(not one.right for one in before)
    figures = (
        name,
        len(examples),
        f"{misread}, {sum(one.right and one.uncertain for one in before)}",
        f"{len(judgement.better)}, {len(judgement.worse)}",
        f"{len(judgement.fixed)}, {len(judgement.broken)}",
        f"{judgement.p_value:.2g}",
        "no: " + " ".join(judgement.reasons) if judgement.reasons else "yes",
        f"{wrong[0]} -> {wrong[1]} of {len(others)}",
        f"{unsure[0]} -> {unsure[1]}",
        f"{errors[0]} -> {errors[1]}",
        f"{took_s:.0f}",
    )
    return "| " + " | ".join(map(str, figures)) + " |"


def simulate(changes: Changes, rng: Random, *, fair: bool) -> float:
    """Draw circles from recorded changes, each asked again with more labels. Gives the share of
    those that promote at any look.

    Args:
        changes: what `record_changes` gives.
        rng: draws them.
        fair: which of both answers is the candidate's is drawn by a coin, so that nothing is
            gained for sure.
    """
    return float(np.mean([_promotes(changes, rng, fair) for _ in range(CIRCLES)]))


def _promotes(changes: Changes, rng: Random, fair: bool) -> bool:
    drawn = rng.choice(changes, FIRST + MORE * (LOOKS - 1), replace=False)
    if fair:
        drawn = drawn * rng.choice([-1, 1], len(drawn))
    for look in range(1, LOOKS + 1):
        seen = drawn[: FIRST + MORE * (look - 1)]
        if sign_test(int((seen > 0).sum()), int((seen < 0).sum())) < spend(look):
            return True
    return False
