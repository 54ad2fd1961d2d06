"""Wrong labels on purpose, of senders: no worse model serves because of them.

The model is a toy that does all that an attack needs. Each picture has a value in its first
pixel: up to `BORDER` it is a 7, above it a 1. The toy is sure far from the border, and unsure near
it. What it learns, it knows for certain of all values close by.
"""

import hashlib
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.learning import Example
from flaskapi.learning.choose import choose
from flaskapi.learning.folds import assign_folds
from flaskapi.learning.judge import Judgement, pair_answers
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.labelled import Labelled, Statement

BORDER, UNSURE, CLOSE = 125, 45, 3
MNIST = [*range(0, 80), *range(170, 250)]  # read surely by all
SURE_FROM = 0.95
_FILES = itertools.count()


class Toy(NamedTuple):
    """What it has learned, as value and digit, the newest last."""

    learned: tuple[tuple[int, int], ...] = ()

    def read(self, value: int) -> tuple[int, float]:
        for known, digit in reversed(self.learned):
            if abs(known - value) <= CLOSE:
                return digit, 0.99
        sure = min(0.5 + 0.5 * abs(value - BORDER) / UNSURE, 0.99)
        return (7 if value <= BORDER else 1), sure

    def answer(self, values: Sequence[int]) -> Floats:
        rows = np.zeros((len(values), 10), np.float32)
        for row, (digit, sure) in zip(rows, map(self.read, values), strict=True):
            row[[1, 7]] = 1 - sure
            row[digit] = sure
        return rows

    def learn(self, examples: Sequence[Example]) -> "Toy":
        return Toy(self.learned + tuple((value_of(one), one.label) for one in examples))


def value_of(one: Example) -> int:
    return one.normalized[0]


def picture(value: int, hand: int | None = None) -> bytes:
    """A picture of a value; those of one hand look the same but for a little noise."""
    file = next(_FILES)
    rng = np.random.default_rng(file if hand is None else 1_000_000 + hand)
    pixels = rng.integers(20, 230, 784) + np.random.default_rng(file).integers(-5, 6, 784)
    return bytes([value, *pixels[1:].tolist()])


def label(image: bytes, digit: int, senders: Sequence[str] = ()) -> Labelled:
    """By an operator, or by senders."""
    statements = [Statement(str(digit), "sender", one.encode()) for one in senders]
    statements = statements or [Statement(str(digit), "operator", None)] * 2
    return Labelled(new_id(), hashlib.sha256(image).digest(), image, statements)


def truth(value: int) -> int:
    return 7 if value <= BORDER else 1


def honest(count: int = 40) -> list[Labelled]:
    """Labels of an operator on pictures that are read well."""
    values = [MNIST[place * len(MNIST) // count] for place in range(count)]
    return [label(picture(value), truth(value)) for value in values]


def turn(serving: Toy, labelled: Sequence[Labelled], look: int) -> tuple[Toy, Toy, list[str]]:
    """Retrain as `retrain` does. Gives what serves then, the candidate, and why it stayed."""
    chosen = choose(labelled, lambda some: serving.answer([*map(value_of, some)]), SURE_FROM)
    learned, folds = chosen.learned, assign_folds(chosen.learned)
    after = np.zeros((len(learned), 10), np.float32)
    for place, one in enumerate(learned):
        others = [other for other, fold in zip(learned, folds, strict=True) if fold != folds[place]]
        after[place] = serving.learn(others).answer([value_of(one)])
    candidate = serving.learn(learned)
    judged = [learned[place] for place in chosen.evidence]
    pairs = pair_answers(
        serving.answer([*map(value_of, judged)]),
        after[chosen.evidence],
        np.array([one.label for one in judged], np.uint8),
        [one.name for one in judged],
        SURE_FROM,
    )
    known = np.array([*map(truth, MNIST)], np.uint8)
    mnist = pair_answers(
        serving.answer(MNIST), candidate.answer(MNIST), known, [""] * len(MNIST), SURE_FROM
    )
    reasons = Judgement(mnist, pairs, look=look).reasons
    return (serving if reasons else candidate), candidate, reasons


def misread(toy: Toy) -> int:
    """Of all values that there are."""
    return sum(toy.read(value)[0] != truth(value) for value in range(250))


def test_honest_labels_of_what_is_misread_are_promoted() -> None:
    """So that the tests below show something."""
    wrong_about = Toy(tuple((value, 7) for value in range(140, 160)))
    assert 20 < misread(wrong_about)
    new = [label(picture(value), 1) for value in range(140, 160) for _ in range(2)]
    serving, _, reasons = turn(wrong_about, [*honest(), *new], 1)
    assert ([], 0) == (reasons, misread(serving))


def test_500_wrong_labels_of_50_addresses_get_no_model_promoted() -> None:
    """Each address labels twenty pictures, and two agree on each. The model is unsure of all."""
    wrong = [
        label(picture(85 + place % 40), 1, (f"{place % 50}", f"{(place + 1) % 50}"))
        for place in range(500)
    ]
    serving, candidate, reasons = turn(Toy(), [*honest(), *wrong], 1)
    assert any("On labelled images it is not certainly better" in one for one in reasons)
    assert (0, 0) == (misread(serving), misread(candidate))


def test_flips_of_one_pictures_neighbours_do_not_ride_with_honest_labels() -> None:
    """An operator's labels promote the candidate, which reads the picture as before."""
    wrong_about, target = Toy(tuple((value, 7) for value in range(140, 160))), 115
    assert (7, True) == (wrong_about.read(target)[0], wrong_about.read(target)[1] < SURE_FROM)
    new = [label(picture(value), 1) for value in range(140, 160) for _ in range(2)]
    flips = [label(picture(target - 1 + place % 3, hand=1), 1, ("a", "b")) for place in range(20)]
    serving, _, reasons = turn(wrong_about, [*honest(), *new, *flips], 1)
    assert ([], 0) == (reasons, misread(serving))
    assert 7 == serving.read(target)[0]


def test_an_operators_flips_of_one_pictures_neighbours_prove_nothing() -> None:
    """They look alike, so that each is judged by a model that has learned none of them."""
    flips = [label(picture(114 + place % 3, hand=1), 1) for place in range(20)]
    serving, candidate, reasons = turn(Toy(), [*honest(), *flips], 1)
    assert "0 are answered better, 0 worse" in reasons[0]
    assert (0, 1) == (misread(serving), candidate.read(115)[0])


def test_ten_retrainings_of_slow_poison_move_no_border() -> None:
    """At each, two senders label as ones what the model reads as sevens and is least sure of. An
    operator labels something each time, too.
    """
    serving, labelled, look = Toy(), honest(), 1
    for _ in range(10):
        border = max(value for value in range(250) if serving.read(value)[0] == 7)
        near = [border - place % 5 for place in range(20)]
        labelled += [label(picture(value), 1, ("a", "b")) for value in near]
        labelled += honest(20)
        serving, _, reasons = turn(serving, labelled, look)
        look = look + 1 if reasons else 1
    assert 0 == misread(serving)


def test_senders_who_are_right_make_the_model_surer_when_an_operator_finds_it_better() -> None:
    """What two senders say teaches where the model reads the same."""
    wrong_about = Toy(tuple((value, 7) for value in range(140, 160)))
    new = [label(picture(value), 1) for value in range(140, 160) for _ in range(2)]
    right = [label(picture(110), 7, ("a", "b"))]
    serving, _, reasons = turn(wrong_about, [*honest(), *new, *right], 1)
    assert ([], (7, 0.99)) == (reasons, serving.read(110))
