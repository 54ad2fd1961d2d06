"""What is learned from: who must say it, and what the serving model may object to."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest

from flaskapi.labels import NO_DIGIT
from flaskapi.learning import Example
from flaskapi.learning.choose import (
    Answers,
    Chosen,
    choose,
    find_examples,
    find_number_digits,
    rank_doubts,
)
from flaskapi.learning.folds import FOLDS
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.labelled import Labelled, Statement


def operator(label: str | None) -> Statement:
    return Statement(label, "operator", None)


def sender(label: str | None, client: bytes | None = b"a") -> Statement:
    return Statement(label, "sender", client)


def submission(*statements: Statement, image: bytes = b"image") -> Labelled:
    return Labelled(new_id(), hashlib.sha256(image).digest(), image.ljust(784), list(statements))


def sure_of(digit: int, confidence: float = 0.99) -> Answers:
    def answer(examples: Sequence[Example]) -> npt.NDArray[np.float32]:
        row = np.full(10, (1 - confidence) / 9, np.float32)
        row[digit] = confidence
        return np.tile(row, (len(examples), 1))

    return answer


def labels(*labelled: Labelled) -> list[tuple[int, str, bool]]:
    return [(one.label, one.source, one.confirmed) for one in find_examples(labelled)[0]]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param([operator("4")], [(4, "operator", False)], id="an operator's label counts"),
        pytest.param(
            [operator("none")], [(NO_DIGIT, "operator", False)], id="also that there is no digit"
        ),
        pytest.param([operator("4"), operator("9")], [(9, "operator", False)], id="the newest"),
        pytest.param(
            [operator("4"), operator("4")],
            [(4, "operator", True)],
            id="given again it is confirmed",
        ),
        pytest.param(
            [operator("4"), operator("9"), operator("4")],
            [(4, "operator", False)],
            id="but not with another between",
        ),
        pytest.param([operator("4"), operator(None)], [], id="withdrawn it is gone"),
        pytest.param(
            [operator("4"), operator(None), operator("4")],
            [(4, "operator", False)],
            id="and so is what it would confirm",
        ),
        pytest.param([sender("4"), sender("4")], [], id="one sender is not two"),
        pytest.param(
            [sender("4"), operator("9")],
            [(9, "operator", False)],
            id="an operator goes before senders",
        ),
        pytest.param(
            [sender("4"), operator("4")],
            [(4, "operator", False)],
            id="who confirms a sender has said it once",
        ),
        pytest.param(
            [sender("4"), sender("4", b"b")],
            [(4, "senders", False)],
            id="two senders who agree count",
        ),
        pytest.param([sender("4"), sender("9", b"b")], [], id="who disagree do not"),
        pytest.param(
            [sender("4"), sender("4", b"b"), sender("9", b"c")],
            [],
            id="nor where a third disagrees",
        ),
        pytest.param(
            [sender("4"), sender("4", b"b"), sender(None, b"b")],
            [],
            id="nor where one takes it back",
        ),
        pytest.param(
            [sender("4", None), sender("4", None)], [], id="nor where they cannot be told apart"
        ),
        pytest.param(
            [sender("4"), sender("4", b"b"), operator(None)],
            [],
            id="an operator withdraws theirs too",
        ),
    ],
)
def test_a_label_counts_by_who_says_it(
    statements: list[Statement], expected: list[tuple[int, str, bool]]
) -> None:
    assert expected == labels(submission(*statements))


def test_two_senders_of_identical_images_agree_across_their_submissions() -> None:
    assert [(4, "senders", False)] == labels(submission(sender("4")), submission(sender("4", b"b")))
    assert [] == labels(submission(sender("4")), submission(sender("4", b"b"), image=b"other"))


def test_an_image_sent_twice_is_one_example_that_names_both() -> None:
    twice = [submission(operator("4")), submission(operator("4"))]
    (example,), _, _ = find_examples(twice)
    assert (tuple(one.id for one in twice), False) == (example.ids, example.confirmed)


def test_operators_who_contradict_each_other_on_the_same_image_are_named_and_not_used() -> None:
    found, contradicted, unsupported = find_examples(
        [submission(operator("4")), submission(operator("9"))]
    )
    assert ([], 1, 0) == (found, len(contradicted), unsupported)


def test_five_hundred_labels_of_one_sender_teach_nothing() -> None:
    wrong = [submission(sender("1"), image=b"%d" % place) for place in range(500)]
    chosen = choose(wrong, sure_of(7, 0.5), 0.95)
    assert ([], 500) == (chosen.learned, chosen.unsupported)


def used(chosen: Chosen) -> int:
    return len(chosen.learned)


@pytest.mark.parametrize(
    ("label", "said", "confidence", "is_used"),
    [
        ("7", 7, 0.99, True),
        ("1", 7, 0.99, False),
        ("1", 7, 0.9, True),
        ("none", 7, 0.99, False),
        ("none", 7, 0.2, True),
    ],
)
def test_a_label_is_suspicious_where_the_model_is_sure_of_something_else(
    label: str, said: int, confidence: float, is_used: bool
) -> None:
    chosen = choose([submission(operator(label))], sure_of(said, confidence), 0.95)
    assert (is_used, 0 if is_used else 1) == (used(chosen) == 1, len(chosen.suspicious))
    confirmed = choose(
        [submission(operator(label), operator(label))], sure_of(said, confidence), 0.95
    )
    assert (1, []) == (used(confirmed), confirmed.suspicious)


@pytest.mark.parametrize(("label", "is_used"), [("7", True), ("1", False), ("none", False)])
def test_agreeing_senders_teach_only_what_the_model_reads_itself(label: str, is_used: bool) -> None:
    """However unsure it is; what they teach judges no candidate."""
    senders = [sender(label), sender(label, b"b")]
    chosen = choose([submission(*senders)], sure_of(7, 0.5), 0.95)
    assert (is_used, not is_used, []) == (
        used(chosen) == 1,
        len(chosen.suspicious) == 1,
        chosen.evidence,
    )
    by_operator = choose([submission(*senders, operator(label))], sure_of(7, 0.5), 0.95)
    assert (1, [0]) == (used(by_operator), by_operator.evidence)


def test_agreeing_senders_are_suspicious_too_until_an_operator_has_said_it_twice() -> None:
    senders = [sender("1"), sender("1", b"b")]
    for statements, expected in (
        (senders, 1),
        ([*senders, operator("1")], 1),
        ([*senders, operator("1"), operator("1")], 0),
    ):
        assert expected == len(choose([submission(*statements)], sure_of(7), 0.95).suspicious)


def test_the_labels_that_no_model_believes_are_to_be_looked_at_again_first() -> None:
    """A fifth of them; that there is no digit, a model says by all ten alike."""
    many = [submission(operator(str(place % 10)), image=b"%d" % place) for place in range(10)]
    many += [submission(operator("none"), image=b"none")]
    examples = choose(many, sure_of(0, 0.5), 0.95).learned
    rows = np.full((11, 10), 0.05, np.float32)
    rows[np.arange(10), np.arange(10)] = 0.55
    rows[4] = np.roll(rows[4], 3)
    rows[10] = 0.1
    doubts = rank_doubts(examples, rows, rows)
    assert [4] == [doubt.example.label for doubt in doubts[:1]]
    assert (7, 3) == (doubts[0].digit, len(doubts))
    assert NO_DIGIT not in [doubt.example.label for doubt in doubts]


def cut_in_places(id: UUID, number: str) -> list[bytes]:
    return [bytes([place]) * 784 for place, _ in enumerate(number)]


def test_a_labelled_number_gives_its_digits_and_their_names_say_where() -> None:
    number = submission(operator("407"), operator("407"))
    found = find_number_digits([number], cut_in_places)
    assert (1, 0) == (found.numbers, found.not_found)
    assert [
        (4, f"{number.id}#1", b"\0" * 784, True),
        (0, f"{number.id}#2", b"\1" * 784, True),
        (7, f"{number.id}#3", b"\2" * 784, True),
    ] == [(one.label, one.name, one.normalized, one.confirmed) for one in found.examples]
    chosen = choose([submission(operator("4"))], sure_of(4, 0.2), 0.95, found)
    assert 4 == len(chosen.learned)


def test_digits_of_one_number_are_different_images_of_one_fold() -> None:
    (first, second) = find_number_digits([submission(operator("11"))], cut_in_places).examples
    assert first.sha256 != second.sha256
    assert first.sha256[0] % FOLDS == second.sha256[0] % FOLDS


def test_numbers_count_by_the_rules_of_digits() -> None:
    """Senders who disagree about one digit of a number have not labelled the others either."""
    by_two = submission(sender("12"), sender("12", b"b"), image=b"agreed")
    in_doubt = submission(sender("34"), sender("35", b"b"), image=b"in doubt")
    is_none = submission(operator("none"), image=b"no number")
    found = find_number_digits([by_two, in_doubt, is_none], cut_in_places)
    assert [1, 2] == [one.label for one in found.examples]
    assert (1, 0) == (found.numbers, found.not_found)


def test_a_number_whose_digits_are_not_found_gives_none_and_is_counted() -> None:
    found = find_number_digits([submission(operator("12"))], lambda id, number: None)
    assert ([], 0, 1) == found
