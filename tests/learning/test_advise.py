"""What a person is told before any training."""

import pytest

from flaskapi.evaluation.measures import Outcome
from flaskapi.learning.advise import Count, advise, describe, to_plain
from flaskapi.learning.judge import Pair


def said(right: int, unsure: int, wrong: int) -> list[Pair]:
    """Sevens, of which some are read surely, some uncertainly and some as a 1."""
    outcomes = [Outcome("", "7", "7", 0.99, False)] * right
    outcomes += [Outcome("", "7", "7", 0.9, True)] * unsure
    outcomes += [Outcome("", "7", "1", 0.9, True)] * wrong
    return [Pair(one, one) for one in outcomes]


def test_it_counts_what_there_is_by_digit() -> None:
    advice = advise([*said(20, 6, 4), Pair(*[Outcome("", None, "3", 0.5, True)] * 2)], 1, ["a"])
    assert {7: Count(30, 4, 6), 10: Count(1, 0, 0)} == advice.counts
    assert Count(31, 4, 6) == advice.total
    text = describe(advice)
    assert "misreads 4 of 31 labelled images, and is not sure of 6 more" in text
    assert "  7: 30 labelled, 4 misread, 6 uncertain\n  no digit: 1 labelled" in text
    plain = to_plain(advice)
    assert {"labelled": 30, "misread": 4, "uncertain": 6} == plain["by_digit"]["7"]
    assert ["a"] == plain["next_ids"]


def test_five_to_be_gained_are_enough_at_first_and_more_later() -> None:
    """Half of what is misread or uncertain is expected to be gained, and one in a hundred lost."""
    assert 0 == advise(said(30, 6, 4), 1, []).wanted
    later = advise(said(30, 6, 4), 5, []).wanted
    assert later
    assert 0 < later < (advise(said(30, 6, 4), 10, []).wanted or 0)
    assert "is probably enough" in describe(advise(said(30, 6, 4), 1, []))


@pytest.mark.parametrize("count", [20, 40, 100])
def test_a_hand_that_is_read_well_is_said_to_be(count: int) -> None:
    assert advise(said(count, 0, 0), 1, []).wanted is None
    assert "next to nothing to be gained" in describe(advise(said(count, 0, 0), 1, []))


def test_the_fewer_are_misread_the_more_labels_are_wanted() -> None:
    few, many = (advise(said(40 - bad, 0, bad), 1, []).wanted for bad in (3, 6))
    assert few is not None
    assert many is not None
    assert 0 < many < few


def test_without_a_label_nothing_is_said_of_the_model() -> None:
    text = describe(advise([], 1, []))
    assert "There is no label yet to judge the model by." in text
    assert "reads these images well" not in text
