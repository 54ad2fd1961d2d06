"""Make new handwriting from old. Each digit is warped once; its stroke, sharpness or ground is
sometimes changed.

All that moves pixels (slant, turn, size, place, perspective, an unsteady hand) is put into one map
and sampled once. A second resampling would make training digits blurrier than any that are sent.
Part of every batch stays unchanged.
"""

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.arrays import Bytes, Floats
from flaskapi.digits.normalize import fit_and_center

SIDE = 28
_GRID = (
    np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).astype(np.float32)
    - (SIDE - 1) / 2
)
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

# Of the digits: left as they are, only warped; the others are varied in every way.
CLEAN_SHARE, WARPED_SHARE = (0.2, 0.35)
# The same in the last epochs, so that what is learned last is what is sent most.
GENTLE_SHARES = (0.35, 0.4)
SQUARE_SHARE = 0.07  # of those that are varied in every way


def augment(
    images: Bytes,
    labels: npt.NDArray[np.integer],
    rng: np.random.Generator,
    *,
    gently: bool = False,
) -> Floats:
    """Vary a batch of digits.

    Args:
        images: `uint8 (n, 28, 28)`, 255 the ink.
        labels: `(n,)`, what they are, since a 1 can be written in ways that other digits cannot;
            labels other than 0 to 9 are allowed.
        rng: the source of all randomness.
        gently: leave more unchanged, or only warped.

    Returns:
        `float32 (n, 28, 28)` in [0, 1], 1 the ink.
    """
    clean, warped = GENTLE_SHARES if gently else (CLEAN_SHARE, WARPED_SHARE)
    out = np.empty(images.shape, np.float32)
    for row, image, label in zip(out, images, labels, strict=True):
        chance = rng.random()
        if chance < clean:
            row[:] = image.astype(np.float32) / np.float32(255)
            continue
        written = write_otherwise(image, int(label), rng)
        if chance >= clean + warped and rng.random() < SQUARE_SHARE:
            written = fill_square(written, rng)
        digit = _warp(written.astype(np.float32) / np.float32(255), rng)
        row[:] = digit if chance < clean + warped else _degrade(digit, rng)
    return out


def write_otherwise(
    image: Bytes, label: int, rng: np.random.Generator, *, share: float = 0.3, longest: float = 0.65
) -> Bytes:
    """Write forms that are common outside the United States or with bold pens, and rare in MNIST.

    These are the flag and foot of a 1, or a 1 as broad as a marker; the bar of a 7; a 4 whose right
    arm is short, so that it looks like a 6. A share of the digits is changed so. `longest` is the
    longest flag, as a share of the digit's height.
    """
    if label not in (1, 4, 7) or rng.random() >= share:
        return image
    rows = np.flatnonzero(image.max(axis=1) > 127)
    if len(rows) < 12:
        return image
    top, bottom, height = int(rows[0]), int(rows[-1]), len(rows)
    image = image.copy()
    if label == 4:
        return _shorten_arm(image, top, height, rng) if rng.random() < 0.6 else image
    if label == 1 and rng.random() < 0.15:
        digit = crop(image)
        return fitted(
            cv2.resize(
                digit, (int(rng.integers(7, 14)), len(digit)), interpolation=cv2.INTER_LINEAR
            )
        )
    if label == 1:
        width = min(max(round(float((image > 127).sum(axis=1)[rows].mean())), 1), 4)
        if rng.random() < 0.85:
            angle, length = rng.uniform(0.45, 1.25), height * rng.uniform(0.25, longest)
            x = _column(image, top)
            _line(
                image,
                (x, top + 0.5),
                (x - length * np.cos(angle), top + length * np.sin(angle)),
                width,
            )
        if rng.random() < 0.3:
            x, half = _column(image, bottom), height * rng.uniform(0.12, 0.3)
            _line(image, (x - half, bottom - 0.5), (x + half, bottom - 0.5), width)
        image = _embolden(image, rng)
    else:
        y = top + height * rng.uniform(0.4, 0.65)
        x, half, tilt = _column(image, int(y)), height * rng.uniform(0.15, 0.3), rng.normal(0, 0.15)
        _line(
            image, (x - half, y + half * tilt), (x + half, y - half * tilt), int(rng.integers(1, 4))
        )
    return fitted(crop(image))


def fill_square(image: Bytes, rng: np.random.Generator) -> Bytes:
    """Stretch a digit to a small square of black and white, the form of some old collections.

    A digit that fills most of its box is left as it is: a plain 1 would become a black square,
    which is no digit.
    """
    if not image.any():
        return image
    side = int(rng.choice([16, 16, 16, 12, 20]))
    square = cv2.resize(crop(image), (side, side), interpolation=cv2.INTER_LINEAR)
    square = (square > rng.uniform(0.3, 0.6)).astype(np.float32)
    return fitted(square) if 0 < square.mean() < 0.7 else image


def _shorten_arm(image: Bytes, top: int, height: int, rng: np.random.Generator) -> Bytes:
    """Remove the upper end of an open 4's right arm, and lower its bar, so that the foot is short
    too. Closed ones are left as they are.
    """
    for rows in range(top + round(0.6 * height), top + 2, -1):  # down to where the arms are apart
        count, parts = cv2.connectedComponents((image[:rows] > 60).view(np.uint8), connectivity=8)
        if count != 3:
            continue
        columns = [float(np.nonzero(parts == part)[1].mean()) for part in (1, 2)]
        end = rows - round(height * rng.uniform(0.05, 0.25))
        right = cv2.dilate((parts == 1 + int(np.argmax(columns))).view(np.uint8), _CROSS)[
            : max(end, top)
        ]
        short = image.copy()
        short[: len(right)][right > 0] = 0
        digit = crop(short)
        if len(digit) < 0.75 * height:
            return image
        bar = rows - top - height + len(digit)
        above = round(len(digit) * max(bar / len(digit), rng.uniform(0.5, 0.78)))
        parts = (digit[:bar], above), (digit[bar:], len(digit) - above)
        digit = np.concatenate(
            [cv2.resize(part, (digit.shape[1], max(1, size))) for part, size in parts]
        )
        return _embolden(fitted(digit), rng)
    return image


def _embolden(image: Bytes, rng: np.random.Generator) -> Bytes:
    """Make some of the changed digits bold."""
    pens = int(rng.choice([0, 1, 2], p=[0.7, 0.2, 0.1]))
    return cv2.dilate(image, _CROSS, iterations=pens) if pens else image


def fitted(digit: Floats) -> Bytes:
    """Convert ink, `float32 (height, width)` in [0, 1] and cropped, to MNIST's form, `uint8 (28,
    28)`.
    """
    return np.rint(255 * fit_and_center(digit)).astype(np.uint8)


def _column(image: Bytes, row: int) -> float:
    """The mean column of the ink in a row."""
    return float(image[row] @ np.arange(SIDE) / max(float(image[row].sum()), 1))


def _line(image: Bytes, start: tuple[float, float], end: tuple[float, float], width: int) -> None:
    """Draw a stroke. OpenCV counts in sixteenths of pixels."""
    (x0, y0), (x1, y1) = start, end
    cv2.line(
        image,
        (round(16 * x0), round(16 * y0)),
        (round(16 * x1), round(16 * y1)),
        255,
        width,
        cv2.LINE_AA,
        4,
    )


def crop(image: Bytes) -> Floats:
    """Crop `uint8 (height, width)` to its ink, as `float32` in [0, 1]."""
    x, y, width, height = cv2.boundingRect(image)
    return image[y : y + height, x : x + width].astype(np.float32) / np.float32(255)


def _degrade(digit: Floats, rng: np.random.Generator) -> Floats:
    if rng.random() < 0.45:
        digit = _stroke_width(digit, rng)
    if rng.random() < 0.25:
        digit = _low_resolution(digit, rng)
    if rng.random() < 0.15:
        digit = _stray_ink(digit, rng)
    if rng.random() < 0.15:
        digit = _ground(digit, rng)
    return digit


def _warp(digit: Floats, rng: np.random.Generator) -> Floats:
    """Turn, slant, stretch, move, tilt in space, shift the waist and shake, in one cubic
    resampling.

    Angles are in radians and lengths in pixels, as standard deviations: 7 degrees of turn, 9 of
    slant, 9 % of stretch.
    """
    angle, slant = rng.normal(0, 0.13), rng.normal(0, 0.16)
    stretch = np.exp(rng.normal(0, 0.09, 2))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, slant], [0, 1]]) / stretch
    grid = _GRID @ matrix.T.astype(np.float32)
    if rng.random() < 0.5:
        grid *= 1 + _GRID @ rng.normal(0, 0.004, (2, 1)).astype(np.float32)
    if rng.random() < 0.3:  # the middle moves against the ends: larger loops, longer stems
        bent = grid / (SIDE / 2)
        grid += np.clip(1 - bent * bent, 0, 1) * rng.normal(0, 1.4, 2).astype(np.float32)
    if rng.random() < 0.4:
        knots = rng.normal(0, rng.uniform(0.3, 1.1), (2, 5, 5)).astype(np.float32)
        for axis in (0, 1):
            grid[..., axis] += cv2.resize(knots[axis], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    grid += (SIDE - 1) / 2 + rng.normal(0, 0.9, 2).astype(np.float32)
    return np.clip(cv2.remap(digit, grid.astype(np.float32), None, cv2.INTER_CUBIC), 0, 1)


def _stroke_width(digit: Floats, rng: np.random.Generator) -> Floats:
    """Make strokes thinner or thicker by up to a pixel on each side, or two for a marker: a mixture
    with the eroded or dilated digit.
    """
    thicker = rng.random() < 0.5
    if thicker and rng.random() < 0.2:
        digit = cv2.dilate(digit, _CROSS)
    other = cv2.dilate(digit, _CROSS) if thicker else cv2.erode(digit, _CROSS)
    share = np.float32(rng.uniform(0.2, 0.9 if thicker else 0.6))
    digit = (1 - share) * digit + share * other
    return digit if thicker else digit / max(float(digit.max()), 0.3)


def _low_resolution(digit: Floats, rng: np.random.Generator) -> Floats:
    """Simulate a picture of 9 to 20 pixels in height, or one out of focus."""
    if rng.random() < 0.4:
        return cv2.GaussianBlur(digit, (0, 0), rng.uniform(0.4, 1.0))
    blocky = rng.random() < 0.3
    side = int(rng.integers(14 if blocky else 9, 21))
    small = cv2.resize(digit, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(
        small, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST if blocky else cv2.INTER_LINEAR
    )


def _stray_ink(digit: Floats, rng: np.random.Generator) -> Floats:
    """Add a speck, or the rest of a ruled line, near the edge."""
    canvas = digit.copy()
    ink = float(rng.uniform(0.3, 1))
    if rng.random() < 0.5:
        x, y = (int(v) for v in rng.integers(0, SIDE, 2))
        cv2.circle(canvas, (x, y), int(rng.integers(0, 2)), ink, -1, cv2.LINE_8)
    else:
        at, tilt = int(rng.choice([0, 1, 2, 3, 24, 25, 26, 27])), int(rng.integers(-1, 2))
        ends = ((0, at), (SIDE, at + tilt)) if rng.random() < 0.6 else ((at, 0), (at + tilt, SIDE))
        cv2.line(canvas, *ends, ink, 1)
    return np.maximum(digit, canvas)


def _ground(digit: Floats, rng: np.random.Generator) -> Floats:
    """Make the ink fainter, or add the grain of paper and sensor."""
    digit = digit * np.float32(rng.uniform(0.45, 1))
    return np.clip(
        digit + rng.normal(0, rng.uniform(0, 0.08), digit.shape).astype(np.float32), 0, 1
    )
