"""Is what is sent like what the network learned from? Histograms of both over the same bins, and
how far apart they are.

The population stability index is the sum of (found - expected) * ln(found / expected) over the
bins, in shares of all; 0 where both are the same (Siddiqi, "Credit Risk Scorecards", 2006, with the
same two limits).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

# Where one bin ends and the next begins. Of the first two, each bin has about a tenth of MNIST's
# training digits; of the other two, which the preparation of a picture takes away, what matters is
# how many lie below what is noticed as `small` and as `low-contrast`.
EDGES: dict[str, tuple[float, ...]] = {
    "ink_share": (0.08, 0.095, 0.105, 0.12, 0.13, 0.14, 0.155, 0.17, 0.19),
    "stroke_px": (3.0, 3.1, 3.3, 3.4, 3.5, 3.7, 3.8, 4.0, 4.4),
    "size_px": (10.0, 20.0),
    "contrast": (40.0,),
    "digit": (1, 2, 3, 4, 5, 6, 7, 8, 9),
}
SOMEWHAT, OTHER = 0.1, 0.25
FEWEST = 200  # digits; of fewer, chance alone makes an index of 0.05 and more
# A bin that has less counts as if it had this, so that one that nobody happened to fall into does
# not decide.
LEAST_SHARE = 0.005
ADVICE = {
    "ink_share": "Look at some of what is sent, with include=normalized: bold or faint pens, or "
    "something else than one digit?",
    "stroke_px": "Look at some of what is sent, with include=normalized: other pens, or pictures "
    "that are reduced or blurred before?",
    "size_px": "Ask for larger pictures: below 20 pixels a digit is enlarged, and below 10 it is "
    "smaller than any that was learned.",
    "contrast": "Ask for a better light or scan: below 40 grey levels, ink is hard to tell from "
    "the grain of paper.",
    "digit": "See whether that mix is to be expected, as of postcodes; if not, label some, and see "
    "in the confusion what is read as what.",
}

# Of the 55,000 of MNIST's 60,000 training images that the shipped model learned from, its 5,000 for
# validation left out, as `training/reference.py` counts them; for models whose card has no
# `reference`.
DEFAULT: dict[str, list[float]] = {
    "ink_share": [0.1166, 0.0999, 0.0798, 0.1356, 0.0917, 0.0887, 0.1173, 0.0908, 0.0855, 0.0940],
    "stroke_px": [0.1273, 0.0714, 0.1483, 0.0733, 0.0723, 0.1280, 0.0553, 0.0945, 0.1195, 0.1102],
    "size_px": [0.0, 0.04, 0.96],
    "contrast": [0.0, 1.0],
    "digit": [0.0985, 0.1125, 0.0999, 0.1027, 0.0977, 0.0897, 0.0987, 0.1044, 0.0973, 0.0987],
}


def find_reference(card: Mapping[str, Any]) -> tuple[str, Mapping[str, Sequence[float]]]:
    """What a model learned from, as shares of its digits in each bin, and where that is known from:
    its card, or else that it was MNIST.
    """
    found = card.get("reference") or {}
    if all(found.get(name, {}).get("edges") == list(edges) for name, edges in EDGES.items()):
        return "the model's card", {name: found[name]["shares"] for name in EDGES}
    return "MNIST", DEFAULT


def to_reference(counts: Mapping[str, Sequence[float]]) -> dict[str, dict[str, list[float]]]:
    """Make what a card bears of counts, or shares, in each bin."""
    return {
        name: {
            "edges": list(edges),
            "shares": [round(n / sum(counts[name]), 4) for n in counts[name]],
        }
        for name, edges in EDGES.items()
    }


def compare(name: str, counts: Sequence[int], expected: Sequence[float]) -> dict[str, Any]:
    """Say of one measure how far its histogram is from what is expected, and what that means.

    Args:
        name: one of `EDGES`.
        counts: digits in each bin, one more than there are edges.
        expected: shares of the digits that the network learned from.
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
    """The population stability index of counts against the shares that are expected.

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
