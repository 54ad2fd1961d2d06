"""Pages of handwritten numbers for training the detector, drawn from MNIST's digits.

Digits stand in lines that rise and fall. They are apart, touch or overlap, between separators,
words, rules and specks. The ground is plain or patterned; the ink is bold or thin, even or broken.
Digits have about the size to which a page is scaled before it is read.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.arrays import Bytes, Floats
from flaskapi.handwriting.augment import write_otherwise
from flaskapi.handwriting.glyphs import (
    Shape,
    copy_glyph,
    draw_glyph,
    draw_letter,
    draw_separator,
    flag_one,
    lean,
)
from flaskapi.handwriting.paper import (
    HEIGHT_PX,
    WIDTH_PX,
    draw_ground,
    draw_rules,
    press,
    reach_in,
    soften,
)

# The network's answer has one cell for so many pixels, across and down.
STRIDES_PX = (2, 4)
# Distances from a digit's centre, in cells: nearer cells must answer for it, or may answer for it.
AT_CENTER, LENIENT = (0.75, 1.25)
NEAR = 0.6  # a cell whose target is above this answers for the digit, too
SIZES_PX = 18, 52  # heights of digits; pages are scaled to about 32
# Thinner pens and lower zeros are lost in a patterned ground, and all patterns then show digits.
THINNEST_PEN_PX, LOWEST_ZERO_PX = (1.5, 13)
MORE_ONES = 0.1  # share of extra 1s: beside a digit that they touch, 1s are missed most
VISIBLE = 0.6  # share of a digit's ink or box; with less, the network may find it or not

Random = np.random.Generator


class Placed(NamedTuple):
    """A digit on a page, and the box of its ink, in pixels from the top left corner."""

    digit: int
    x: float
    y: float
    width: float
    height: float
    is_whole: bool  # its visible share is more than VISIBLE


class DrawnPage(NamedTuple):
    """`float32 (64, 256)` in [0, 1], 1 the ink, and the digits on it."""

    pixels: Floats
    digits: list[Placed]


def draw_page(images: Bytes, labels: npt.NDArray[np.integer], rng: Random) -> DrawnPage:
    """Draw a page.

    Args:
        images: `uint8 (n, 28, 28)`, digits to write with, 255 the ink.
        labels: `(n,)`, what they are.
        rng: decides everything else.
    """
    writer = _Writer(images, labels, rng)
    lines = int(rng.choice([0, 1, 2], p=[0.02, 0.82, 0.16]))
    for line in range(lines):
        writer.write_line(line, lines)
    ink = writer.ink
    draw_rules(ink, [digit[1:5] for digit in writer.digits], rng)
    strength = rng.uniform(0.5, 1)
    ink = np.float32(strength) * press(ink, rng)
    ground = np.float32(strength) * draw_ground(rng)
    pixels = 1 - (1 - ground) * (1 - ink)
    if rng.random() < 0.4:
        pixels = soften(pixels, rng)
    pixels += np.float32(rng.uniform(0, 0.07)) * rng.standard_normal(pixels.shape, np.float32)
    pixels = np.clip(pixels, 0, 1)
    return (
        _end_picture(pixels, writer.digits, rng)
        if rng.random() < 0.5
        else DrawnPage(pixels, writer.digits)
    )


class _Hand(NamedTuple):
    """How one line is written; `slant`, `stretch`, `bold` and `pen` are as in `Shape`."""

    size: float  # height of its digits, in pixels
    angle: float  # of the line and its digits, in radians
    slant: float
    evenness: float  # 0 to 1: how much of each digit's own slant is taken away
    stretch: float
    bold: float
    pen: float
    small_zeros: bool
    is_elsewhere: bool  # a 1 has a flag and a 7 a bar, as in some countries
    is_plain: bool  # digits as MNIST has them
    joins: float  # 0 to 1: how often the pen stays on the paper between two digits


class _Writer:
    """Writes lines of digits, separators and letters."""

    def __init__(self, images: Bytes, labels: npt.NDArray[np.integer], rng: Random) -> None:
        self._images, self._labels, self._rng = images, labels, rng
        self._places = {digit: np.flatnonzero(labels == digit) for digit in (0, 1, 7)}
        self.ink = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
        self.digits: list[Placed] = []

    def write_line(self, line: int, lines: int) -> None:
        """Write one line of digits; those beyond the page's right edge are left out.

        Args:
            line: its number, from 0 at the top.
            lines: how many lines the page has.
        """
        rng = self._rng
        hand = self._take_pen(lines)
        touching, gap = (
            rng.choice([0.05, 0.35, 0.7], p=[0.25, 0.35, 0.4]),
            hand.size * rng.choice([0.12, 0.3, 0.8], p=[0.4, 0.4, 0.2]),
        )
        x = (
            rng.uniform(-0.6, 1.5) * hand.size
            if rng.random() < 0.8
            else rng.uniform(0, 0.6) * WIDTH_PX
        )
        middle = HEIGHT_PX * (line + 0.5 + rng.normal(0, 0.12)) / lines - (WIDTH_PX / 2) * np.tan(
            hand.angle
        )
        before: tuple[Floats, int, int] | None = None
        for kind in self._plan():
            glyph, digit, lift = self._write(kind, hand)
            if glyph.size == 0:
                continue
            y = round(
                middle
                + np.tan(hand.angle) * x
                + lift
                + rng.normal(0, 0.05) * hand.size
                - glyph.shape[0] / 2
            )
            if before is not None:
                touches = rng.random() < (
                    max(touching, 0.5) if hand.small_zeros and digit == 0 else touching
                )
                wanted = rng.uniform(-0.14, 0.03) * hand.size if touches else rng.exponential(gap)
                x += _advance(before[0], before[2], glyph, y) + wanted
            if round(x) >= WIDTH_PX:
                break
            joins = max(hand.joins, 0.4) if hand.small_zeros and digit == 0 else hand.joins
            if before is not None and rng.random() < joins:
                self._join(before, (glyph, round(x), y), hand.size)
            self._put(glyph, round(x), y, digit)
            before = glyph, round(x), y

    def _take_pen(self, lines: int) -> _Hand:
        rng = self._rng
        low, high = SIZES_PX
        size = float(np.exp(rng.uniform(np.log(low), np.log(min(high, 0.8 * HEIGHT_PX / lines)))))
        angle = rng.normal(0, 0.05) if rng.random() < 0.88 else rng.uniform(-0.75, 0.75)
        slant, evenness = (
            (rng.normal(0, 0.15), 0.0)
            if rng.random() < 0.4
            else (rng.normal(0.12, 0.25), rng.uniform(0.5, 1))
        )
        stretch = rng.normal(0, 0.15) if rng.random() < 0.5 else 0
        joins = rng.uniform(0.1, 0.8) if rng.random() < 0.12 else 0
        pen = max(size * rng.uniform(0.05, 0.1), THINNEST_PEN_PX) if rng.random() < 0.3 else 0
        has_small_zeros, is_elsewhere, is_plain = rng.random(3) < (0.2, 0.5, 0.15)
        bold = rng.normal(0, 0.12)
        return _Hand(
            size,
            float(angle),
            slant,
            evenness,
            stretch,
            bold,
            pen,
            has_small_zeros,
            is_elsewhere,
            is_plain,
            joins,
        )

    def _plan(self) -> list[str]:
        """The kinds of characters of one line: letters alone, or digits with some separators.

        Some lines end with zeros and further separators, as amounts do.
        """
        rng = self._rng
        count = int(rng.integers(1, 9 if rng.random() < 0.3 else 19))
        if rng.random() < 0.08:
            return ["letter"] * count
        kinds = rng.choice(["digit", "separator", "letter"], count, p=[0.86, 0.11, 0.03]).tolist()
        kinds += ["zero"] * int(rng.choice([0, 1, 2, 3, 4], p=[0.76, 0.04, 0.08, 0.09, 0.03]))
        return [*kinds, *["separator"] * int(rng.choice([0, 1, 2, 3], p=[0.6, 0.2, 0.14, 0.06]))]

    def _write(self, kind: str, hand: _Hand) -> tuple[Floats, int, float]:
        """Draw one character.

        Returns:
            The ink, `float32 (height, width)`; the digit, or -1; and how far below the middle of
            the line it stands, in pixels.
        """
        rng = self._rng
        if kind == "letter":
            return draw_letter(hand.size, rng), -1, 0.0
        if kind == "separator":
            glyph, lift = draw_separator(hand.size, rng)
            return glyph, -1, lift
        chosen = self._choose(0 if kind == "zero" else 1 if rng.random() < MORE_ONES else None)
        digit = int(self._labels[chosen])
        if hand.is_plain:
            return copy_glyph(self._images[chosen], hand.size * rng.uniform(0.9, 1.1)), digit, 0.0
        is_seven = (
            digit == 1 and hand.is_elsewhere and len(self._places[7]) > 0 and rng.random() < 0.5
        )
        if is_seven:
            chosen = self._choose(7)
        image = write_otherwise(
            self._images[chosen],
            digit,
            rng,
            share=0.85 if hand.is_elsewhere and not is_seven else 0.1,
            longest=1.0,
        )
        # Some begin a 9 on the right, so that it looks like a P.
        if digit == 9 and hand.is_elsewhere and rng.random() < 0.25:
            image = np.ascontiguousarray(image[:, ::-1])
        scale, stretch = np.exp(rng.normal(0, 0.1)), hand.stretch
        if hand.small_zeros and digit == 0:
            scale, stretch = (
                scale * max(rng.uniform(0.5, 0.8), LOWEST_ZERO_PX / hand.size),
                stretch + rng.uniform(0, 0.6),
            )
        bend = rng.normal(0, 0.25) if rng.random() < 0.25 else 0
        if digit == 9 and rng.random() < 0.2:  # its tail is on the left, as a P's is
            bend = rng.uniform(0.2, 0.8)
        angle, slant = 0.9 * hand.angle + rng.normal(0, 0.06), hand.slant + rng.normal(0, 0.06)
        shape = Shape(slant, angle, 0.0, stretch, bend, hand.bold, hand.pen)
        if is_seven:
            image, shape = flag_one(image, shape, rng)
        else:
            shape = shape._replace(slant=slant + hand.evenness * lean(image, digit))
        glyph = draw_glyph(image, hand.size * scale / (1 + shape.tilt / 6), shape, rng)
        return glyph, digit, 0.5 * (1 - scale) * hand.size * rng.uniform(-0.3, 1)

    def _choose(self, digit: int | None) -> int:
        """The index of a random image of this digit, or of any digit if there is none.

        Args:
            digit: 0, 1 or 7; None: any.
        """
        places = self._places[digit] if digit is not None else np.arange(0)
        return int(
            self._rng.choice(places) if len(places) else self._rng.integers(0, len(self._images))
        )

    def _join(
        self, left: tuple[Floats, int, int], right: tuple[Floats, int, int], size: float
    ) -> None:
        """Draw a stroke from the right end of one digit to the left end of the next.

        Each end is in the upper or the lower half of its digit. Digits come as ink, x and y.
        """
        ends = []
        for (ink, x, y), side, is_high in zip(
            (left, right), (-1, 0), self._rng.random(2) < 0.6, strict=True
        ):
            half = slice(0, len(ink) // 2) if is_high else slice(len(ink) // 2, None)
            rows, columns = np.nonzero(ink[half] > 0.3)
            if len(rows) == 0:
                return
            outermost = np.argsort(columns)[side]
            ends.append((x + int(columns[outermost]), y + int(rows[outermost]) + (half.start or 0)))
        cv2.line(
            self.ink, *ends, 1.0, max(1, round(size * self._rng.uniform(0.03, 0.1))), cv2.LINE_AA
        )

    def _put(self, glyph: Floats, x: int, y: int, digit: int) -> None:
        height, width = glyph.shape
        top, bottom, left, right = (
            max(y, 0),
            min(y + height, HEIGHT_PX),
            max(x, 0),
            min(x + width, WIDTH_PX),
        )
        if top >= bottom or left >= right:
            return
        seen = glyph[top - y : bottom - y, left - x : right - x]
        part = self.ink[top:bottom, left:right]
        np.maximum(part, seen, out=part)
        if digit >= 0:
            is_whole = float(seen.sum()) > VISIBLE * float(glyph.sum())
            self.digits.append(Placed(digit, left, top, right - left, bottom - top, is_whole))


def _advance(left: Floats, left_top: int, right: Floats, right_top: int) -> int:
    """How many pixels after `left` begins `right` must begin, for their ink to touch, not overlap.

    Rows that both have count, and two more above and below: a pen keeps away from near ink.
    """
    reach = 2
    top, bottom = (
        max(left_top, right_top) - reach,
        min(left_top + len(left), right_top + len(right)) + reach,
    )
    a = _edge(left, top - left_top, bottom - left_top, last=True)
    b = _edge(right, top - right_top, bottom - right_top, last=False)
    if a is None or b is None:
        return left.shape[1]
    return a - b + 1


def _edge(ink: Floats, top: int, bottom: int, *, last: bool) -> int | None:
    columns = np.flatnonzero((ink[max(top, 0) : max(bottom, 0)] > 0.3).any(axis=0))
    return None if len(columns) == 0 else int(columns[-1 if last else 0])


def _end_picture(pixels: Floats, digits: list[Placed], rng: Random) -> DrawnPage:
    """Cut the page off at some edges, as real pictures do; the rest of it becomes blank."""
    left, right, top, bottom = (
        int(rng.integers(0, most)) if rng.random() < 0.6 else 0 for most in (40, 80, 12, 12)
    )
    right, bottom = WIDTH_PX - right, HEIGHT_PX - bottom
    picture = np.zeros_like(pixels)
    if rng.random() < 0.3:
        pixels = reach_in(pixels, left, right, top, bottom, rng)
    picture[top:bottom, left:right] = pixels[top:bottom, left:right]
    seen = []
    for digit in digits:
        x, y = max(digit.x, left), max(digit.y, top)
        width, height = (
            min(digit.x + digit.width, right) - x,
            min(digit.y + digit.height, bottom) - y,
        )
        if width > 0 and height > 0:
            is_whole = digit.is_whole and width * height > VISIBLE * digit.width * digit.height
            seen.append(Placed(digit.digit, x, y, width, height, is_whole))
    return DrawnPage(picture, seen)


def draw_targets(digits: list[Placed]) -> Floats:
    """Draw the network's targets for a page.

    Returns:
        `float32 (16, 128, 6)`: for each cell, how near a digit's centre is, from 0 to 1; which
        digit it is, 0 to 9; and its box. The box is the way to its centre (x, y, in cells), and the
        logarithms of its width and height in cells. Nearness is 1 at the centre and falls off as a
        bell (Zhou, Wang, Krähenbühl: "Objects as Points", 2019).
    """
    across_px, down_px = STRIDES_PX
    targets = np.zeros((HEIGHT_PX // down_px, WIDTH_PX // across_px, 6), np.float32)
    for digit in digits:
        w, h = digit.width / across_px, digit.height / down_px
        x, y = digit.x / across_px + w / 2 - 0.5, digit.y / down_px + h / 2 - 0.5
        top, left = max(0, int(y - h / 2) - 1), max(0, int(x - w / 2) - 1)
        part = targets[top : int(y + h / 2) + 3, left : int(x + w / 2) + 3]
        if part.size == 0:
            continue
        across = (np.arange(part.shape[1]) + left - x).astype(np.float32)
        down = (np.arange(part.shape[0]) + top - y).astype(np.float32)[:, np.newaxis]
        near = np.exp(-((across / (0.35 + 0.14 * w)) ** 2 + (down / (0.35 + 0.14 * h)) ** 2) / 2)
        away = np.hypot(across, down)
        near[away < LENIENT] = np.maximum(near[away < LENIENT], 0.9)
        # All cells next to the centre count, because no cell can know that it is the nearest.
        near = (
            np.where(away < AT_CENTER, 1, np.minimum(near, 0.99))
            if digit.is_whole
            else np.minimum(near, 0.99)
        )
        closer = near > part[..., 0]
        part[closer, 0] = near[closer]
        part[closer, 1] = digit.digit
        part[closer, 2] = np.broadcast_to(-across, near.shape)[closer]
        part[closer, 3] = np.broadcast_to(-down, near.shape)[closer]
        part[closer, 4:] = np.log(max(w, 0.25)), np.log(max(h, 0.25))
    return targets
