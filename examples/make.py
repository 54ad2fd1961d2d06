"""Draws the pictures in this folder: a digit as a paint program saves it, one as a telephone
photographs it, and a telephone number.
"""

from pathlib import Path

import cv2
import numpy as np

FOLDER = Path(__file__).parent
SEVEN = ((62, 78), (110, 70), (165, 72), (212, 66), (190, 105), (160, 150), (138, 195), (126, 236))
FIVE = (
    (200, 60),
    (150, 62),
    (112, 66),
    (106, 100),
    (102, 128),
    (135, 118),
    (172, 130),
    (188, 164),
    (172, 206),
    (132, 226),
    (92, 212),
)

# The digits of a telephone number, each of one stroke or two in a square of 100x140, and the pen's
# path to the next.
NUMBER = (
    ((52, 12), (22, 40), (18, 95), (48, 128), (80, 100), (82, 45), (55, 12), (44, 14)),
    ((82, 14), (34, 16), (28, 58), (60, 56), (84, 86), (66, 122), (22, 124)),
    ((86, 10), (36, 14), (30, 60), (66, 52), (88, 90), (58, 128), (18, 112)),
    ((34, 40), (58, 12), (52, 70), (48, 130)),
    ((20, 36), (46, 10), (78, 30), (58, 80), (18, 126), (50, 118), (88, 124)),
    ((24, 18), (60, 12), (74, 36), (42, 62), (78, 80), (70, 118), (20, 122)),
    ((60, 10), (38, 50), (18, 88), (56, 90), (92, 84), None, (70, 56), (66, 100), (60, 134)),
    ((72, 12), (36, 50), (22, 100), (50, 130), (78, 106), (56, 80), (26, 98)),
    ((20, 16), (52, 18), (84, 14), (64, 60), (46, 130)),
    ((70, 20), (34, 22), (40, 56), (74, 90), (52, 128), (24, 104), (58, 66), (76, 30), (58, 12)),
)


def pen_stroke(points: tuple[tuple[int, int], ...], side: int, width: float) -> np.ndarray:
    """Draw a smooth line through points given in a 280x280 square: `float32 (side, side)`, 1 the
    ink.
    """
    knots = np.array(points, np.float64) * side / 280
    along = np.linspace(0, len(knots) - 1, 400)
    smooth = np.stack(
        [np.interp(along, range(len(knots)), knots[:, axis]) for axis in (0, 1)], axis=1
    )
    kernel = np.hanning(41) / np.hanning(41).sum()
    smooth = np.stack(
        [np.convolve(np.pad(smooth[:, axis], 20, "edge"), kernel, "valid") for axis in (0, 1)],
        axis=1,
    )
    ink = np.zeros((side, side), np.uint8)
    cv2.polylines(
        ink,
        [np.rint(smooth * 16).astype(np.int32)],
        False,
        255,
        round(width * side / 280),
        cv2.LINE_AA,
        shift=4,
    )
    return ink.astype(np.float32) / 255


def photograph(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put blue ink, `float32 (height, width)`, on paper under uneven light: `uint8 (height, width,
    3)`.
    """
    height, width = ink.shape
    y, x = np.mgrid[0:height, 0:width] / max(ink.shape)
    paper = 205 - 70 * x - 40 * y**2 + cv2.GaussianBlur(rng.normal(0, 60, ink.shape), (0, 0), 3)
    paper += rng.normal(0, 3, ink.shape)
    ink = cv2.GaussianBlur(ink, (0, 0), 2)[..., np.newaxis]
    photo = paper[..., np.newaxis] * np.array([0.93, 0.99, 1.0]) * (1 - ink) + ink * np.array(
        [120.0, 60.0, 40.0]
    )
    return np.clip(photo, 0, 255).astype(np.uint8)


def write_number(rng: np.random.Generator) -> np.ndarray:
    """Write the number on a line that rises: `float32 (600, 1600)`, 1 the ink."""
    ink, x = np.zeros((600, 1600), np.float32), 110
    for place, points in enumerate(NUMBER):
        digit = np.zeros((180, 180), np.float32)
        strokes = (
            [points]
            if None not in points
            else [points[: points.index(None)], points[points.index(None) + 1 :]]
        )
        for stroke in strokes:
            digit = np.maximum(
                digit, pen_stroke(tuple((2 * a + 20, 2 * b) for a, b in stroke), 180, 9)
            )
        top = 250 - x // 14 + int(rng.integers(-8, 9))
        ink[top : top + 180, x : x + 180] = np.maximum(ink[top : top + 180, x : x + 180], digit)
        x += 124 + int(rng.integers(-8, 9)) + (70 if place in (3, 6) else 0)
    return ink


def main() -> None:
    """Write `7.png`, `photo.jpg` and `number.jpg`."""
    cv2.imwrite(
        str(FOLDER / "7.png"), np.rint(255 * (1 - pen_stroke(SEVEN, 280, 14))).astype(np.uint8)
    )
    rng = np.random.default_rng(0)
    cv2.imwrite(
        str(FOLDER / "photo.jpg"),
        photograph(pen_stroke(FIVE, 1200, 5), rng),
        [cv2.IMWRITE_JPEG_QUALITY, 80],
    )
    cv2.imwrite(
        str(FOLDER / "number.jpg"),
        photograph(write_number(rng), rng),
        [cv2.IMWRITE_JPEG_QUALITY, 80],
    )


if __name__ == "__main__":
    main()
