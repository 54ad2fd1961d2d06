"""Pages of handwritten numbers, put together from MNIST's digits, for the network that finds digits
in larger pictures.

Digits stand in lines that rise and fall, apart, touching and overlapping, between separators,
words, rules and specks, on plain and on patterned ground, in ink that is bold or thin, even or
broken, at about the size that a page is brought to before it is read.
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

# Across and down, of the network's answer: it has one column and one row for so many pixels.
STRIDES_PX = (2, 4)
# Of a cell: as near to a digit's centre, a cell says that it is there; may say so or not.
AT_CENTER, LENIENT = (0.75, 1.25)
NEAR = 0.6  # what is that near to a digit's centre answers for it too
SIZES_PX = 18, 52  # heights of digits; pages are brought to 32
# Less is lost in a pattern, and digits are seen in every pattern then.
THINNEST_PEN_PX, LOWEST_ZERO_PX = (1.5, 13)
MORE_ONES = 0.1  # of the digits: where they touch their neighbours, they are what is missed most
VISIBLE = 0.6  # of a digit: less is a neighbour that the page cuts off, which may be found or not

Random = np.random.Generator


class Placed(NamedTuple):
    """A digit on a page, and the box of its ink, in pixels."""

    digit: int
    x: float
    y: float
    width: float
    height: float
    is_whole: bool


class DrawnPage(NamedTuple):
    """`float32 (64, 256)` in [0, 1], 1 the ink, and the digits on it."""

    pixels: Floats
    digits: list[Placed]


def draw_page(images: Bytes, labels: npt.NDArray[np.integer], rng: Random) -> DrawnPage:
    """Draw a page.

    Args:
        images: `uint8 (n, 28, 28)`, digits to write with, 255 the ink.
        labels: `(n,)`, what they are.
        rng: where all chance comes from.
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
    """How one line is written: the height of its digits in pixels, angles in radians."""

    size: float
    angle: float  # of the line, and of its digits
    slant: float
    evenness: float  # how much of each digit's own slant is taken away
    stretch: float
    bold: float
    pen: float
    small_zeros: bool
    is_elsewhere: bool  # one that writes a 1 with a flag crosses its 7s
    is_plain: bool  # its digits as MNIST has them
    joins: float  # how often the pen stays on the paper between two digits


class _Writer:
    """Writes lines of digits, separators and letters."""

    def __init__(self, images: Bytes, labels: npt.NDArray[np.integer], rng: Random) -> None:
        self._images, self._labels, self._rng = images, labels, rng
        self._places = {digit: np.flatnonzero(labels == digit) for digit in (0, 1, 7)}
        self.ink = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
        self.digits: list[Placed] = []

    def write_line(self, line: int, lines: int) -> None:
        """Write one line, of as many digits as there is room for or fewer."""
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
        """What follows what: words, or digits with a separator here and there, and zeros and more
        of them at the end, as amounts have.
        """
        rng = self._rng
        count = int(rng.integers(1, 9 if rng.random() < 0.3 else 19))
        if rng.random() < 0.08:
            return ["letter"] * count
        kinds = rng.choice(["digit", "separator", "letter"], count, p=[0.86, 0.11, 0.03]).tolist()
        kinds += ["zero"] * int(rng.choice([0, 1, 2, 3, 4], p=[0.76, 0.04, 0.08, 0.09, 0.03]))
        return [*kinds, *["separator"] * int(rng.choice([0, 1, 2, 3], p=[0.6, 0.2, 0.14, 0.06]))]

    def _write(self, kind: str, hand: _Hand) -> tuple[Floats, int, float]:
        """Give the ink, the digit (-1: none), and how far below the middle of the line it stands,
        in pixels.
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
        if (
            digit == 9 and hand.is_elsewhere and rng.random() < 0.25
        ):  # begun on the right, as a P is
            image = np.ascontiguousarray(image[:, ::-1])
        scale, stretch = np.exp(rng.normal(0, 0.1)), hand.stretch
        if hand.small_zeros and digit == 0:
            scale, stretch = (
                scale * max(rng.uniform(0.5, 0.8), LOWEST_ZERO_PX / hand.size),
                stretch + rng.uniform(0, 0.6),
            )
        bend = rng.normal(0, 0.25) if rng.random() < 0.25 else 0
        if digit == 9 and rng.random() < 0.2:  # the tail begins where the loop does, as in a P
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
        """The place of an image of this digit; of any, if there is none of it or none is asked
        for.
        """
        places = self._places[digit] if digit is not None else np.arange(0)
        return int(
            self._rng.choice(places) if len(places) else self._rng.integers(0, len(self._images))
        )

    def _join(
        self, left: tuple[Floats, int, int], right: tuple[Floats, int, int], size: float
    ) -> None:
        """Draw a stroke from the outermost ink of one digit to that of the next, high up or low
        down.
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
    """How far right of where `left` begins `right` must begin for its ink to come next to, not
    into, the other's.

    Rows that both have count, and what is a little above and below, as a pen keeps away from what
    it comes near.
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
    """Let the picture end before the page does, as pictures that are read do; what is beyond is
    blank.
    """
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
    """What the network should answer, `float32 (16, 128, 6)`.

    The last axis: how near a digit's centre is (1 there, falling off as a bell; Zhou, Wang,
    Krähenbühl: "Objects as Points", 2019), which digit it is, and its box: from here to its centre
    (x, y, in cells), and the logarithms of its width and height in cells.
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
        # All cells next to the centre count: none could be sure of being the nearest.
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
