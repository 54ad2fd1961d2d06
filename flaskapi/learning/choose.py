"""Choose the images to learn from: by their labels, who gave them, and whether the serving model
contradicts them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from flaskapi.arrays import Floats
from flaskapi.labels import NO_DIGIT, NONE
from flaskapi.learning import Example
from flaskapi.submissions.labelled import Labelled
from flaskapi.submissions.labels import Standing, settle

REVIEWED = 5  # of so many labels the most doubtful one is to be looked at again
Answers = Callable[[Sequence[Example]], Floats]


class NumberDigits(NamedTuple):
    """The digits of labelled numbers."""

    examples: list[Example]
    numbers: int  # that they are of
    not_found: int  # numbers that give none, for not all of their digits were found


NO_NUMBERS = NumberDigits([], 0, 0)


class Chosen(NamedTuple):
    """The labelled images, by their use."""

    learned: list[Example]  # to train with; each is judged by a model that has not learned it
    suspicious: list["Doubt"]  # not used until an operator gives the same label again
    # Not used: operators disagree on the image; the label is the latest.
    contradicted: list[Example]
    unsupported: int  # not used: only senders labelled them, and no two agree
    numbers: NumberDigits = NO_NUMBERS  # what is among all these of numbers

    @property
    def evidence(self) -> list[int]:
        """The places in `learned` of what a candidate is judged by: the labels of operators.

        Anybody can be two senders who agree, so that their labels prove nothing.
        """
        return [place for place, one in enumerate(self.learned) if one.source == "operator"]


class Settled(NamedTuple):
    """An image with the label that counts, of all its submissions."""

    last: Labelled
    ids: tuple[UUID, ...]  # of the submissions with this image
    label: str
    source: str  # `operator`, or `senders` if two agree
    confirmed: bool  # an operator gave the label twice


class Doubt(NamedTuple):
    """A label that a model contradicts."""

    example: Example
    digit: int  # the model's answer
    confidence: float


def find_examples(labelled: Iterable[Labelled]) -> tuple[list[Example], list[Example], int]:
    """Combine the labels of each image of a digit; see `settle_images`."""
    found, contradicted, unsupported = settle_images(labelled)
    return list(map(_example, found)), list(map(_example, contradicted)), unsupported


def settle_images(labelled: Iterable[Labelled]) -> tuple[list[Settled], list[Settled], int]:
    """Combine the labels of each image, from all its submissions.

    An operator's label counts; without one, the senders' label if two distinguishable senders agree
    on identical images and none disagrees.

    Returns:
        The images with a label that counts; those on which operators disagree; and the number of
        images with labels of senders only, without support.
    """
    images: dict[bytes, list[tuple[Labelled, Standing]]] = defaultdict(list)
    for one in labelled:
        standing = settle(one.statements)
        if standing.operator or standing.senders:
            images[one.sha256].append((one, standing))
    found, contradicted, unsupported = list[Settled](), list[Settled](), 0
    for said in images.values():
        operators = [standing.operator for _, standing in said if standing.operator]
        senders = {
            client: label for _, standing in said for client, label in standing.senders.items()
        }
        if operators:
            confirmed = any(
                standing.times > 1 for _, standing in said if standing.operator == operators[-1]
            )
            (found if len(set(operators)) == 1 else contradicted).append(
                _settled(said, operators[-1], "operator", confirmed)
            )
        elif len(senders) > 1 and len(set(senders.values())) == 1:
            found.append(_settled(said, next(iter(senders.values())), "senders", False))
        else:
            unsupported += 1
    return found, contradicted, unsupported


def find_number_digits(
    labelled: Iterable[Labelled], cut: Callable[[UUID, str], Sequence[bytes] | None]
) -> NumberDigits:
    """Cut labelled numbers into labelled digits. Numbers count by the same rules as digits.

    Args:
        labelled: every labelled submission of a number.
        cut: gives the digits of a submission with that number, each as the network sees it, `uint8
            (28, 28)` row by row; None where they were not all found.
    """
    settled, _, _ = settle_images(labelled)
    examples, numbers, not_found = list[Example](), 0, 0
    for one in settled:
        digits = None if one.label == NONE else cut(one.ids[-1], one.label)
        if digits is None:
            not_found += one.label != NONE
            continue
        numbers += 1
        for place, (digit, normalized) in enumerate(zip(one.label, digits, strict=True), 1):
            examples.append(
                Example(
                    _place_in(one.last.sha256, place),
                    one.ids,
                    normalized,
                    int(digit),
                    one.source,
                    one.confirmed,
                    place,
                )
            )
    return NumberDigits(examples, numbers, not_found)


def _place_in(sha256: bytes, place: int) -> bytes:
    """A digest for a digit of a number. The first byte, which chooses the fold, is the number's:
    one hand wrote its digits.
    """
    return sha256[:1] + hashlib.sha256(sha256 + str(place).encode()).digest()[1:]


def find_doubts(
    examples: Sequence[Example], probabilities: Answers, sure_from: float
) -> list[Doubt]:
    """Find the labels that a model contradicts, if they are senders' or the model is certain, and
    that no operator has confirmed.
    """
    doubts = [
        Doubt(one, int(row.argmax()), float(row.max()))
        for one, row in zip(examples, probabilities(examples), strict=True)
    ]
    return [
        one
        for one in doubts
        if (one.confidence >= sure_from or one.example.source == "senders")
        and one.digit != one.example.label
        and not one.example.confirmed
    ]


def rank_doubts(examples: Sequence[Example], before: Floats, after: Floats) -> list[Doubt]:
    """Give the most doubtful fifth of the labels, the most doubtful first.

    Doubtful is a label that models which have not learned it find unlikely (Northcutt, Jiang,
    Chuang: "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021).

    Args:
        examples: with the labels.
        before: what the serving model says of each, `(n, 10)`.
        after: what a model says that has learned all others.
    """
    believed = [
        _believe(one.label, row) * _believe(one.label, other)
        for one, row, other in zip(examples, before, after, strict=True)
    ]
    places = sorted(range(len(examples)), key=believed.__getitem__)
    return [
        Doubt(examples[place], int(after[place].argmax()), float(after[place].max()))
        for place in places[: -(-len(examples) // REVIEWED)]
    ]


def _believe(label: int, row: Floats) -> float:
    """How likely a model takes a label to be; that there is no digit, it says by all ten alike."""
    return float(1 - row.max() if label == NO_DIGIT else row[label])


def _settled(
    said: Sequence[tuple[Labelled, Standing]], label: str, source: str, confirmed: bool
) -> Settled:
    ids = tuple(one.id for one, _ in said)
    return Settled(said[-1][0], ids, label, source, confirmed)


def _example(one: Settled) -> Example:
    label = NO_DIGIT if one.label == NONE else int(one.label)
    return Example(one.last.sha256, one.ids, one.last.normalized, label, one.source, one.confirmed)


def choose(
    labelled: Iterable[Labelled],
    probabilities: Answers,
    sure_from: float,
    numbers: NumberDigits = NO_NUMBERS,
) -> Chosen:
    """Part the labelled images into what to use and what not to use.

    Args:
        labelled: every labelled submission of a digit.
        probabilities: the serving model's, for the 28x28 images of some examples.
        sure_from: the confidence from which the model counts as certain.
        numbers: the digits of labelled numbers.
    """
    found, contradicted, unsupported = find_examples(labelled)
    found += numbers.examples
    suspicious = find_doubts(found, probabilities, sure_from)
    doubted = {doubt.example.sha256 for doubt in suspicious}
    trusted = [one for one in found if one.sha256 not in doubted]
    return Chosen(trusted, suspicious, contradicted, unsupported, numbers)
