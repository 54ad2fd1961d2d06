"""Check digits, by examples that their standards print."""

import pytest

from flaskapi.reading.checks import CHECKS, Check, passes, rank
from flaskapi.reading.readings import Reading

VALID: list[tuple[Check, str]] = [
    ("luhn", "79927398713"),
    ("luhn", "4111111111111111"),
    ("ean", "4006381333931"),
    ("ean", "96385074"),
    ("ean", "036000291452"),
    ("iban", "89370400440532013000"),  # DE89 3704 0044 0532 0130 00
    ("iban", "68539007547034"),  # BE68 5390 0754 7034
    ("mod11", "0306406152"),
]


def reading(number: str, confidence: float) -> Reading:
    return Reading(tuple(map(int, number)), confidence)


@pytest.mark.parametrize(("check", "number"), VALID)
def test_a_valid_number_passes_and_no_other_last_digit_does(check: Check, number: str) -> None:
    assert passes(check, number)
    others = [number[:-1] + digit for digit in "0123456789" if digit != number[-1]]
    assert not any(passes(check, other) for other in others)


@pytest.mark.parametrize("check", CHECKS)
def test_nothing_and_one_digit_pass_no_check(check: Check) -> None:
    assert not passes(check, "")
    assert not passes(check, "0")


def test_a_number_of_another_length_is_no_ean_and_no_iban() -> None:
    assert not passes("ean", "0")
    assert not passes("ean", "00000")
    assert not passes("iban", "893704004405320130")


def test_the_likeliest_that_passes_goes_first_by_its_share_of_what_passes() -> None:
    """Of what is not among the readings one in ten passes by chance."""
    readings = [reading("79927398718", 0.6), reading("79927398713", 0.3)]
    best, passed = rank(readings, "luhn")
    assert passed
    assert ["79927398713"] == [one.number for one in best]
    assert best[0].confidence == pytest.approx(0.3 / (0.3 + 0.1 * 0.1), abs=1e-4)


def test_where_none_passes_the_readings_stay_as_they_are() -> None:
    readings = [reading("79927398718", 0.6), reading("79927398710", 0.3)]
    assert (readings, False) == rank(readings, "luhn")


def test_what_next_to_nothing_speaks_for_is_not_made_the_answer_by_its_check() -> None:
    readings = [reading("79927398718", 0.99), reading("79927398713", 0.001)]
    assert (readings, False) == rank(readings, "luhn")
