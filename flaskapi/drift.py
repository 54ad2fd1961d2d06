"""Drift: do the received digits resemble the training data? Histograms of both over the same bins,
and the distance between them.

The population stability index is the sum of (found - expected) * ln(found / expected) over the
bins, in shares; it is 0 if both are equal (Siddiqi, "Credit Risk Scorecards", 2006, which has the
same two limits).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

# The edges of the bins. For the first two measures, each bin has about a tenth of MNIST's training
# digits. Preparation removes the other two, so for them only the shares below the limits of `small`
# and `low-contrast` matter.
EDGES: dict[str, tuple[float, ...]] = {
    "ink_share": (0.08, 0.095, 0.105, 0.12, 0.13, 0.14, 0.155, 0.17, 0.19),
    "stroke_px": (3.0, 3.1, 3.3, 3.4, 3.5, 3.7, 3.8, 4.0, 4.4),
    "size_px": (10.0, 20.0),
    "contrast": (40.0,),
    "digit": (1, 2, 3, 4, 5, 6, 7, 8, 9),
}
SOMEWHAT, OTHER = 0.1, 0.25
FEWEST = 200  # digits; with fewer, chance alone makes an index of 0.05 and more
# A smaller share counts as this, so that a bin that is empty by chance does not decide.
LEAST_SHARE = 0.005
ADVICE = {
    "ink_share": "Look at some of the pictures with include=normalized: are pens bold or faint, or "
    "do they show something other than one digit?",
    "stroke_px": "Look at some of the pictures with include=normalized: are other pens used, or "
    "are the pictures reduced or blurred before they are sent?",
    "size_px": "Ask for larger pictures: a digit below 20 pixels is enlarged, and below 10 pixels "
    "it is smaller than any in training.",
    "contrast": "Ask for better light or a better scan: below 40 grey levels, ink is hard to "
    "distinguish from the grain of paper.",
    "digit": "Is this mix expected, as in postcodes? If not, label some digits, and see in the "
    "confusion matrix how they are misread.",
}

# Counted on 55,000 of MNIST's training images (5,000 are held out for validation), as
# `training/reference.py` does; for models whose card has no `reference`.
DEFAULT: dict[str, list[float]] = {
    "ink_share": [0.1166, 0.0999, 0.0798, 0.1356, 0.0917, 0.0887, 0.1173, 0.0908, 0.0855, 0.0940],
    "stroke_px": [0.1273, 0.0714, 0.1483, 0.0733, 0.0723, 0.1280, 0.0553, 0.0945, 0.1195, 0.1102],
    "size_px": [0.0, 0.04, 0.96],
    "contrast": [0.0, 1.0],
    "digit": [0.0985, 0.1125, 0.0999, 0.1027, 0.0977, 0.0897, 0.0987, 0.1044, 0.0973, 0.0987],
}


def find_reference(card: Mapping[str, Any]) -> tuple[str, Mapping[str, Sequence[float]]]:
    """The distribution of a model's training data, as shares of its digits in each bin, and its
    source: the model's card, otherwise MNIST.
    """
    found = card.get("reference") or {}
    if all(found.get(name, {}).get("edges") == list(edges) for name, edges in EDGES.items()):
        return "the model's card", {name: found[name]["shares"] for name in EDGES}
    return "MNIST", DEFAULT


def to_reference(counts: Mapping[str, Sequence[float]]) -> dict[str, dict[str, list[float]]]:
    """Convert counts, or shares, in each bin to the form of a card."""
    return {
        name: {
            "edges": list(edges),
            "shares": [round(n / sum(counts[name]), 4) for n in counts[name]],
        }
        for name, edges in EDGES.items()
    }


def compare(name: str, counts: Sequence[int], expected: Sequence[float]) -> dict[str, Any]:
    """Compare the histogram of one measure with the expected one, and say what the distance means.

    Args:
        name: one of `EDGES`.
        counts: digits in each bin, one more than there are edges.
        expected: shares of the training digits.
    """
    total = sum(counts)
    index = round(stability_index(counts, expected), 4) if total >= FEWEST else None
    return {
        "index": index,
        "meaning": _meaning(index),
        "advice": ADVICE[name] if index is not None and index >= SOMEWHAT else None,
        "edges": list(EDGES[name]),
        "shares": [round(count / total, 4) for count in counts] if total else None,
        "expected": list(expected),
    }


def stability_index(counts: Sequence[int], expected: Sequence[float]) -> float:
    """The population stability index of counts against expected shares.

    >>> stability_index([50, 50], [0.5, 0.5])
    0.0
    >>> round(stability_index([90, 10], [0.5, 0.5]), 3)
    0.879
    """
    total = sum(counts)
    pairs = (
        (max(count / total, LEAST_SHARE), max(share, LEAST_SHARE))
        for count, share in zip(counts, expected, strict=True)
    )
    return sum((found - share) * math.log(found / share) for found, share in pairs)


def _meaning(index: float | None) -> str:
    if index is None:
        return f"too few to say: fewer than {FEWEST} digits"
    if index < SOMEWHAT:
        return "as in training"
    return (
        "somewhat other than in training"
        if index < OTHER
        else "other than what the network learned from"
    )
