"""Which images to learn from: what people say they are, who says so, and whether the model that
serves has reason to doubt it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from flaskapi.arrays import Floats
from flaskapi.labels import NO_DIGIT, NONE
from flaskapi.learning import Example
from flaskapi.submissions.labelled import Labelled
from flaskapi.submissions.labels import Standing, settle

REVIEWED = 5  # of so many labels the most doubtful one is to be looked at again
Answers = Callable[[Sequence[Example]], Floats]


class Chosen(NamedTuple):
    """The images that bear a label, by what is done with them."""

    learned: list[Example]  # to train with; each is judged by a model that has not learned it
    suspicious: list["Doubt"]  # not used until an operator gives the same label again
    # Not used: operators say different things of the same image; the label is the last one's.
    contradicted: list[Example]
    unsupported: int  # not used: only senders said something, and no two agree


class Doubt(NamedTuple):
    """A label that a model contradicts for sure."""

    example: Example
    digit: int  # what the model says
    confidence: float


def find_examples(labelled: Iterable[Labelled]) -> tuple[list[Example], list[Example], int]:
    """Put together what was said of each image, whoever sent it and however often.

    An operator's label counts; without one, that of senders where two who can be told apart agree
    on identical images and none disagrees.

    Returns:
        Those with a label that counts; those of which operators say different things; and how many
        only senders speak of, without support.
    """
    images: dict[bytes, list[tuple[Labelled, Standing]]] = defaultdict(list)
    for one in labelled:
        standing = settle(one.statements)
        if standing.operator or standing.senders:
            images[one.sha256].append((one, standing))
    found, contradicted, unsupported = list[Example](), list[Example](), 0
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
                _example(said, operators[-1], "operator", confirmed)
            )
        elif len(senders) > 1 and len(set(senders.values())) == 1:
            found.append(_example(said, next(iter(senders.values())), "senders", False))
        else:
            unsupported += 1
    return found, contradicted, unsupported


def find_doubts(
    examples: Sequence[Example], probabilities: Answers, sure_from: float
) -> list[Doubt]:
    """Find the labels that a model contradicts for sure, and that no operator has confirmed."""
    doubts = [
        Doubt(one, int(row.argmax()), float(row.max()))
        for one, row in zip(examples, probabilities(examples), strict=True)
    ]
    return [
        one
        for one in doubts
        if one.confidence >= sure_from
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


def _example(
    said: Sequence[tuple[Labelled, Standing]], label: str, source: str, confirmed: bool
) -> Example:
    last = said[-1][0]
    ids = tuple(one.id for one, _ in said)
    return Example(
        last.sha256,
        ids,
        last.normalized,
        NO_DIGIT if label == NONE else int(label),
        source,
        confirmed,
    )


def choose(labelled: Iterable[Labelled], probabilities: Answers, sure_from: float) -> Chosen:
    """Part the labelled images into what to use and what not to use.

    Args:
        labelled: every submission of a digit of which something was said.
        probabilities: the serving model's, for the 28x28 of some examples.
        sure_from: the confidence from which on the model is believed to be sure.
    """
    found, contradicted, unsupported = find_examples(labelled)
    suspicious = find_doubts(found, probabilities, sure_from)
    doubted = {doubt.example.sha256 for doubt in suspicious}
    trusted = [one for one in found if one.sha256 not in doubted]
    return Chosen(trusted, suspicious, contradicted, unsupported)
