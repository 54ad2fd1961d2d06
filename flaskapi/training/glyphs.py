"""Single signs as a hand writes them: MNIST's digits at another size, letters, and what stands between digits."""

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.training.outliers import LETTERS, draw_letters

SEPARATORS = {"dot": 0.3, "comma": 0.2, "dash": 0.18, "slash": 0.08, "bracket": 0.06, "plus": 0.05, "equals": 0.05, "text": 0.08}

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Random = np.random.Generator


def draw_glyph(image: Bytes, height: float, slant: float, angle: float, bold: float, rng: Random) -> Floats:
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
    return trim(np.clip(digit, 0, 1))


def trim(ink: Floats) -> Floats:
    x, y, w, h = cv2.boundingRect((ink > 0.2).view(np.uint8))
    return ink[y : y + h, x : x + w]


def draw_letter(size: float, rng: Random) -> Floats:
    """One letter, shaken."""
    letter = draw_letters(str(rng.choice(list(LETTERS))), rng)
    letter = trim(letter.astype(np.float32))
    scale = size * rng.uniform(0.6, 1.1) / max(*letter.shape, 1)
    return trim(cv2.resize(letter, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)) if letter.size else letter


def draw_separator(size: float, rng: Random) -> tuple[Floats, float]:
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
    return trim(canvas.astype(np.float32) / np.float32(255)), float(lift)
