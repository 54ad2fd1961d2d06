"""Pictures of no digit as PNG files with labels.csv, a folder for each kind: letters, signs,
several digits, shapes, scenes and more.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from flaskapi.digits.encode import encode_png

SEED, COUNT, SIDE_PX = 30, 100, 200
# Drawn in Pillow's own font, which the network has not learned from. Not: O o l I S s Z z B b g q,
# strokes that stand.
LETTERS = "ACDEFGHJKLMNPQRTUVWXYacdefhijkmnprtuvwxy"
SIGNS = "?&%@#$*+=~<>{}^"

Floats = npt.NDArray[np.float32]
Random = np.random.Generator


def main(folder: Path, count: int = COUNT) -> None:
    """Write `count` pictures of each kind and their empty labels. The seed is fixed: the same files
    every time.
    """
    for number, (name, draw) in enumerate(KINDS.items()):
        rng = np.random.default_rng([SEED, number])
        (folder / name).mkdir(parents=True, exist_ok=True)
        with (folder / name / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["file", "label"])
            for place in range(count):
                (folder / name / f"{place:03}.png").write_bytes(
                    encode_png(np.clip(draw(rng), 0, 1).astype(np.float32))
                )
                table.writerow([f"{place:03}.png", ""])
    print(f"Wrote {count} pictures of each of {', '.join(KINDS)} into {folder}.")


def _text(text: str, rng: Random) -> Floats:
    """Text as a pen could write it, slanted and turned, on paper."""
    size = int(0.8 * SIDE_PX / max(1, 0.6 * len(text)))
    font = ImageFont.load_default(min(size, 120))
    canvas = Image.new("L", (SIDE_PX, SIDE_PX))
    ImageDraw.Draw(canvas).text(
        (SIDE_PX / 2, SIDE_PX / 2), text, 255, font, "mm", stroke_width=int(rng.integers(0, 4))
    )
    middle = (SIDE_PX / 2, SIDE_PX / 2)
    matrix = cv2.getRotationMatrix2D(middle, rng.normal(0, 6), rng.uniform(0.6, 1))
    matrix[0, 1] += rng.normal(0, 0.15)
    return _on_paper(cv2.warpAffine(np.asarray(canvas), matrix, (SIDE_PX, SIDE_PX)), rng)


def _on_paper(ink: npt.NDArray[np.uint8], rng: Random) -> Floats:
    paper = rng.uniform(0.75, 1) - 0.15 * rng.random() * np.linspace(
        0, 1, SIDE_PX, dtype=np.float32
    )
    noise = rng.normal(0, rng.uniform(0, 0.03), ink.shape)
    return (paper * (1 - rng.uniform(0.6, 1) * ink.astype(np.float32) / 255) + noise).astype(
        np.float32
    )


def _letters(rng: Random) -> Floats:
    return _text(str(rng.choice(list(LETTERS))), rng)


def _signs(rng: Random) -> Floats:
    return _text(str(rng.choice(list(SIGNS))), rng)


def _several(rng: Random) -> Floats:
    return _text("".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(2, 6)))), rng)


def _shapes(rng: Random) -> Floats:
    """A polygon, a star or an outline with corners in and out, open or filled."""
    ink = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    corners = int(rng.choice([3, 4, 6, 8, 10]))
    radii = np.where(
        np.arange(corners) % 2, rng.uniform(0.3, 0.8) if corners > 4 else 1, 1
    ) * rng.uniform(50, 80)
    angles = np.arange(corners) * 2 * np.pi / corners + rng.uniform(0, 2 * np.pi)
    points = (
        np.stack([np.cos(angles), np.sin(angles) * rng.uniform(0.6, 1)], 1) * radii[:, np.newaxis]
        + SIDE_PX / 2
    )
    outline = [np.rint(points).astype(np.int32)]
    cv2.polylines(ink, outline, True, 255, int(rng.integers(4, 14)), cv2.LINE_AA)
    if rng.random() < 0.5:
        cv2.fillPoly(ink, outline, 255, cv2.LINE_AA)
    return _on_paper(ink, rng)


def _scribbles(rng: Random) -> Floats:
    """A pen that goes to and fro, by a random walk whose direction changes smoothly."""
    steps = int(rng.integers(150, 400))
    turns = np.cumsum(np.cumsum(rng.normal(0, 0.012, steps)) + rng.normal(0, 0.05))
    path = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * 6, axis=0)
    path = (path - path.min(0)) / max(float(np.ptp(path, axis=0).max()), 1) * 150 + 25
    ink = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.polylines(
        ink, [np.rint(path).astype(np.int32)], False, 255, int(rng.integers(3, 9)), cv2.LINE_AA
    )
    return _on_paper(ink, rng)


def _noise(coarse: int, rng: Random) -> Floats:
    """Smooth noise from 0 to 1 whose grains are about `coarse` pixels large."""
    small = rng.random((max(2, SIDE_PX // coarse), max(2, SIDE_PX // coarse))).astype(np.float32)
    return np.clip(cv2.resize(small, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC), 0, 1)


def _textures(rng: Random) -> Floats:
    """Noise of some coarseness, stripes, checks or wood."""
    down, across = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32)
    kind, period = int(rng.integers(0, 4)), rng.uniform(8, 50)
    if kind == 0:
        return 0.5 * _noise(int(rng.integers(2, 40)), rng) + 0.5 * _noise(3, rng)
    wave = np.sin(2 * np.pi * (across + 12 * _noise(40, rng) * (kind == 3)) / period)
    return (
        0.5 + 0.4 * (wave * np.sign(np.sin(2 * np.pi * down / period)) if kind == 2 else wave)
    ).astype(np.float32)


def _scenes(rng: Random) -> Floats:
    """A landscape: sky, sun, ranges of hills, each darker, and trees; or a face before a wall."""
    down, across = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32)
    picture = 0.95 - 0.2 * down / SIDE_PX + 0.05 * _noise(30, rng)
    if rng.random() < 0.5:
        cv2.circle(
            picture,
            (int(rng.integers(30, 170)), int(rng.integers(20, 70))),
            int(rng.integers(8, 22)),
            1.0,
            -1,
            cv2.LINE_AA,
        )
        for place in range(int(rng.integers(2, 5))):
            skyline = 60 + 35 * place + 40 * (_noise(int(rng.integers(20, 70)), rng)[0] - 0.5)
            picture = np.where(down > skyline, 0.7 - 0.15 * place + 0.08 * _noise(4, rng), picture)
        for _ in range(int(rng.integers(0, 6))):
            x, y, size = (
                int(rng.integers(10, 190)),
                int(rng.integers(110, 180)),
                int(rng.integers(8, 22)),
            )
            cv2.line(picture, (x, y), (x, y - 2 * size), 0.15, max(1, size // 5))
            cv2.circle(picture, (x, y - 2 * size), size, 0.25, -1, cv2.LINE_AA)
        return picture.astype(np.float32)
    x, y, width, height = *rng.uniform(85, 115, 2), rng.uniform(38, 55), rng.uniform(52, 72)
    face = ((across - x) / width) ** 2 + ((down - y) / height) ** 2
    hair = ((across - x) / (1.15 * width)) ** 2 + (
        (down - y + 0.25 * height) / (1.05 * height)
    ) ** 2
    picture = np.where(hair < 1, rng.uniform(0.05, 0.5), picture)
    picture = np.where(
        face < 0.9, 0.75 - 0.2 * (across - x) / width * rng.uniform(0, 1), picture
    ).astype(np.float32)
    for side in (-1, 1):
        cv2.ellipse(
            picture,
            (int(x + side * 0.4 * width), int(y - 0.15 * height)),
            (7, 4),
            0,
            0,
            360,
            0.15,
            -1,
            cv2.LINE_AA,
        )
    cv2.line(picture, (int(x), int(y)), (int(x - 4), int(y + 0.25 * height)), 0.5, 2, cv2.LINE_AA)
    cv2.ellipse(
        picture,
        (int(x), int(y + 0.45 * height)),
        (int(0.3 * width), int(rng.integers(2, 9))),
        0,
        0,
        180,
        0.3,
        2,
        cv2.LINE_AA,
    )
    return picture


def _blank(rng: Random) -> Floats:
    return np.full((SIDE_PX, SIDE_PX), rng.random(), np.float32)


KINDS: dict[str, Callable[[Random], Floats]] = {
    "letters": _letters,
    "signs": _signs,
    "several": _several,
    "shapes": _shapes,
    "scribbles": _scribbles,
    "textures": _textures,
    "scenes": _scenes,
    "blank": _blank,
}
