"""Pages of handwritten numbers, put together from MNIST's digits, for the network that finds digits in larger pictures.

Digits stand in lines that rise and fall, apart, touching and overlapping, between separators, words, rules and specks, on plain
and on patterned ground, in ink that is bold or thin, even or broken, at about the size that a page is brought to before it is read.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.training.augment import write_otherwise
from flaskapi.training.outliers import LETTERS, draw_letters

HEIGHT_PX, WIDTH_PX = 64, 256
STRIDE_PX = 4  # of the network's answer: it has one row and one column for so many pixels
AT_CENTER, LENIENT = 0.75, 1.25  # of a cell: as near to a digit's centre, a cell says that it is there; may say so or not
NEAR = 0.6  # what is that near to a digit's centre answers for it too
SIZES_PX = 18, 52  # heights of digits; pages are brought to 32
VISIBLE = 0.6  # of a digit: less is a neighbour that the page cuts off, which may be found or not
SEPARATORS = {"dot": 0.3, "comma": 0.2, "dash": 0.18, "slash": 0.08, "bracket": 0.06, "plus": 0.05, "equals": 0.05, "text": 0.08}
_ACROSS, _DOWN = np.meshgrid(np.arange(WIDTH_PX, dtype=np.float32), np.arange(HEIGHT_PX, dtype=np.float32))

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Random = np.random.Generator


class Placed(NamedTuple):
    """A digit on a page, and the box of its ink, in pixels."""

    digit: int
    x: float
    y: float
    width: float
    height: float
    is_whole: bool


class Page(NamedTuple):
    """`float32 (64, 256)` in [0, 1], 1 the ink, and the digits on it."""

    pixels: Floats
    digits: list[Placed]


def draw_page(images: Bytes, labels: npt.NDArray[np.integer], rng: Random) -> Page:
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
    _draw_rules(ink, writer.digits, rng)
    strength = rng.uniform(0.5, 1)
    ink = np.float32(strength) * _press(ink, rng)
    ground = np.float32(strength) * _draw_ground(rng)
    pixels = 1 - (1 - ground) * (1 - ink)
    if rng.random() < 0.4:
        pixels = _soften(pixels, rng)
    pixels += np.float32(rng.uniform(0, 0.07)) * rng.standard_normal(pixels.shape, np.float32)
    pixels = np.clip(pixels, 0, 1)
    return _end_picture(pixels, writer.digits, rng) if rng.random() < 0.5 else Page(pixels, writer.digits)


class _Writer:
    """Writes lines of digits, separators and letters."""

    def __init__(self, images: Bytes, labels: npt.NDArray[np.integer], rng: Random) -> None:
        self._images, self._labels, self._rng = images, labels, rng
        self.ink = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
        self.digits: list[Placed] = []

    def write_line(self, line: int, lines: int) -> None:
        """Write one line, of as many digits as there is room for or fewer."""
        rng = self._rng
        low, high = SIZES_PX
        size = float(np.exp(rng.uniform(np.log(low), np.log(min(high, 0.8 * HEIGHT_PX / lines)))))
        angle = rng.normal(0, 0.05) if rng.random() < 0.88 else rng.uniform(-0.75, 0.75)
        is_words = rng.random() < 0.08
        slant, bold, touching = rng.normal(0, 0.15), rng.normal(0, 0.12), rng.choice([0.05, 0.35, 0.7])
        gap = size * rng.choice([0.12, 0.3, 0.8], p=[0.4, 0.4, 0.2])
        x = rng.uniform(-0.6, 1.5) * size if rng.random() < 0.8 else rng.uniform(0, 0.6) * WIDTH_PX
        middle = HEIGHT_PX * (line + 0.5 + rng.normal(0, 0.12)) / lines - (WIDTH_PX / 2) * np.tan(angle)
        before: tuple[Floats, int] | None = None
        small_zeros = rng.random() < 0.15
        for _ in range(int(rng.integers(1, 19))):
            chance = rng.random()
            if is_words or chance < 0.03:
                glyph, digit, lift = _letter(size, rng), -1, 0.0
            elif chance < 0.14:
                glyph, lift = _separator(size, rng)
                digit = -1
            else:
                chosen = int(rng.integers(0, len(self._images)))
                digit = int(self._labels[chosen])
                image = write_otherwise(self._images[chosen], digit, rng, share=0.5)
                scale = np.exp(rng.normal(0, 0.1)) * (rng.uniform(0.5, 0.8) if small_zeros and digit == 0 else 1)
                glyph = _glyph(image, size * scale, slant + rng.normal(0, 0.06), 0.9 * angle + rng.normal(0, 0.06), bold, rng)
                lift = 0.5 * (1 - scale) * size * rng.uniform(-0.3, 1)
            if glyph.size == 0:
                continue
            y = round(middle + np.tan(angle) * x + lift + rng.normal(0, 0.05) * size - glyph.shape[0] / 2)
            if before is not None:
                wanted = rng.uniform(-0.14, 0.03) * size if rng.random() < touching else rng.exponential(gap)
                x += _advance(*before, glyph, y) + wanted
            if round(x) >= WIDTH_PX:
                break
            self._put(glyph, round(x), y, digit)
            before = glyph, y

    def _put(self, glyph: Floats, x: int, y: int, digit: int) -> None:
        height, width = glyph.shape
        top, bottom, left, right = max(y, 0), min(y + height, HEIGHT_PX), max(x, 0), min(x + width, WIDTH_PX)
        if top >= bottom or left >= right:
            return
        seen = glyph[top - y : bottom - y, left - x : right - x]
        part = self.ink[top:bottom, left:right]
        np.maximum(part, seen, out=part)
        if digit >= 0:
            is_whole = float(seen.sum()) > VISIBLE * float(glyph.sum())
            self.digits.append(Placed(digit, left, top, right - left, bottom - top, is_whole))


def _glyph(image: Bytes, height: float, slant: float, angle: float, bold: float, rng: Random) -> Floats:
    """A digit at another size, turned, slanted and shaken in one resampling, bolder or thinner, cropped to its ink."""
    x, y, w, h = cv2.boundingRect((image > 25).view(np.uint8))
    if w == 0:
        return np.zeros((0, 0), np.float32)
    scale = height / max(h, 0.55 * w)
    side = int(1.5 * max(w, h) * scale) + 4
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, sin], [-sin, cos]]) @ np.array([[1, slant], [0, 1]]) / (scale * np.exp(rng.normal(0, [0.12, 0.04])))
    steps = np.arange(side, dtype=np.float32) - (side - 1) / 2
    columns, rows = matrix.T.astype(np.float32)
    grid = steps[np.newaxis, :, np.newaxis] * columns + steps[:, np.newaxis, np.newaxis] * rows
    if rng.random() < 0.5:
        knots = rng.normal(0, rng.uniform(0.2, 0.9), (4, 4, 2)).astype(np.float32)
        grid += cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC)
    grid += np.array([x + (w - 1) / 2, y + (h - 1) / 2], np.float32)
    digit = cv2.remap(image.astype(np.float32) / np.float32(255), grid.astype(np.float32), None, cv2.INTER_CUBIC)
    gain = rng.uniform(1.2, 3)
    digit = (digit - 0.5 + min(bold + rng.normal(0, 0.05), 0.5 - 0.5 / gain)) * gain + 0.5  # paper stays paper, however bold
    return _trim(np.clip(digit, 0, 1))


def _trim(ink: Floats) -> Floats:
    x, y, w, h = cv2.boundingRect((ink > 0.2).view(np.uint8))
    return ink[y : y + h, x : x + w]


def _advance(left: Floats, left_top: int, right: Floats, right_top: int) -> int:
    """How far right of where `left` begins `right` must begin for its ink to come next to, not into, the other's.

    Rows that both have count, and what is a little above and below, as a pen keeps away from what it comes near.
    """
    reach = 2
    top, bottom = max(left_top, right_top) - reach, min(left_top + len(left), right_top + len(right)) + reach
    a = _edge(left, top - left_top, bottom - left_top, last=True)
    b = _edge(right, top - right_top, bottom - right_top, last=False)
    if a is None or b is None:
        return left.shape[1]
    return a - b + 1


def _edge(ink: Floats, top: int, bottom: int, *, last: bool) -> int | None:
    columns = np.flatnonzero((ink[max(top, 0) : max(bottom, 0)] > 0.3).any(axis=0))
    return None if len(columns) == 0 else int(columns[-1 if last else 0])


def _letter(size: float, rng: Random) -> Floats:
    """One letter, shaken."""
    letter = draw_letters(str(rng.choice(list(LETTERS))), rng)
    letter = _trim(letter.astype(np.float32))
    scale = size * rng.uniform(0.6, 1.1) / max(*letter.shape, 1)
    return _trim(cv2.resize(letter, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)) if letter.size else letter


def _separator(size: float, rng: Random) -> tuple[Floats, float]:
    """A dot, comma, dash, slash, bracket, plus, equals or currency sign, and how far below the middle of the line it stands."""
    side = int(1.6 * size) + 6
    canvas = np.zeros((side, side), np.uint8)
    middle, pen = side / 2, max(1, round(size * rng.uniform(0.05, 0.13)))
    kind = rng.choice(list(SEPARATORS), p=list(SEPARATORS.values()))
    half = size * rng.uniform(0.12, 0.4)
    lift = size * rng.uniform(0.3, 0.55)

    def line(x0: float, y0: float, x1: float, y1: float) -> None:
        ends = ((round(16 * (middle + x)), round(16 * (middle + y))) for x, y in ((x0, y0), (x1, y1)))
        cv2.line(canvas, *ends, 255, pen, cv2.LINE_AA, 4)

    tilt = rng.normal(0, 0.15)
    if kind == "dot":
        cv2.circle(canvas, (side // 2, side // 2), max(1, round(size * rng.uniform(0.03, 0.1))), 255, -1, cv2.LINE_AA)
    elif kind == "comma":
        line(half * 0.15, -half * 0.5, -half * rng.uniform(0, 0.7), half * rng.uniform(0.3, 0.8))
    elif kind == "slash":
        high, wide = size * rng.uniform(0.55, 0.75), size * rng.uniform(0.25, 0.5)
        line(wide, -high, -wide, high)
        lift = 0
    elif kind == "bracket":
        turn = -1 if rng.random() < 0.5 else 1
        axes = (round(size * rng.uniform(0.15, 0.3)), round(size * rng.uniform(0.55, 0.75)))
        cv2.ellipse(canvas, (side // 2, side // 2), axes, 0, 90 if turn > 0 else -90, 270 if turn > 0 else 90, 255, pen, cv2.LINE_AA)
        lift = 0
    elif kind == "text":
        sign = str(rng.choice(list("#$&%*?=+-")))
        cv2.putText(canvas, sign, (side // 4, 3 * side // 4), int(rng.choice([0, 2, 3])), size / 26, 255, pen, cv2.LINE_AA)
        lift = 0
    else:
        line(-half, -half * tilt, half, half * tilt)
        lift = rng.normal(0, 0.12) * size
        if kind == "plus":
            line(half * tilt, -half, -half * tilt, half)
        elif kind == "equals":
            gap = size * rng.uniform(0.15, 0.3)
            line(-half, gap - half * tilt, half, gap + half * tilt)
    return _trim(canvas.astype(np.float32) / np.float32(255)), float(lift)


def _draw_rules(ink: Floats, digits: list[Placed], rng: Random) -> None:
    """Ruled lines, underlines, boxes and grids, thin, through and beside the digits; and specks."""
    pen = int(rng.integers(1, 3))
    strength = float(rng.uniform(0.25, 1))
    drawn = np.zeros_like(ink)
    if rng.random() < 0.25:
        y, pitch, tilt = rng.uniform(0, HEIGHT_PX), rng.uniform(25, 90), rng.normal(0, 3)
        for step in range(-3, 4):
            at = y + step * pitch
            cv2.line(drawn, (0, round(at)), (WIDTH_PX, round(at + tilt)), strength, pen, cv2.LINE_AA)
    if rng.random() < 0.08:
        x, pitch = rng.uniform(0, WIDTH_PX), rng.uniform(20, 60)
        for step in range(-10, 11):
            at = x + step * pitch
            cv2.line(drawn, (round(at), 0), (round(at + rng.normal(0, 1)), HEIGHT_PX), strength, pen, cv2.LINE_AA)
    if digits and rng.random() < 0.08:
        box = digits[int(rng.integers(0, len(digits)))]
        pad = rng.uniform(2, 10)
        corners = ((round(box.x - pad), round(box.y - pad)), (round(box.x + box.width + pad), round(box.y + box.height + pad)))
        cv2.rectangle(drawn, *corners, strength, pen, cv2.LINE_AA)
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 12))):
            center = (int(rng.integers(0, WIDTH_PX)), int(rng.integers(0, HEIGHT_PX)))
            cv2.circle(drawn, center, int(rng.integers(0, 3)), float(rng.uniform(0.2, 1)), -1, cv2.LINE_AA)
    np.maximum(ink, drawn, out=ink)


def _press(ink: Floats, rng: Random) -> Floats:
    """Ink that is uneven, down to broken strokes."""
    if rng.random() < 0.35:
        size = (int(rng.integers(3, 14)), int(rng.integers(6, 34)))
        uneven = rng.uniform(1 - rng.uniform(0.2, 0.9), 1.3, size).astype(np.float32)
        ink = ink * np.clip(cv2.resize(uneven, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC), 0, 1)
    return ink


def _draw_ground(rng: Random) -> Floats:
    """What is left of the ground: nothing, a shade, or the lines, waves and dots that cheques and newsprint have."""
    ground = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    if rng.random() < 0.3:
        knots = rng.uniform(0, rng.uniform(0, 0.3), (3, 5)).astype(np.float32)
        ground += cv2.resize(knots, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        return np.clip(ground, 0, 1)
    strength = rng.uniform(0.05, 0.5)
    for _ in range(int(rng.integers(1, 4))):
        angle, period, width = rng.uniform(0, np.pi), rng.uniform(3, 16), rng.uniform(0.2, 0.6)
        along = _ACROSS * np.cos(angle) + _DOWN * np.sin(angle)
        if rng.random() < 0.5:
            across = _DOWN * np.cos(angle) - _ACROSS * np.sin(angle)
            along = along + rng.uniform(1, 12) * np.sin(across / rng.uniform(5, 30) + rng.uniform(0, 6))
        if rng.random() < 0.2:
            along = np.hypot(_ACROSS - rng.uniform(-100, 340), _DOWN - rng.uniform(-100, 200)) + 0.3 * along
        wave = np.abs((along / period) % 1 - 0.5) * 2
        lines = np.clip((width - wave) * period / 2 + 0.5, 0, 1) if rng.random() < 0.7 else 1 - wave
        ground = np.maximum(ground, strength * rng.uniform(0.5, 1) * lines.astype(np.float32))
    return np.clip(ground, 0, 1)


def _soften(pixels: Floats, rng: Random) -> Floats:
    """As if the picture had been smaller, or out of focus."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.3))
    factor = rng.uniform(1.2, 2.4)
    small = cv2.resize(pixels, (round(WIDTH_PX / factor), round(HEIGHT_PX / factor)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC)


def _end_picture(pixels: Floats, digits: list[Placed], rng: Random) -> Page:
    """Let the picture end before the page does, as pictures that are read do; what is beyond is blank."""
    left, right, top, bottom = (int(rng.integers(0, most)) if rng.random() < 0.6 else 0 for most in (40, 80, 12, 12))
    right, bottom = WIDTH_PX - right, HEIGHT_PX - bottom
    picture = np.zeros_like(pixels)
    picture[top:bottom, left:right] = pixels[top:bottom, left:right]
    seen = []
    for digit in digits:
        x, y = max(digit.x, left), max(digit.y, top)
        width, height = min(digit.x + digit.width, right) - x, min(digit.y + digit.height, bottom) - y
        if width > 0 and height > 0:
            is_whole = digit.is_whole and width * height > VISIBLE * digit.width * digit.height
            seen.append(Placed(digit.digit, x, y, width, height, is_whole))
    return Page(picture, seen)


def draw_targets(digits: list[Placed]) -> Floats:
    """What the network should answer, `float32 (16, 64, 6)`.

    The last axis: how near a digit's centre is (1 there, falling off as a bell; Zhou, Wang, Krähenbühl: "Objects as Points", 2019),
    which digit it is, and its box: from here to its centre (x, y, in cells), and the logarithms of its width and height in cells.
    """
    rows, columns = HEIGHT_PX // STRIDE_PX, WIDTH_PX // STRIDE_PX
    targets = np.zeros((rows, columns, 6), np.float32)
    for digit in digits:
        w, h = digit.width / STRIDE_PX, digit.height / STRIDE_PX
        x, y = digit.x / STRIDE_PX + w / 2 - 0.5, digit.y / STRIDE_PX + h / 2 - 0.5
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
        near = np.where(away < AT_CENTER, 1, np.minimum(near, 0.99)) if digit.is_whole else np.minimum(near, 0.99)
        closer = near > part[..., 0]
        part[closer, 0] = near[closer]
        part[closer, 1] = digit.digit
        part[closer, 2] = np.broadcast_to(-across, near.shape)[closer]
        part[closer, 3] = np.broadcast_to(-down, near.shape)[closer]
        part[closer, 4:] = np.log(max(w, 0.25)), np.log(max(h, 0.25))
    return targets
