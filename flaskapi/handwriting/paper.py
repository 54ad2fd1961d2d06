"""What numbers are written on and with: ground, rules and specks, uneven ink, unsharp pictures,
strokes from beside the picture.
"""

import itertools

import cv2
import numpy as np

from flaskapi.arrays import Floats

HEIGHT_PX, WIDTH_PX = 64, 256
_ACROSS, _DOWN = np.meshgrid(
    np.arange(WIDTH_PX, dtype=np.float32), np.arange(HEIGHT_PX, dtype=np.float32)
)

Random = np.random.Generator


def draw_rules(ink: Floats, boxes: list[tuple[float, float, float, float]], rng: Random) -> None:
    """Draw thin ruled lines, underlines, boxes and grids, through and beside the digits; and
    specks.
    """
    pen = int(rng.integers(1, 3))
    strength = float(rng.uniform(0.25, 1))
    drawn = np.zeros_like(ink)
    if rng.random() < 0.25:
        y, pitch, tilt = rng.uniform(0, HEIGHT_PX), rng.uniform(25, 90), rng.normal(0, 3)
        for step in range(-3, 4):
            at = y + step * pitch
            cv2.line(
                drawn, (0, round(at)), (WIDTH_PX, round(at + tilt)), strength, pen, cv2.LINE_AA
            )
    if rng.random() < 0.08:
        x, pitch = rng.uniform(0, WIDTH_PX), rng.uniform(20, 60)
        for step in range(-10, 11):
            at = x + step * pitch
            cv2.line(
                drawn,
                (round(at), 0),
                (round(at + rng.normal(0, 1)), HEIGHT_PX),
                strength,
                pen,
                cv2.LINE_AA,
            )
    if boxes and rng.random() < 0.08:
        x, y, width, height = boxes[int(rng.integers(0, len(boxes)))]
        pad = rng.uniform(2, 10)
        corners = (
            (round(x - pad), round(y - pad)),
            (round(x + width + pad), round(y + height + pad)),
        )
        cv2.rectangle(drawn, *corners, strength, pen, cv2.LINE_AA)
    if rng.random() < 0.08:
        _draw_squares(drawn, rng.uniform(0.2, 0.8), rng)
    if boxes and rng.random() < 0.12:
        _draw_cells(drawn, boxes, strength, pen, rng)
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 12))):
            center = (int(rng.integers(0, WIDTH_PX)), int(rng.integers(0, HEIGHT_PX)))
            cv2.circle(
                drawn, center, int(rng.integers(0, 3)), float(rng.uniform(0.2, 1)), -1, cv2.LINE_AA
            )
    np.maximum(ink, drawn, out=ink)


def _draw_squares(drawn: Floats, strength: float, rng: Random) -> None:
    """Squared paper: lines across and down at the same distance."""
    pitch, shift = rng.uniform(7, 40), rng.uniform(0, 40, 2)
    tilt = rng.normal(0, 0.015)
    lean = tilt * HEIGHT_PX
    for at in np.arange(-pitch, WIDTH_PX + pitch, pitch) + shift[0] % pitch:
        ends = (round(at), 0), (round(at - lean), HEIGHT_PX)
        cv2.line(drawn, *ends, strength, 1, cv2.LINE_AA)
    for at in np.arange(-pitch, HEIGHT_PX + pitch, pitch) + shift[1] % pitch:
        ends = (0, round(at)), (WIDTH_PX, round(at + tilt * WIDTH_PX))
        cv2.line(drawn, *ends, strength, 1, cv2.LINE_AA)


def _draw_cells(
    drawn: Floats,
    boxes: list[tuple[float, float, float, float]],
    strength: float,
    pen: int,
    rng: Random,
) -> None:
    """The cells of a form: open as a comb or closed, with a wall between neighbours."""
    top = min(box[1] for box in boxes) - rng.uniform(-1, 8)
    bottom = max(box[1] + box[3] for box in boxes) + rng.uniform(-1, 8)
    ordered = sorted(boxes)
    walls = [ordered[0][0] - rng.uniform(0, 8)]
    walls += [
        (left[0] + left[2] + right[0]) / 2 + rng.normal(0, 1.5)
        for left, right in itertools.pairwise(ordered)
    ]
    walls.append(max(box[0] + box[2] for box in boxes) + rng.uniform(0, 8))
    is_comb = rng.random() < 0.5
    begin = bottom - rng.uniform(0.15, 0.7) * (bottom - top) if is_comb else top
    for wall in walls:
        ends = (round(wall), round(begin)), (round(wall), round(bottom))
        cv2.line(drawn, *ends, strength, pen, cv2.LINE_AA)
    for y in (bottom,) if is_comb else (top, bottom):
        ends = (round(walls[0]), round(y)), (round(walls[-1]), round(y))
        cv2.line(drawn, *ends, strength, pen, cv2.LINE_AA)


def press(ink: Floats, rng: Random) -> Floats:
    """Make ink uneven, down to broken strokes."""
    if rng.random() < 0.35:
        size = (int(rng.integers(3, 14)), int(rng.integers(6, 34)))
        uneven = rng.uniform(1 - rng.uniform(0.2, 0.9), 1.3, size).astype(np.float32)
        ink = ink * np.clip(
            cv2.resize(uneven, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC), 0, 1
        )
    if rng.random() < 0.08:  # as a rule that was taken away leaves it
        y, width = int(rng.integers(0, HEIGHT_PX)), int(rng.integers(1, 4))
        ink = ink.copy()
        ink[y : y + width] *= np.float32(rng.uniform(0, 0.6))
    return ink


def draw_ground(rng: Random) -> Floats:
    """The rest of the ground: nothing, a shade, or the lines, waves and dots of cheques and
    newsprint.
    """
    ground = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    if rng.random() < 0.3:
        knots = rng.uniform(0, rng.uniform(0, 0.3), (3, 5)).astype(np.float32)
        ground += cv2.resize(knots, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        return np.clip(ground, 0, 1)
    strength, is_crossing = rng.uniform(0.05, 0.5), rng.random() < 0.4
    for _ in range(int(rng.integers(1, 4))):
        angle, period, width = rng.uniform(0, np.pi), rng.uniform(3, 16), rng.uniform(0.2, 0.6)
        along = _ACROSS * np.cos(angle) + _DOWN * np.sin(angle)
        if rng.random() < 0.5:
            across = _DOWN * np.cos(angle) - _ACROSS * np.sin(angle)
            along = along + rng.uniform(1, 12) * np.sin(
                across / rng.uniform(5, 30) + rng.uniform(0, 6)
            )
        if rng.random() < 0.2:
            along = (
                np.hypot(_ACROSS - rng.uniform(-100, 340), _DOWN - rng.uniform(-100, 200))
                + 0.3 * along
            )
        wave = np.abs((along / period) % 1 - 0.5) * 2
        lines = np.clip((width - wave) * period / 2 + 0.5, 0, 1) if rng.random() < 0.7 else 1 - wave
        lines = np.float32(strength * rng.uniform(0.5, 1)) * lines.astype(np.float32)
        ground = ground + lines if is_crossing else np.maximum(ground, lines)
    if is_crossing:  # what is left where most of a pattern was taken away: dots and dashes
        ground -= np.float32(rng.uniform(0, 1)) * np.quantile(ground, 0.9)
    if rng.random() < 0.4:  # or only patches of it
        knots = rng.uniform(-0.7, 1.5, (3, 8)).astype(np.float32)
        ground *= np.clip(
            cv2.resize(knots, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC), 0, 1
        )
    return np.clip(ground, 0, 1)


def soften(pixels: Floats, rng: Random) -> Floats:
    """Simulate a smaller picture, or one out of focus."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.3))
    factor = rng.uniform(1.2, 2.4)
    small = cv2.resize(
        pixels, (round(WIDTH_PX / factor), round(HEIGHT_PX / factor)), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(
        small,
        (WIDTH_PX, HEIGHT_PX),
        interpolation=cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC,
    )


def reach_in(pixels: Floats, left: int, right: int, top: int, bottom: int, rng: Random) -> Floats:
    """Let a few strokes from beside the picture reach over its edges."""
    pixels = pixels.copy()
    for _ in range(int(rng.integers(1, 5))):
        x, y = int(rng.integers(left, right)), int(rng.integers(top, bottom))
        side = int(rng.integers(0, 4))
        start = ((left, y), (right - 1, y), (x, top), (x, bottom - 1))[side]
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(2, 11)
        end = (round(start[0] + length * np.cos(angle)), round(start[1] + length * np.sin(angle)))
        cv2.line(
            pixels, start, end, float(rng.uniform(0.4, 1)), int(rng.integers(1, 5)), cv2.LINE_AA
        )
    return pixels
