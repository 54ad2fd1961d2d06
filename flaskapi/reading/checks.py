"""Check digits: can a number be of the kind that the caller expects?"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from flaskapi.reading.readings import Reading

Check = Literal["luhn", "ean", "iban", "mod11"]
CHECKS: tuple[Check, ...] = get_args(Check)
READINGS = (
    40  # that are checked: of a number read half surely, more than that have 1 in 10,000 each
)
# The share of random numbers that pass.
CHANCE: dict[Check, float] = {"luhn": 0.1, "ean": 0.1, "iban": 0.01, "mod11": 1 / 11}
# Share of the likeliest reading's confidence: below it, the check more likely does not apply.
LEAST_SHARE = 0.01
EAN_LENGTHS = (8, 12, 13, 14)
# Countries whose account numbers consist of digits, with the number of digits of an IBAN after the
# two letters, which are not read (ISO 13616 registry).
IBAN_COUNTRIES = {
    13: ("NO",),
    14: ("BE",),
    16: ("DK", "FI"),
    17: ("SI",),
    18: ("AT", "EE", "LT"),
    19: ("CH", "HR", "LI"),
    20: ("DE",),
    22: ("CZ", "ES", "SE", "SK"),
    23: ("PT",),
    24: ("IS",),
    26: ("HU", "PL"),
}


def passes(check: Check, number: str) -> bool:
    """Does a number of digits pass its check?

    `luhn`: payment cards and many customer numbers (ISO/IEC 7812-1). `ean`: EAN-8, EAN-13, UPC-A
    and GTIN-14 (GS1). `iban`: the digits of an IBAN after its two letters (ISO 13616). `mod11`:
    weights that rise from 1 at the last digit, as in ISBN-10 (ISO 2108).
    """
    return bool(number) and _CHECKS[check](number)


def _luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return len(number) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _ean(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    return len(number) in EAN_LENGTHS and (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0


def _iban(number: str) -> bool:
    for country in IBAN_COUNTRIES.get(len(number), ()):
        letters = "".join(str(int(letter, 36)) for letter in country)
        if int(number[2:] + letters + number[:2]) % 97 == 1:
            return True
    return False


def _mod11(number: str) -> bool:
    weighed = sum(weight * int(digit) for weight, digit in enumerate(reversed(number), 1))
    return len(number) > 1 and weighed % 11 == 0


_CHECKS: dict[Check, Callable[[str], bool]] = {
    "luhn": _luhn,
    "ean": _ean,
    "iban": _iban,
    "mod11": _mod11,
}


def rank(readings: Sequence[Reading], check: Check) -> tuple[list[Reading], bool]:
    """Put the readings that pass first, and say whether any does.

    The confidence of a reading that passes is its share among all that pass, by Bayes' rule;
    numbers that are not among the readings pass by chance.

    Args:
        readings: the likeliest first.
        check: the check that the number passes according to the caller.
    """
    least = LEAST_SHARE * max((reading.confidence for reading in readings), default=0)
    fitting = [one for one in readings if one.confidence > least and passes(check, one.number)]
    if not fitting:
        return list(readings), False
    rest = max(0.0, 1 - sum(reading.confidence for reading in readings)) * CHANCE[check]
    whole = sum(reading.confidence for reading in fitting) + rest
    return [
        reading._replace(confidence=round(reading.confidence / whole, 4) if whole else 0.0)
        for reading in fitting
    ], True
