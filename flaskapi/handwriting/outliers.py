"""Drawn pictures of no digit: letters and signs, shapes, scribbles, several digits, parts of
digits, blots and textures.

A network that was trained on digits alone names a digit for any picture. Trained also on these,
with the answer "all ten alike", it learns to be uncertain (Hendrycks, Mazeika, Dietterich: "Deep
Anomaly Detection with Outlier Exposure", ICLR 2019). Letters come from OpenCV's Hershey fonts,
which consist of strokes, as handwriting does. Letters that look like digits are left out.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.arrays import AnyFloats, Bytes
from flaskapi.digits.normalize import fit_and_center, normalize_digit
from flaskapi.errors import NoDigitFoundError
from flaskapi.handwriting.augment import crop
from flaskapi.handwriting.shapes import CANVAS_PX, blank, draw_shape, draw_stroke, pen_px, to_ink

# Not O o l I S s Z z B b g q, which are also 0 1 5 2 8 6 9.
LETTERS = "ACDEFGHJKLMNPQRTUVWXYacdefhijkmnprtuvwxy"
HARD_LETTERS = "ACDGHJLUYacdeijuy"  # nearest to a digit: drawn twice as often
SIGNS = '?&%@#$*+=<>{}~^;:"-_.'  # not strokes that stand, such as / ! ( [ or a comma: they are a 1
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)

Random = np.random.Generator


def draw_outliers(count: int, images: Bytes, labels: npt.NDArray[np.integer], rng: Random) -> Bytes:
    """Draw pictures of no digit, prepared as digits are.

    Args:
        count: how many.
        images: `uint8 (n, 28, 28)`, digits of which some pictures are composed.
        labels: `(n,)`, what they are.
        rng: the source of all randomness.

    Returns:
        `uint8 (count, 28, 28)`, 255 the ink.
    """
    kinds: tuple[tuple[float, Callable[[], AnyFloats]], ...] = (
        (0.46, lambda: _shake(_letter(rng), rng)),
        (0.08, lambda: _shake(draw_shape(rng), rng)),
        (0.06, lambda: _scribble(rng)),
        (0.08, lambda: _several(images, rng)),
        (0.08, lambda: _parts(images, rng)),
        (0.06, lambda: _turned(images, labels, rng)),
        (0.10, lambda: _blot(rng)),
        (0.08, lambda: _silhouette(rng)),
        (0.10, lambda: _scene(rng)),
    )
    chances = np.cumsum([share for share, _ in kinds])
    outliers = np.empty((count, 28, 28), np.uint8)
    for outlier in outliers:
        picture = np.zeros((1, 1), np.float32)
        while picture.max() < 0.5:  # a warp can push everything out of the picture
            picture = kinds[int(np.searchsorted(chances, rng.random() * chances[-1]))][1]()
        outlier[:] = np.rint(255 * _prepare(picture))
    return outliers


def _prepare(picture: AnyFloats) -> AnyFloats:
    x, y, width, height = cv2.boundingRect((picture > 0.1).astype(np.uint8))
    return fit_and_center(np.ascontiguousarray(picture[y : y + height, x : x + width]))


def _letter(rng: Random) -> AnyFloats:
    """One letter or sign, or two or three letters together."""
    font = int(rng.choice(_FONTS))
    if rng.random() < 0.8:
        count = 1 if rng.random() < 0.85 else int(rng.integers(2, 4))
        text = "".join(rng.choice(list(LETTERS + HARD_LETTERS), count))
    else:
        text = str(rng.choice(list(SIGNS)))
    return _draw_text(text, font, rng)


def draw_letters(text: str, rng: Random) -> AnyFloats:
    """Letters of one of the fonts, shaken to look handwritten, `(96, 96)` in [0, 1]."""
    return _shake(_draw_text(text, int(rng.choice(_FONTS)), rng), rng)


def _draw_text(text: str, font: int, rng: Random) -> AnyFloats:
    thickness = pen_px(rng)
    (width, height), below = cv2.getTextSize(text, font, 1, 1)
    scale = 0.62 * CANVAS_PX / max(width, height + below)
    canvas = blank()
    at = (round((CANVAS_PX - scale * width) / 2), round((CANVAS_PX + scale * (height - below)) / 2))
    cv2.putText(canvas, text, at, font, scale, 255, thickness, cv2.LINE_AA)
    return to_ink(canvas)


def _scribble(rng: Random) -> AnyFloats:
    """A wandering pen: smooth or zigzag, in one to three strokes."""
    canvas, thickness = blank(), max(3, pen_px(rng) * 2 // 3)
    for _ in range(int(rng.integers(1, 4))):
        knots = (
            rng.uniform(0.15, 0.85, (1, int(rng.integers(5, 12)), 2)).astype(np.float32) * CANVAS_PX
        )
        if rng.random() < 0.7:
            knots = cv2.resize(knots, (80, 1), interpolation=cv2.INTER_CUBIC)
        draw_stroke(canvas, knots[0], thickness)
    return to_ink(canvas)


def _several(images: Bytes, rng: Random) -> AnyFloats:
    """Two to four digits, side by side or one above another."""
    digits = [crop(images[i]) for i in rng.integers(0, len(images), int(rng.integers(2, 5)))]
    if len(digits) == 2 and rng.random() < 0.3:
        digits = [digit.T for digit in digits]
        return _side_by_side(digits, rng).T.copy()
    return _side_by_side(digits, rng)


def _side_by_side(digits: list[AnyFloats], rng: Random) -> AnyFloats:
    gap = int(rng.integers(-1, 6))
    height = max(len(digit) for digit in digits) + 4
    width = sum(digit.shape[1] + max(gap, 0) for digit in digits) + 4
    canvas = np.zeros((height, width), np.float32)
    x = 2
    for digit in digits:
        h, w = digit.shape
        y = int(rng.integers(0, height - h + 1))
        canvas[y : y + h, x : x + w] = np.maximum(canvas[y : y + h, x : x + w], digit)
        x += w + gap
    return canvas


def _parts(images: Bytes, rng: Random) -> AnyFloats:
    """Parts of digits in a wrong combination: strokes of a hand, but no digit."""
    a, b, c, d = (images[int(i)] for i in rng.integers(0, len(images), 4))
    picture = a.copy()
    if rng.random() < 0.3:  # the lower half of one above the upper half of another
        picture[:14], picture[14:] = a[14:], b[:14]
    else:
        picture[:14, 14:], picture[14:, :14], picture[14:, 14:] = (
            b[14:, :14],
            c[:14, 14:],
            d[:14, :14],
        )
    return to_ink(picture)


# By how many quarter turns, and then mirrored or not, a digit becomes none.
_TURNS = {
    2: ((1, 0),),
    3: ((1, 0), (2, 0), (3, 0), (0, 1)),
    4: ((1, 0), (2, 0), (3, 0), (1, 1)),
    5: ((1, 0), (3, 0)),
}
_TURNS |= {
    6: ((1, 0), (3, 0), (1, 1)),
    7: ((1, 0), (2, 0), (3, 0), (0, 1)),
    8: ((1, 0),),
    9: ((1, 0), (3, 0), (0, 1)),
}


def _turned(images: Bytes, labels: npt.NDArray[np.integer], rng: Random) -> AnyFloats:
    """A digit on its side, upside down or mirrored."""
    chosen = int(rng.integers(0, len(images)))
    turns = _TURNS.get(int(labels[chosen]))
    if turns is None:  # a 0 or a 1 stays what it is
        return _parts(images, rng)
    quarters, mirrored = turns[int(rng.integers(0, len(turns)))]
    turned = np.rot90(images[chosen], quarters)
    return to_ink(turned[:, ::-1] if mirrored else turned)


def _blot(rng: Random) -> AnyFloats:
    """Blots, grain, weave and remains of pictures: noise of any coarseness, in black and white or
    in greys.
    """
    picture = np.zeros((28, 28), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        side = np.minimum(
            28,
            rng.integers(2, 29, 2)
            if rng.random() < 0.5
            else int(rng.integers(2, 12)) * np.ones(2, int),
        )
        noise = rng.normal(0, 1, (int(side[0]), int(side[1]))).astype(np.float32)
        picture += cv2.resize(
            noise,
            (28, 28),
            interpolation=cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST,
        )
    picture = (picture - picture.min()) / max(float(np.ptp(picture)), 1e-6)
    if rng.random() < 0.6:
        picture = np.clip(
            (picture - np.quantile(picture, rng.uniform(0.3, 0.9))) * rng.uniform(2, 20) + 0.3, 0, 1
        )
    if (
        rng.random() < 0.6
    ):  # as something filled, such as a garment or a hand: bounded by a smooth outline
        angles = np.linspace(0, 2 * np.pi, 9)[:-1]
        radii = rng.uniform(5, 14, (8, 1))
        outline = 14 + np.stack([np.cos(angles), np.sin(angles)], 1) * radii
        mask = np.zeros((28, 28), np.uint8)
        cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 1)
        picture = np.maximum(picture, np.float32(rng.uniform(0, 0.8))) * mask
    return picture


def _silhouette(rng: Random) -> AnyFloats:
    """A filled shape, such as a garment, a vase or a figure: symmetric, in one grey or several."""
    knots = np.abs(rng.normal(0.55, 0.3, (int(rng.integers(3, 8)), 1))).astype(np.float32)
    half = cv2.resize(
        knots, (1, 20), interpolation=cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_NEAREST
    )[:, 0]
    half = 10 * np.clip(half * rng.uniform(0.5, 1.3), 0.25, 1)
    across = np.abs(np.arange(20) - 9.5)
    mask = across < half[:, np.newaxis]
    if rng.random() < 0.3:  # legs, or a vase's foot
        mask[int(rng.integers(6, 18)) :, across < rng.uniform(0.5, 3)] = False
    shade = _blot(rng)[4:24, 4:24] * np.float32(rng.uniform(0, 0.7))
    return np.where(mask, np.clip(np.float32(rng.uniform(0.5, 1)) - shade, 0.15, 1), 0).astype(
        np.float32
    )


def _scene(rng: Random) -> AnyFloats:
    """The remains of a photograph, light and dark on all scales, treated as ink on paper."""
    side = int(rng.integers(48, 97))
    scene = np.zeros((side, side), np.float32)
    fading = rng.uniform(0.3, 0.75)  # how much less of each finer scale there is
    for octave in range(1, 6):
        noise = rng.normal(0, fading**octave, (2**octave + 1, 2**octave + 1)).astype(np.float32)
        scene += cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(0, 6))):  # things in it: ranges of hills, walls, what is round
        shade, center = float(rng.normal(0, 0.8)), rng.uniform(0, side, 2)
        if rng.random() < 0.5:
            outline = np.linspace((0, center[1]), (side, center[1] + rng.normal(0, side / 6)), 12)
            outline[:, 1] += rng.normal(0, rng.uniform(0, side / 10), 12)
            corners = np.concatenate([outline, [(side, side), (0, side)]])
        else:
            turn = (
                rng.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, int(rng.integers(4, 7)))[:-1]
            )
            corners = center + np.stack([np.cos(turn), np.sin(turn)], 1) * rng.uniform(
                2, side / 2, 2
            )
        mask = np.zeros((side, side), np.uint8)
        cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1)
        scene = scene * (1 - 0.8 * mask) + np.float32(shade) * mask
    low, high = float(scene.min()), float(scene.max())
    try:
        return normalize_digit(
            np.rint(255 * (scene - low) / max(high - low, 1e-6)).astype(np.uint8)
        ).pixels
    except NoDigitFoundError:
        return np.zeros((1, 1), np.float32)


def _shake(picture: AnyFloats, rng: Random) -> AnyFloats:
    """Slant, turn, stretch and bend a shape of a font or ruler, so that it looks handwritten."""
    side = CANVAS_PX
    grid = (
        np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).astype(np.float32)
        - (side - 1) / 2
    )
    angle, slant = rng.normal(0, 0.15), rng.normal(0, 0.2)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = (
        np.array([[cos, -sin], [sin, cos]])
        @ np.array([[1, slant], [0, 1]])
        / np.exp(rng.normal(-0.05, 0.2, 2))
    )
    grid = grid @ matrix.T.astype(np.float32)
    knots = rng.normal(0, rng.uniform(0, 6), (4, 4, 2)).astype(np.float32)
    grid += cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC) + (side - 1) / 2
    return np.clip(cv2.remap(picture, grid.astype(np.float32), None, cv2.INTER_LINEAR), 0, 1)
