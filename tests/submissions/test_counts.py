from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskapi.evaluation.measures import DigitEvaluation, Outcome
from flaskapi.submissions.counts import count_labelled, describe, merge, total

DIGITS = st.sampled_from("0123456789")
ROWS = st.lists(
    st.tuples(
        DIGITS | st.just("none"), DIGITS, st.booleans(), st.integers(0, 64).map(lambda n: n / 64)
    )
)


def to_counts(rows: list[Any]) -> dict[str, Any]:
    return {"routes": {"/predict": len(rows)}, "labelled": count_labelled(rows)} if rows else {}


@given(st.lists(ROWS, max_size=5))
def test_days_counted_one_by_one_and_added_up_are_what_all_of_them_counted_at_once_are(
    days: list[list[Any]],
) -> None:
    assert to_counts([row for day in days for row in day]) == total(map(to_counts, days))


@given(ROWS)
def test_accuracy_calibration_and_confusion_are_those_that_evaluate_measures(
    rows: list[Any],
) -> None:
    outcomes = [
        Outcome("", None if label == "none" else label, said, confidence, uncertain)
        for label, said, uncertain, confidence in rows
    ]
    evaluation, found = (
        DigitEvaluation(outcomes),
        describe({"labelled": count_labelled(rows)})["labelled"],
    )
    assert evaluation.confusion[:, :10].tolist() == found["confusion"]
    assert len(evaluation.written) == found["digits"]
    assert (len(evaluation.others), sum(one.uncertain for one in evaluation.others)) == (
        found["none"],
        found["none_uncertain"],
    )
    if evaluation.written:
        assert pytest.approx(evaluation.accuracy, abs=1e-4) == found["accuracy"]
        assert pytest.approx(evaluation.calibration_error, abs=1e-4) == found["calibration_error"]
        assert [bin.answers for bin in evaluation.bins] == [
            bin["answers"] for bin in found["calibration"]
        ]


def test_what_only_one_day_has_stays() -> None:
    one, other = (
        {"routes": {"/predict": 1}, "uncertain": 1},
        {"routes": {"/predict": 2, "/predict/batch": 5}, "shadows": {"b": [4, 3]}},
    )
    assert {
        "routes": {"/predict": 3, "/predict/batch": 5},
        "uncertain": 1,
        "shadows": {"b": [4, 3]},
    } == merge(one, other)


def test_by_hand() -> None:
    """Two answers with 0.9, one of them right: half a bin's confidence of 0.9 is missing. A number
    is right or wrong as a whole.
    """
    rows = [
        ("7", "7", False, 0.9),
        ("1", "7", True, 0.9),
        ("none", "3", True, 0.4),
        ("512", "512", False, 1.0),
    ]
    found = describe(
        {
            "routes": {"/predict": 4},
            "confidence": 3.2,
            "uncertain": 2,
            "labelled": count_labelled(rows),
        }
    )
    assert (4, 0.8, 0.5) == (found["answers"], found["confidence"], found["uncertain"])
    labelled = found["labelled"]
    assert (3, 2, 0.6667) == (labelled["digits"], labelled["right"], labelled["accuracy"])
    assert pytest.approx(2 / 3 * 0.4, abs=1e-4) == labelled["calibration_error"]
    assert (1, 1) == (labelled["none"], labelled["none_uncertain"])
    assert (1, 1, 1, 3) == (
        labelled["confusion"][7][7],
        labelled["confusion"][1][7],
        labelled["confusion"][10][3],
        sum(map(sum, labelled["confusion"])),
    )
    assert {"answers": 2, "confidence": 0.9, "accuracy": 0.5} == labelled["calibration"][13]
    assert {"answers": 0, "confidence": None, "accuracy": None} == labelled["calibration"][0]


def test_of_nothing_there_is_nothing_to_share() -> None:
    assert {
        "answers": 0,
        "routes": {},
        "confidence": None,
        "uncertain": None,
        "labelled": None,
        "shadows": {},
    } == describe({})
