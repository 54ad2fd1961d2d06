"""Find the form of pictures that a classifier takes, by drawn digits in every form that networks
for MNIST are trained on.

This service gives 0 for the paper and 1 for the ink. A network that was trained on 0 to 255, on
dark ink or on EMNIST's files, which lie on their side, gives answers to that as well, but wrong
ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from flaskapi.arrays import Bytes, Doubles, Floats
from flaskapi.digits.normalize import fit_and_center

# A pen's way through each digit: corners that its strokes keep near to, across and down, 0 to 1.
_STROKES = (
    ["0.5,0 0.1,0.1 0,0.5 0.1,0.9 0.5,1 0.9,0.9 1,0.5 0.9,0.1 0.5,0"],
    ["0.6,0 0.5,0.5 0.4,1"],
    ["0.05,0.25 0.15,0 0.8,-0.05 1,0.3 0.6,0.6 0,1", "0,1 0.5,0.98 1,0.97"],
    ["0.05,0.1 0.5,-0.05 1,0.1 0.9,0.45 0.35,0.48", "0.35,0.48 0.95,0.48 1,0.9 0.6,1.05 0,0.9"],
    ["0.2,0 0,0.55", "0,0.55 1,0.5", "0.8,0 0.7,1"],
    ["0.9,0 0.25,0", "0.25,0 0.15,0.42", "0.15,0.42 0.7,0.3 1,0.6 0.9,1 0.4,1.05 0,0.9"],
    ["0.75,0 0.2,0.2 -0.05,0.7 0.1,1.05 0.8,1.1 1,0.7 0.7,0.45 0.05,0.75"],
    ["0,0.05 1,0", "1,0 0.6,0.5 0.35,1"],
    ["0.9,0.1 0.4,-0.1 0,0.2 0.4,0.45 1,0.65 0.8,1.05 0.2,1.05 0,0.8 0.4,0.5 0.95,0.3 0.9,0.1"],
    ["0.95,0.2 0.6,-0.1 0,0.1 0.1,0.5 0.7,0.5 0.95,0.2", "0.95,0.2 0.85,1"],
)
# How each is written: its lean, its width for its height, its pen, for 120 pixels of height.
_HANDS = ((0.0, 0.65, 13), (0.15, 0.6, 11), (0.3, 0.65, 15), (-0.1, 0.7, 12), (0.2, 0.5, 16))
_HEIGHT_PX, _CANVAS_PX = 120, 240
# A trained network reads most drawn digits in its own form; of an untrained one nothing is known.
_READS, _APART = 0.6, 0.25

Classify = Callable[[Floats], Floats]  # `float32 (n, 28, 28, 1)` to `float32 (n, 10)`


class Convention(NamedTuple):
    """A form of pictures: its name in words, how to make it from this service's form, and the Keras
    layer that does so.
    """

    words: str
    make: Callable[[Floats], Floats]
    layers: str


_OURS = Convention("0 the paper and 1 the ink", lambda digits: digits, "")
_LIGHTS = (
    _OURS,
    Convention(
        "1 the paper and 0 the ink", lambda digits: 1 - digits, "keras.layers.Rescaling(-1, 1)"
    ),
    Convention(
        "0 the paper and 255 the ink", lambda digits: 255 * digits, "keras.layers.Rescaling(255)"
    ),
    Convention(
        "255 the paper and 0 the ink",
        lambda digits: 255 * (1 - digits),
        "keras.layers.Rescaling(-255, 255)",
    ),
    Convention(
        "-1 the paper and 1 the ink", lambda digits: 2 * digits - 1, "keras.layers.Rescaling(2, -1)"
    ),
    Convention(
        "less MNIST's mean and over its deviation, (x - 0.1307) / 0.3081",
        lambda digits: (digits - 0.1307) / 0.3081,
        "keras.layers.Rescaling(1 / 0.3081, -0.1307 / 0.3081)",
    ),
    Convention(
        "1 the paper and -1 the ink", lambda digits: 1 - 2 * digits, "keras.layers.Rescaling(-2, 1)"
    ),
)


def _on_its_side(light: Convention) -> Convention:
    return Convention(
        f"{light.words}, rows and columns exchanged as in EMNIST's files",
        lambda digits: light.make(digits.transpose(0, 2, 1, 3)),
        ", ".join(filter(None, ("keras.layers.Permute((2, 1, 3))", light.layers))),
    )


CONVENTIONS = (*_LIGHTS, *map(_on_its_side, _LIGHTS))


class Finding(NamedTuple):
    """The form that a classifier reads best, if it is not this service's, and the shares of drawn
    digits that it reads correctly in either form.
    """

    convention: Convention
    share: float
    own_share: float


def find_convention(classify: Classify) -> Finding | None:
    """Find whether a classifier takes another form of pictures than this service gives.

    Args:
        classify: answers `float32 (n, 28, 28, 1)` of any range with `float32 (n, 10)`.

    Returns:
        None if it reads this service's form, or no other form clearly better.
    """
    digits, labels = draw_all()
    shares = [
        float((classify(form.make(digits)).argmax(axis=1) == labels).mean()) for form in CONVENTIONS
    ]
    best = int(np.argmax(shares))
    if shares[best] < _READS or shares[best] - shares[0] < _APART:
        return None
    return Finding(CONVENTIONS[best], shares[best], shares[0])


def explain(finding: Finding, shape: tuple[int, ...] = (28, 28, 1)) -> str:
    """Say which form a classifier takes, and which layer adapts it to this service's.

    Args:
        finding: the form.
        shape: the shape of the classifier's input, without the batch.
    """
    # What goes before it makes `(28, 28, 1)`.
    reshape = "" if shape == (28, 28, 1) else f"keras.layers.Reshape({shape}), "
    return (
        f"it was trained on pictures of another form: {finding.convention.words}. It reads "
        f"{finding.share:.0%} of drawn digits in that form, and {finding.own_share:.0%} in "
        f"this service's: {_OURS.words}. Save it with layers that make its form first: "
        f"keras.Sequential([keras.Input((28, 28, 1)), {finding.convention.layers}, {reshape}model])"
        f".save('my_model.h5')"
    )


def draw_all() -> tuple[Floats, Bytes]:
    """Draw each digit in a few hands, `float32 (n, 28, 28, 1)` in this service's form, 0 the paper
    and 1 the ink; and their labels, `uint8 (n,)`.
    """
    drawn = [_draw(strokes, *hand) for strokes in _STROKES for hand in _HANDS]
    labels = np.repeat(np.arange(len(_STROKES), dtype=np.uint8), len(_HANDS))
    return np.stack(drawn)[..., np.newaxis], labels


def _draw(strokes: list[str], lean: float, width: float, pen: int) -> Floats:
    canvas = np.zeros((_CANVAS_PX, _CANVAS_PX), np.uint8)
    for stroke in strokes:
        corners = [[float(part) for part in corner.split(",")] for corner in stroke.split()]
        way = _round_corners(np.array(corners))
        x = 60 + _HEIGHT_PX * (width * way[:, 0] + lean * (1 - way[:, 1]))
        y = 60 + _HEIGHT_PX * way[:, 1]
        points = np.rint(16 * np.stack([x, y], axis=1)).astype(np.int32)
        cv2.polylines(canvas, [points], False, 255, pen, cv2.LINE_AA, 4)
    left, top, wide, high = cv2.boundingRect(canvas)
    ink = canvas[top : top + high, left : left + wide].astype(np.float32)
    return fit_and_center(ink / np.float32(255))


def _round_corners(points: Doubles) -> Doubles:
    """Cut corners until they are round (Chaikin, 1974)."""
    for _ in range(3 if len(points) > 2 else 0):
        cut = np.stack(
            [0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]], axis=1
        ).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points
