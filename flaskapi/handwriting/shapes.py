"""Handwritten shapes, and the canvas for all drawn pictures of no digit."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.arrays import AnyFloats, Bytes

CANVAS_PX = 96  # drawn at this size, reduced as a picture that is sent would be

Random = np.random.Generator


def blank() -> Bytes:
    """An empty canvas, `uint8 (96, 96)`."""
    return np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)


def to_ink(canvas: Bytes) -> AnyFloats:
    """The drawing as ink, `float32 (height, width)` in [0, 1], 1 the ink."""
    return canvas.astype(np.float32) / np.float32(255)


def pen_px(rng: Random) -> int:
    """The width of a random pen, in pixels of the canvas."""
    return int(rng.integers(3, 13))


def draw_shape(rng: Random) -> AnyFloats:
    """A drawn shape at any angle. A closed one is filled half of the time. A bare ring is left out,
    since it is a 0.
    """
    strokes = _SHAPES[int(rng.integers(0, len(_SHAPES)))](rng)
    # A dash that stands is a 1.
    angle = rng.uniform(0, 2 * np.pi) if len(strokes[0]) > 2 else rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    canvas, thickness = blank(), pen_px(rng)
    for stroke in strokes:
        points = CANVAS_PX * (0.5 + 0.32 * stroke @ turn)
        if len(strokes) == 1 and np.allclose(stroke[0], stroke[-1]) and rng.random() < 0.5:
            cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], 255, cv2.LINE_AA)
        draw_stroke(canvas, points, thickness)
    return to_ink(canvas)


def _around(angles: AnyFloats, radii: npt.ArrayLike = 1) -> AnyFloats:
    """Points of the plane from polar coordinates, `(n, 2)`."""
    return np.stack([np.cos(angles), np.sin(angles)], 1) * np.reshape(radii, (-1, 1))


def _polygon(rng: Random) -> list[AnyFloats]:
    corners = int(rng.integers(3, 5))  # more, shaken, make a 0
    points = _around(np.arange(corners) * 2 * np.pi / corners, rng.uniform(0.7, 1.1, corners))
    return [np.vstack([points, points[:1]])]


def _star(rng: Random) -> list[AnyFloats]:
    points = _around(
        np.arange(10) * np.pi / 5, np.where(np.arange(10) % 2, rng.uniform(0.3, 0.6), 1)
    )
    return [np.vstack([points, points[:1]])]


def _cross(rng: Random) -> list[AnyFloats]:
    strokes = int(rng.integers(2, 5))
    return [
        np.linspace(-1, 1, 3)[:, np.newaxis] * _around(np.array([n * np.pi / strokes]))
        for n in range(strokes)
    ]


def _wave(rng: Random) -> list[AnyFloats]:
    x = np.linspace(-1, 1, 40)
    return [np.stack([x, rng.uniform(0.15, 0.6) * np.sin(x * rng.uniform(8, 14))], 1)]


def _spiral(rng: Random) -> list[AnyFloats]:
    along = np.linspace(0.15, 1, 60)
    return [_around(along * rng.uniform(14, 22), along)]


def _face(rng: Random) -> list[AnyFloats]:
    head, mouth = _around(np.linspace(0, 2 * np.pi, 40)), 0.5 * _around(np.linspace(0.4, 2.7, 12))
    return [head, mouth, *(np.array([[x, -0.35], [x, -0.25]]) for x in (-0.35, 0.35))]


def _arrow(rng: Random) -> list[AnyFloats]:
    tip = rng.uniform(0.3, 0.7)
    return [
        np.array([[-1, 0], [0, 0], [1, 0]]),
        np.array([[1 - tip, -tip], [1, 0], [1 - tip, tip]]),
    ]


def _dash(rng: Random) -> list[AnyFloats]:
    return [np.array([[-1.0, 0.0], [1.0, 0.0]])]


_SHAPES: tuple[Callable[[Random], list[AnyFloats]], ...] = (
    _polygon,
    _star,
    _cross,
    _wave,
    _spiral,
    _face,
    _arrow,
    _dash,
)


def draw_stroke(canvas: Bytes, points: AnyFloats, thickness: int) -> None:
    """Draw a line through points, `(n, 2)`: x and y in pixels."""
    cv2.polylines(canvas, [np.rint(points).astype(np.int32)], False, 255, thickness, cv2.LINE_AA)
