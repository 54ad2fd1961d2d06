"""New handwriting from old: each digit is warped once, and sometimes its stroke, sharpness or ground is changed.

Everything that moves pixels (slant, turn, size, place, perspective, a hand's unsteadiness) is put into one map and sampled
once: a second resampling would make training digits blurrier than any that are sent. Part of every batch stays as it was.
"""

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 28
Floats = npt.NDArray[np.float32]
_GRID = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).astype(np.float32) - (SIDE - 1) / 2
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

CLEAN_SHARE = 0.15


def augment(images: npt.NDArray[np.uint8], rng: np.random.Generator) -> Floats:
    """Vary a batch of digits.

    Args:
        images: `uint8 (n, 28, 28)`, 255 the ink.
        rng: where all chance comes from.

    Returns:
        `float32 (n, 28, 28)` in [0, 1], 1 the ink.
    """
    out = np.empty(images.shape, np.float32)
    for row, image in zip(out, images, strict=True):
        digit = image.astype(np.float32) / 255
        row[:] = digit if rng.random() < CLEAN_SHARE else _vary(digit, rng)
    return out


def _vary(digit: Floats, rng: np.random.Generator) -> Floats:
    digit = _warp(digit, rng)
    if rng.random() < 0.35:
        digit = _stroke_width(digit, rng)
    if rng.random() < 0.15:
        digit = _low_resolution(digit, rng)
    if rng.random() < 0.15:
        digit = _stray_ink(digit, rng)
    if rng.random() < 0.15:
        digit = _ground(digit, rng)
    return digit


def _warp(digit: Floats, rng: np.random.Generator) -> Floats:
    """Turn (about 10 degrees), slant, stretch, move (2 pixels), tilt in space and shake, in one cubic resampling."""
    angle, slant = rng.normal(0, 0.13), rng.normal(0, 0.16)
    stretch = np.exp(rng.normal(0, 0.09, 2))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, slant], [0, 1]]) / stretch
    grid = _GRID @ matrix.T.astype(np.float32)
    if rng.random() < 0.5:
        grid *= 1 + _GRID @ rng.normal(0, 0.004, (2, 1)).astype(np.float32)
    if rng.random() < 0.4:
        knots = rng.normal(0, rng.uniform(0.3, 1.1), (2, 5, 5)).astype(np.float32)
        for axis in (0, 1):
            grid[..., axis] += cv2.resize(knots[axis], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    grid += (SIDE - 1) / 2 + rng.normal(0, 0.9, 2).astype(np.float32)
    return np.clip(cv2.remap(digit, grid.astype(np.float32), None, cv2.INTER_CUBIC), 0, 1)


def _stroke_width(digit: Floats, rng: np.random.Generator) -> Floats:
    """Thinner or thicker by up to a pixel on each side: part of the way to the eroded or dilated digit."""
    thicker = rng.random() < 0.5
    other = cv2.dilate(digit, _CROSS) if thicker else cv2.erode(digit, _CROSS)
    share = np.float32(rng.uniform(0.2, 0.9 if thicker else 0.6))
    digit = (1 - share) * digit + share * other
    return digit if thicker else digit / max(float(digit.max()), 0.3)


def _low_resolution(digit: Floats, rng: np.random.Generator) -> Floats:
    """As if the picture had been 10 to 20 pixels high, or out of focus."""
    if rng.random() < 0.4:
        return cv2.GaussianBlur(digit, (0, 0), rng.uniform(0.4, 1.0))
    blocky = rng.random() < 0.3
    side = int(rng.integers(14 if blocky else 10, 21))
    small = cv2.resize(digit, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST if blocky else cv2.INTER_LINEAR)


def _stray_ink(digit: Floats, rng: np.random.Generator) -> Floats:
    """A speck, or what is left of a ruled line, near the edge."""
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
    """Faint ink, and the grain of paper and sensor."""
    digit = digit * np.float32(rng.uniform(0.45, 1))
    return np.clip(digit + rng.normal(0, rng.uniform(0, 0.08), digit.shape).astype(np.float32), 0, 1)
