"""The measures against values that were counted by hand."""

import json

import numpy as np
import pytest

from flaskapi.evaluation.measures import (
    CALIBRATION_BINS,
    Bin,
    DigitEvaluation,
    NumberEvaluation,
    Outcome,
    together,
)

MIXED = DigitEvaluation(
    [
        Outcome("right", "1", "1", 0.9, False),
        Outcome("wrong and sure", "1", "7", 0.95, False),
        Outcome("right, not sure", "7", "7", 0.5, True),
        Outcome("not found", "7", None, problem="blank"),
        Outcome("right and sure", "0", "0", 0.97, False),
        Outcome("blank, found to be", None, None, problem="blank"),
        Outcome("a letter, taken for a 3", None, "3", 0.85, False),
        Outcome("a letter, not sure", None, "3", 0.4, True),
    ]
)


def test_digits_count_as_right_when_named_sure_or_not() -> None:
    assert (0.6, 2) == (MIXED.accuracy, MIXED.wrong)
    by_digit = {"0": 1.0, "1": 0.5, "7": 0.5}
    assert dict.fromkeys("0123456789") | by_digit == MIXED.accuracy_by_group, (
        "None where there is no such digit"
    )


def test_what_was_left_uncertain_counts_among_digits() -> None:
    assert (0.4, pytest.approx(1 / 3)) == (MIXED.uncertain_share, MIXED.wrong_of_certain)


def test_what_is_no_digit_is_rejected_when_none_is_found_or_none_named_for_sure() -> None:
    assert pytest.approx(2 / 3) == MIXED.rejected_share


def test_confusion_has_a_row_and_a_column_for_none() -> None:
    expected = np.zeros((11, 11), int)
    for was, said, count in (
        (1, 1, 1),
        (1, 7, 1),
        (7, 7, 1),
        (7, 10, 1),
        (0, 0, 1),
        (10, 10, 1),
        (10, 3, 2),
    ):
        expected[was, said] = count
    np.testing.assert_array_equal(MIXED.confusion, expected)


def test_bins_hold_the_digits_that_were_read_by_confidence() -> None:
    """Of 15 bins, 0.5 falls into the eighth, 0.9 into the last but one, and all from 14/15 up, 1
    included, into the last.
    """
    bins = MIXED.bins
    assert CALIBRATION_BINS == len(bins)
    assert {7: (1, 0.5, 1), 13: (1, 0.9, 1), 14: (2, pytest.approx(0.96), 0.5)} == {
        i: tuple(b) for i, b in enumerate(bins) if b.answers
    }
    assert Bin(1, 1.0, 1.0) == DigitEvaluation([Outcome("", "3", "3", 1.0, False)]).bins[-1]


def test_calibration_error_is_the_gap_between_confidence_and_accuracy_weighted_by_answers() -> None:
    assert pytest.approx((1 * 0.5 + 1 * 0.1 + 2 * 0.46) / 4) == MIXED.calibration_error


@pytest.mark.parametrize(
    ("said", "error"),
    [("33", 0), ("35", 0.5), ("55", 1)],
    ids=["always right", "half right", "never right"],
)
def test_who_is_always_sure_is_off_by_how_often_that_is_wrong(said: str, error: float) -> None:
    assert (
        error
        == DigitEvaluation(
            [Outcome("", "3", digit, 1.0, False) for digit in said]
        ).calibration_error
    )


def test_mistakes_are_what_was_not_right_the_surest_first() -> None:
    assert ["wrong and sure", "a letter, taken for a 3", "not found"] == [
        outcome.name for outcome in MIXED.mistakes
    ]


@pytest.mark.parametrize(
    "outcomes",
    [[], [Outcome("", "3", None)], [Outcome("", None, None)]],
    ids=["nothing", "unread", "no digit"],
)
def test_where_there_is_nothing_to_share_a_share_is_zero(outcomes: list[Outcome]) -> None:
    empty = DigitEvaluation(outcomes)
    assert (0, 0, 0) == (empty.accuracy, empty.wrong_of_certain, empty.calibration_error)
    assert {Bin(0, 0, 0)} == set(empty.bins)
    assert len(outcomes) == empty.confusion.sum()
    figures = empty.figures()
    assert len(outcomes) == figures.get("digits", 0) + figures.get("others", 0)


def test_figures_are_plain_numbers_rounded() -> None:
    expected = {
        "digits": 5,
        "wrong": 2,
        "accuracy": 0.6,
        "uncertain": 0.4,
        "wrong_of_certain": 0.333333,
        "calibration_error": 0.38,
        "others": 3,
        "rejected": 0.666667,
    }
    assert expected == json.loads(json.dumps(MIXED.figures()))
    assert ["others", "rejected"] == list(DigitEvaluation(MIXED.others).figures()), (
        "what a set has none of is left out"
    )
    assert "rejected" not in DigitEvaluation(MIXED.written).figures()


def test_a_file_that_cannot_be_read_is_no_answer_about_what_it_shows() -> None:
    blank, damaged = (Outcome("a.png", None, None, refused=refused) for refused in (False, True))
    assert (True, False) == (blank.right, damaged.right)


def test_sets_are_put_together_under_a_name_that_says_which() -> None:
    sets = {
        name: DigitEvaluation([Outcome(name, "1", "1", 0.9, False)])
        for name in ("mnist", "exams", "photos")
    }
    assert {"all together": 3} == {name: len(one.written) for name, one in together(sets).items()}
    assert {"all but mnist": 2} == {
        name: len(one.written) for name, one in together(sets, ["mnist"]).items()
    }
    assert (
        {}
        == together({"exams": sets["exams"]})
        == together({name: sets[name] for name in ("mnist", "exams")}, ["mnist"])
    )


def number(
    label: str | None, said: str | None, confidence: float = 0.9, uncertain: bool = False
) -> Outcome:
    return Outcome("", label, said, confidence, uncertain)


NUMBERS = NumberEvaluation(
    [
        number("12", "12"),
        number("12|345", "12|345", 0.8),
        number("12|345", "123|45"),
        number("98765", "9876", 0.7, True),
        number("12", None, 0, True),
        number(None, "7", 0.3, True),
    ]
)


def test_a_number_is_right_when_all_its_digits_are_and_its_lines_count_apart() -> None:
    assert (0.6, 0.4, 2) == (NUMBERS.accuracy, NUMBERS.lines_accuracy, NUMBERS.wrong)
    assert {"2": 0.5, "5": pytest.approx(2 / 3)} == NUMBERS.accuracy_by_group
    assert (0.4, 0, 1) == (
        NUMBERS.uncertain_share,
        NUMBERS.wrong_of_certain,
        NUMBERS.rejected_share,
    )


def test_calibration_is_over_whole_numbers() -> None:
    assert pytest.approx((2 * 0.1 + 0.2 + 0.7) / 4) == NUMBERS.calibration_error


@pytest.mark.parametrize(
    ("label", "said", "errors"),
    [
        ("12345", "12345", 0),
        ("12|345", "123|45", 0),
        ("12345", "1234", 1),
        ("12345", "912345", 1),
        ("12345", "12945", 1),
        ("12345", "21345", 2),
        ("12345", "", 5),
        ("12345", None, 5),
        ("7", "123", 3),
        (None, "12", 2),
    ],
)
def test_errors_are_the_digits_to_put_in_take_out_or_change(
    label: str | None, said: str | None, errors: int
) -> None:
    assert errors == number(label, said).errors


def test_the_rate_of_errors_is_over_the_digits_that_were_written() -> None:
    assert pytest.approx((0 + 0 + 0 + 1 + 2) / (2 + 5 + 5 + 5 + 2)) == NUMBERS.digit_error_rate
    assert 0 == NumberEvaluation([]).digit_error_rate == NumberEvaluation([]).lines_accuracy


def test_numbers_are_put_together_as_digits_are() -> None:
    both = together({"a": NUMBERS, "b": NUMBERS})["all together"]
    assert (NUMBERS.digit_error_rate, 10) == (both.digit_error_rate, len(both.written))
