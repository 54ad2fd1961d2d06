"""Single handwritten characters: MNIST's digits at another size, letters, and separators."""

from typing import NamedTuple

import cv2
import numpy as np

from flaskapi.arrays import Bytes, Floats
from flaskapi.handwriting.augment import fitted
from flaskapi.handwriting.outliers import LETTERS, draw_letters

SEPARATORS = {
    "dot": 0.26,
    "comma": 0.18,
    "dash": 0.16,
    "slash": 0.12,
    "bracket": 0.06,
    "plus": 0.05,
    "equals": 0.05,
    "times": 0.03,
    "divided": 0.03,
    "text": 0.06,
}
# Of each digit, the mean over MNIST's training set.
LEANS = (-0.22, -0.23, -0.09, -0.06, -0.06, -0.22, -0.02, -0.02, -0.18, 0.0)
SEVENS_LEAN = 0.25  # how much more to the right the stem of a 7 leans than that of a 1
TILTS = 0.7, 1.7  # so steep, the bar of a 7 is the flag of a 1, at the steepest from the foot up
FEET_SHARE = 0.25  # of 1s with flags
FLAGGED_SHARE = 0.06  # of the 7s of a batch: of more, real 7s whose bars go down are read as 1

Random = np.random.Generator


class Shape(NamedTuple):
    """How a digit differs from MNIST's."""

    slant: float = 0  # how far it leans to the right, for each pixel of its height
    angle: float = 0  # turned, in radians
    tilt: float = 0  # how far its left side goes down, for each pixel of its width
    stretch: float = 0  # of its width, as a logarithm
    bend: float = 0  # how far its lower half goes to the left, for each pixel
    bold: float = 0  # 0.5 is a whole level of ink
    pen: float = 0  # how wide the strokes are made, in pixels; 0: as they are


def lean(image: Bytes, digit: int) -> float:
    """How much further a digit of MNIST leans to the left than others of its kind, for each pixel
    of its height.
    """
    moments = cv2.moments(image)
    return float(np.clip(moments["mu11"] / max(moments["mu02"], 1) - LEANS[digit], -1, 1))


def flag_sevens(images: Bytes, labels: Bytes, rng: Random) -> tuple[Bytes, Bytes]:
    """Turn a share of the 7s into 1s with flags.

    MNIST has no hand that flags its 1s. A flag drawn as a straight stroke teaches little; that of a
    7 was written by a hand.

    Args:
        images: `uint8 (n, 28, 28)`, 255 the ink.
        labels: `(n,)`, what they are.
        rng: the source of all randomness.

    Returns:
        The images, copied, and their labels.
    """
    images, labels = images.copy(), labels.copy()
    for place in np.flatnonzero((labels == 7) & (rng.random(len(labels)) < FLAGGED_SHARE)):
        image, shape = flag_one(
            images[place], Shape(rng.normal(0.1, 0.2), bold=rng.normal(0, 0.12)), rng
        )
        glyph = draw_glyph(image, 20, shape, rng)
        if min(glyph.shape) > 2:
            images[place], labels[place] = fitted(glyph), 1
    return images, labels


def flag_one(seven: Bytes, shape: Shape, rng: Random) -> tuple[Bytes, Shape]:
    """Return an image and a shape that turn a 7 into a 1 with a flag, by a steep bar. Some stand on
    a foot.
    """
    rows = np.flatnonzero(seven.max(axis=1) > 127)
    if len(rows) == 0:
        return seven, shape
    slant = shape.slant + lean(seven, 7) - SEVENS_LEAN
    # Much of both would fold it into a line.
    tilt = min(rng.uniform(*TILTS), 0.8 / max(slant, 0.01))
    shape = shape._replace(slant=slant, tilt=tilt)
    if rng.random() >= FEET_SHARE:
        return seven, shape
    margin, bottom = 8, int(rows[-1])
    x, half = float(np.flatnonzero(seven[bottom] > 127).mean()), len(rows) * rng.uniform(0.12, 0.3)
    image = cv2.copyMakeBorder(seven, *[margin] * 4, cv2.BORDER_CONSTANT)
    # Level once tilted.
    ends = [
        (round(16 * (margin + x + side)), round(16 * (margin + bottom + tilt * side)))
        for side in (-half, half)
    ]
    return cv2.line(image, *ends, 255, int(rng.integers(1, 4)), cv2.LINE_AA, 4), shape


def copy_glyph(image: Bytes, height: float) -> Floats:
    """A digit of MNIST, whose box is 20 pixels high, at another height, without any other
    change.
    """
    scale = height / 20
    digit = cv2.resize(
        image.astype(np.float32) / np.float32(255),
        None,
        fx=scale,
        fy=scale,
        interpolation=cv2.INTER_CUBIC,
    )
    return trim(np.clip(digit, 0, 1))


def draw_glyph(image: Bytes, height: float, shape: Shape, rng: Random) -> Floats:
    """A digit at another size, turned, slanted and shaken in one resampling, bolder or thinner,
    cropped to its ink.
    """
    x, y, w, h = cv2.boundingRect((image > 25).view(np.uint8))
    if w == 0:
        return np.zeros((0, 0), np.float32)
    scale = height / max(h, 0.55 * w)
    side = (
        int(
            (1.5 + 0.7 * (abs(shape.slant) + shape.tilt) + max(shape.stretch, 0))
            * max(w, h)
            * scale
        )
        + 4
    )
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    sizes = scale * np.exp(rng.normal([shape.stretch, 0], [0.12, 0.04]))
    matrix = (
        np.array([[cos, sin], [-sin, cos]]) @ np.array([[1, shape.slant], [shape.tilt, 1]]) / sizes
    )
    steps = np.arange(side, dtype=np.float32) - (side - 1) / 2
    columns, rows = matrix.T.astype(np.float32)
    grid = steps[np.newaxis, :, np.newaxis] * columns + steps[:, np.newaxis, np.newaxis] * rows
    if shape.bend:
        grid[..., 0] += np.float32(shape.bend) * np.maximum(grid[..., 1], 0)
    if rng.random() < 0.5:
        knots = rng.normal(
            0, rng.uniform(0.2, 0.9 if rng.random() < 0.7 else 1.6), (4, 4, 2)
        ).astype(np.float32)
        grid += cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC)
    grid += np.array([x + (w - 1) / 2, y + (h - 1) / 2], np.float32)
    digit = cv2.remap(
        image.astype(np.float32) / np.float32(255), grid.astype(np.float32), None, cv2.INTER_CUBIC
    )
    gain = rng.uniform(1.2, 3)
    digit = (
        digit - 0.5 + min(shape.bold + rng.normal(0, 0.05), 0.5 - 0.5 / gain)
    ) * gain + 0.5  # paper stays paper, however bold
    return trim(_thin(np.clip(digit, 0, 1), shape.pen) if shape.pen else np.clip(digit, 0, 1))


def _thin(ink: Floats, pen: float) -> Floats:
    """Remove most of what is wider than a pen from both sides of each stroke, measured at twice the
    size. Thinner strokes stay.
    """
    large = cv2.resize(ink, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    inside = cv2.distanceTransform((large > 0.5).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    # A strip is a quarter of its width away from its sides, on average.
    width = 4 * cv2.mean(inside, (inside > 0).view(np.uint8))[0]
    if width <= 2 * pen:
        return ink
    return cv2.resize(
        np.clip(inside - np.float32(0.4 * (width - 2 * pen)), 0, 1),
        ink.shape[::-1],
        interpolation=cv2.INTER_AREA,
    )


def trim(ink: Floats) -> Floats:
    x, y, w, h = cv2.boundingRect((ink > 0.2).view(np.uint8))
    return ink[y : y + h, x : x + w]


def draw_letter(size: float, rng: Random) -> Floats:
    """One letter, shaken."""
    letter = draw_letters(str(rng.choice(list(LETTERS))), rng)
    letter = trim(letter.astype(np.float32))
    scale = size * rng.uniform(0.6, 1.1) / max(*letter.shape, 1)
    return (
        trim(cv2.resize(letter, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        if letter.size
        else letter
    )


def draw_separator(size: float, rng: Random) -> tuple[Floats, float]:
    """Draw a dot, comma, dash, slash, bracket, or a sign of a formula or currency. Returns also how
    far below the middle of the line it is.
    """
    side = int(1.6 * size) + 6
    canvas = np.zeros((side, side), np.uint8)
    middle, pen = side / 2, max(1, round(size * rng.uniform(0.05, 0.13)))
    kind = rng.choice(list(SEPARATORS), p=list(SEPARATORS.values()))
    half = size * rng.uniform(0.12, 0.4)
    lift = size * rng.uniform(0.3, 0.55)

    def line(x0: float, y0: float, x1: float, y1: float) -> None:
        ends = (
            (round(16 * (middle + x)), round(16 * (middle + y))) for x, y in ((x0, y0), (x1, y1))
        )
        cv2.line(canvas, *ends, 255, pen, cv2.LINE_AA, 4)

    tilt = rng.normal(0, 0.15)
    if kind == "dot":
        cv2.circle(
            canvas,
            (side // 2, side // 2),
            max(1, round(size * rng.uniform(0.03, 0.1))),
            255,
            -1,
            cv2.LINE_AA,
        )
    elif kind == "comma":
        line(half * 0.15, -half * 0.5, -half * rng.uniform(0, 0.7), half * rng.uniform(0.3, 0.8))
    elif kind == "slash":
        # Steep ones too, which their height tells from a 1.
        high, wide = size * rng.uniform(0.6, 0.8), size * rng.uniform(0.08, 0.5)
        line(wide, -high, -wide, high)
        lift = 0
    elif kind == "bracket":
        turn = -1 if rng.random() < 0.5 else 1
        axes = (round(size * rng.uniform(0.15, 0.3)), round(size * rng.uniform(0.55, 0.75)))
        cv2.ellipse(
            canvas,
            (side // 2, side // 2),
            axes,
            0,
            90 if turn > 0 else -90,
            270 if turn > 0 else 90,
            255,
            pen,
            cv2.LINE_AA,
        )
        lift = 0
    elif kind == "text":
        sign = str(rng.choice(list("#$&%*?=+-")))
        cv2.putText(
            canvas,
            sign,
            (side // 4, 3 * side // 4),
            int(rng.choice([0, 2, 3])),
            size / 26,
            255,
            pen,
            cv2.LINE_AA,
        )
        lift = 0
    else:
        # To the end of the line, so that nothing can be added.
        half *= rng.uniform(1, 2.5) if kind == "dash" and rng.random() < 0.25 else 1
        if kind == "times":
            line(-half, -half, half, half)
            line(half, -half * (1 + tilt), -half, half * (1 + tilt))
        else:
            line(-half, -half * tilt, half, half * tilt)
        lift = rng.normal(0, 0.12) * size
        if kind == "plus":
            line(half * tilt, -half, -half * tilt, half)
        elif kind == "equals":
            gap = size * rng.uniform(0.15, 0.3)
            line(-half, gap - half * tilt, half, gap + half * tilt)
        elif kind == "divided":
            apart = size * rng.uniform(0.15, 0.3)
            for y in (-apart, apart):
                line(-rng.uniform(0, pen), y, pen / 2, y)
    return trim(canvas.astype(np.float32) / np.float32(255)), float(lift)
