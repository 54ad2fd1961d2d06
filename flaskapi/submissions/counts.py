"""Counts for statistics, in a form that can be added: each number of two days together is the sum
of both.

Counts are dictionaries and lists of numbers, so that they can be kept as JSON:

    {"routes": {"/predict": 3}, "confidence": 2.9, "uncertain": 1,
     "histograms": {"ink_share": [0, 1, ...], ...},          # digits in each bin of `drift.EDGES`
     "labelled": {"confusion": [[...]], "bins": [[answers, confidence, right], ...], "others": [all,
     uncertain]}, "shadows": {"2026-11-22-1a2b3c4d": [answers, agreements]}}
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any, TypeVar

from flaskapi.labels import DIGITS, NONE

Counts = dict[str, Any]
Value = TypeVar("Value", dict[str, Any], list[Any], float)

BINS = 15  # of equal width, as `evaluate` has them


def merge(one: Value, other: Value) -> Value:
    """Add counts of the same form. A count that only one of them has is kept."""
    if isinstance(one, dict):
        return {
            key: merge(one[key], other[key])
            if key in one and key in other
            else one.get(key, other.get(key))
            for key in one | other
        }
    if isinstance(one, list):
        return [merge(mine, theirs) for mine, theirs in zip(one, other, strict=True)]
    return one + other


def total(counts: Iterable[Counts]) -> Counts:
    """Add any number of counts; it may be none."""
    return reduce(merge, counts, {})


def count_labelled(rows: Iterable[tuple[str, str, bool, float]]) -> Counts:
    """Count answers to labelled submissions.

    Args:
        rows: for each, the label, the answer, whether it was uncertain, and its confidence.
    """
    confusion = [[0] * DIGITS for _ in range(DIGITS + 1)]
    bins = [[0, 0.0, 0] for _ in range(BINS)]
    others = [0, 0]
    for label, answer, uncertain, confidence in rows:
        if len(answer) == 1 and (len(label) == 1 or label == NONE):
            confusion[DIGITS if label == NONE else int(label)][int(answer)] += 1
        if label == NONE:
            others = [others[0] + 1, others[1] + uncertain]
            continue
        place = min(int(confidence * BINS), BINS - 1)
        bins[place] = [
            bins[place][0] + 1,
            bins[place][1] + confidence,
            bins[place][2] + (label == answer),
        ]
    return {"confusion": confusion, "bins": bins, "others": others}


def describe(counts: Counts) -> dict[str, Any]:
    """Describe counts by shares from 0 to 1, rounded to significant digits; None for a share of
    nothing.
    """
    routes = counts.get("routes", {})
    answers = sum(routes.values())
    described = {
        "answers": answers,
        "routes": routes,
        "confidence": _share(counts.get("confidence", 0), answers),
        "uncertain": _share(counts.get("uncertain", 0), answers),
        "labelled": _describe_labelled(counts["labelled"]) if "labelled" in counts else None,
    }
    shadows = counts.get("shadows", {})
    described["shadows"] = {
        model: {"answers": of, "agreements": same, "disagreements": of - same}
        for model, (of, same) in sorted(shadows.items())
    }
    return described


def _describe_labelled(counts: Counts) -> dict[str, Any]:
    bins = counts["bins"]
    named, right = sum(of for of, _, _ in bins), sum(right for _, _, right in bins)
    error = sum(abs(confidence - right) for _, confidence, right in bins)
    return {
        "digits": named,  # or numbers
        "right": right,
        "accuracy": _share(right, named),
        "calibration_error": _share(error, named),
        "calibration": [
            {"answers": of, "confidence": _share(confidence, of), "accuracy": _share(right, of)}
            for of, confidence, right in bins
        ],
        "confusion": counts["confusion"],
        NONE: counts["others"][0],
        "none_uncertain": counts["others"][1],
    }


def _share(part: float, of: int) -> float | None:
    return round(part / of, 4) if of else None
