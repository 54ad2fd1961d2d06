"""Draws the pictures in this folder: a digit as a paint program saves it, and one as a telephone photographs it."""

from pathlib import Path

import cv2
import numpy as np

FOLDER = Path(__file__).parent
SEVEN = ((62, 78), (110, 70), (165, 72), (212, 66), (190, 105), (160, 150), (138, 195), (126, 236))
FIVE = ((200, 60), (150, 62), (112, 66), (106, 100), (102, 128), (135, 118), (172, 130), (188, 164), (172, 206), (132, 226), (92, 212))


def pen_stroke(points: tuple[tuple[int, int], ...], side: int, width: float) -> np.ndarray:
    """Draw a smooth line through points given in a 280x280 square: `float32 (side, side)`, 1 the ink."""
    knots = np.array(points, np.float64) * side / 280
    along = np.linspace(0, len(knots) - 1, 400)
    smooth = np.stack([np.interp(along, range(len(knots)), knots[:, axis]) for axis in (0, 1)], axis=1)
    kernel = np.hanning(41) / np.hanning(41).sum()
    smooth = np.stack([np.convolve(np.pad(smooth[:, axis], 20, "edge"), kernel, "valid") for axis in (0, 1)], axis=1)
    ink = np.zeros((side, side), np.uint8)
    cv2.polylines(ink, [np.rint(smooth * 16).astype(np.int32)], False, 255, round(width * side / 280), cv2.LINE_AA, shift=4)
    return ink.astype(np.float32) / 255


def main() -> None:
    """Write `7.png` and `photo.jpg`."""
    cv2.imwrite(str(FOLDER / "7.png"), np.rint(255 * (1 - pen_stroke(SEVEN, 280, 14))).astype(np.uint8))

    side, rng = 1200, np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    paper = 205 - 70 * x - 40 * y**2 + cv2.GaussianBlur(rng.normal(0, 60, (side, side)), (0, 0), 3)
    paper += rng.normal(0, 3, (side, side))
    ink = cv2.GaussianBlur(pen_stroke(FIVE, side, 5), (0, 0), 2)[..., np.newaxis]
    photo = paper[..., np.newaxis] * np.array([0.93, 0.99, 1.0]) * (1 - ink) + ink * np.array([120.0, 60.0, 40.0])
    cv2.imwrite(str(FOLDER / "photo.jpg"), np.clip(photo, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main()
