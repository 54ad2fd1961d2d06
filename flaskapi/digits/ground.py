"""Remove the ground and the shadows of a picture, and separate the ink from the rest."""

import contextlib
from typing import NamedTuple

import cv2
import numpy as np

from flaskapi.arrays import Floats
from flaskapi.digits import Image
from flaskapi.errors import NoDigitFoundError

GROUND_STEP_PX = (
    4  # shadows change slowly: a sixteenth of the pixels shows them as well, many times faster
)
STRONG_CONTRAST = 80  # grey levels; no grain comes near it
# Contrast over the deviation of the ground in drawings and scans, photographs of paper have less.
EVEN, EVEN_CONTRAST = (12, 20)
EVEN_SHARE, PALE = 0.9, 3  # of a drawing's ground, within as many grey levels of its middle
CLEAR_MAJORITY = 0.65  # no digit inks that share of a picture, bold ones cut out closely excepted
# Where shadows hide it: sides and slow shares. Measured on 730 pictures with the edge of a shadow:
# told of 70 to 100 %, never wrongly.
NARROW_LOOKS = ((128, 0.1), (64, 0.15))
LEAST_PLAIN_SKEWNESS = 0.1  # black and white alike have some in the logarithm alone
# So much narrow windows must say to cast doubt: rings of a 0 and an 8 in falling light make 0.25.
LEAST_DOUBT = 0.3
DARKEST = 8  # grey levels: added, so that the grain of black has no weight
# Grey levels between the means of ground and ink; paper grain of 6 levels (standard deviation)
# stays below.
FAINTEST = 9
# Contrast over grain: measured at most 5.0 for noise alone, at least 5.6 for ink on newsprint.
CLEAREST_NOISE = 5.2
# Of ink on a printed pattern; grain alone, split by Otsu's method, shows 2.7 times itself.
PATTERN_CONTRAST, PATTERN_NOISE = (40, 3.5)
# Measured at most 5.2 for noise alone after three more splits.
RARE_INK_SPLITS, RARE_INK_NOISE = (3, 8)
# Grey levels from corner to corner, where grain has less; of the picture, the rest is ink.
LEAST_CHANGE, GROUND = (24, 0.75)
POLARITY_SIDE_PX, DIGIT_SIDE_PX, LEAST_SKEWNESS = 256, 64, 0.5
# How much brighter paper lies in the light; more would raise the grain of the darkest over all ink.
SHADOW, MOST_GAIN = (1.3, 4)
# Grey levels: a shadow that takes away less leaves an edge fainter than any ink.
# Times the median grain of the smaller copy: its darkest in a window; rounding alone has some.
BELOW_GRAIN, NO_GRAIN = 5, 0.7
EDGE, GRAIN_EDGE = 6, 2.5  # and times the median grain of what it is looked for in
FINE_SIDE_PX = 256  # the ground of a picture no larger is found in all its pixels
# Of the longer side: what is as wide both ways is no stroke, but a shadow, or a desk.
WIDEST_STROKE, STRIP_STROKE = (0.25, 0.5)  # of the longer side, and of the shorter
# Of the border, that shadows and desks have at least; ink may be wide, but has less of it. What
# has much of it is ground where it is half as wide: a shadow's corner is no wider.
LEAST_BORDER, MUCH_BORDER = (0.12, 0.2)
# In pictures such as MNIST's a stroke may be as wide; but it has less of the border.
TINY_SIDE_PX, WIDEST_TINY_STROKE_PX = (32, 8)
FEW_TO_PART = 1000  # of more, counting is faster than parting
NOTHING = "No digit was found: no ink stands out from the background."
_NEIGHBOURS = np.ones((3, 3), np.uint8)


class Lifted(NamedTuple):
    """A picture without its ground."""

    light: Image  # `uint8 (height, width)`, 0 the ground, the ink light
    mask: Image  # 1 the ink
    # Of the ink with the ground, in grey levels; with a shadow on dark ink, as if all of it lay in
    # the light.
    contrast: float
    inverted: bool  # the ink was dark
    is_even: bool  # the ground was of one level, as in a drawing or a scan


def lift_ink(
    image: Image, *, is_even: bool = False, is_dark: bool | None = None, is_patterned: bool = False
) -> Lifted:
    """Remove ground and shadows.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.
        is_even: the ground is known to have one level, except for light from one side.
        is_dark: the ink is known to be dark (True) or light (False); None if it is to be found out.
        is_patterned: the ground may have lines, as cheques do, that stand out more than any grain.

    Raises:
        NoDigitFoundError: nothing stands out from the ground.
    """
    light, mask, inverted = _separate(_level(image) if is_even else image, is_dark)
    if not _holds_ground(mask) and (is_even or _is_even(light, mask)):
        light = _subtract_level(light, mask)
        contrast, _ = _contrast(light, mask)
        if contrast < FAINTEST:
            raise NoDigitFoundError(NOTHING)
        return Lifted(light, mask, contrast, inverted, is_even=True)
    # A shadow may have more of the picture than the ink has, and have been taken for it.
    found = is_dark
    if is_dark is None:
        found = find_polarity(image, side_px=DIGIT_SIDE_PX, slow_share=0.5)
    inverted = inverted if found is None else found
    light = 255 - image if inverted else image
    tries = []
    for ink, was_dark in ((light, inverted), (255 - light, not inverted)):
        with contextlib.suppress(NoDigitFoundError):
            lifted = Lifted(*_lift(ink, is_patterned, was_dark), was_dark, is_even=False)
            if found is not None:
                return lifted
            tries.append(lifted)
        if is_dark is not None:
            break
    if not tries:
        raise NoDigitFoundError(NOTHING)
    # What is left of light between shadows goes on beyond the picture; ink hardly does.
    return min(tries, key=lambda lifted: _border_share(lifted.mask))


def find_polarity(
    image: Image, *, side_px: int = POLARITY_SIDE_PX, slow_share: float = 0.25
) -> bool | None:
    """Is the ink dark? For pictures with little ink, however strong their shadows; None if it
    cannot be decided.

    Ink is rare: after slow changes are removed, the picture is skewed towards the ink. Measured on
    photographs, cheques and drawings, the skewness is at least 0.8, and never of the wrong sign.

    Args:
        image: `uint8 (height, width)`.
        side_px: the picture is reduced to this side.
        slow_share: changes over more than this share of the longer side are slow; the holes of a
            digit that fills the picture take a quarter.
    """
    # A strong edge of a shadow, or a desk around a sheet, outweighs the ink. But light is a factor:
    # of the logarithm, in a window not much wider than a stroke, the ink has more.
    skewness, plain = max(
        (
            (_skewness(small, share, is_factor=True), _skewness(small, share))
            for small, share in ((_reduce(image, side), share) for side, share in NARROW_LOOKS)
        ),
        key=lambda found: abs(found[0]),
    )
    is_alike = skewness * plain > 0 and abs(plain) > LEAST_PLAIN_SKEWNESS
    if abs(skewness) < LEAST_SKEWNESS or not is_alike:
        narrow, skewness = skewness, _skewness(_reduce(image, side_px), slow_share)
        if narrow * skewness < 0 and is_alike and abs(narrow) > LEAST_DOUBT:
            return None
    return skewness < 0 if abs(skewness) > LEAST_SKEWNESS else None


def _reduce(image: Image, side_px: int) -> Floats:
    scale = min(1, side_px / max(image.shape))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _skewness(small: Floats, slow_share: float, *, is_factor: bool = False) -> float:
    """How much rarer pixels lighter than their surroundings are than darker ones."""
    if is_factor:
        small = np.log(small + DARKEST)
    window = int(max(small.shape) * slow_share) | 1
    detail = small - cv2.blur(small, (window, window))
    detail -= detail.mean()
    return float((detail**3).mean()) / max(float((detail**2).mean()) ** 1.5, 1e-6)


def _wider_than_stroke(image: Image | Floats) -> int:
    """A width that no stroke has. In a strip, digits are as high as the strip."""
    return max(2, round(min(WIDEST_STROKE * max(image.shape), STRIP_STROKE * min(image.shape))))


def _holds_ground(mask: Image) -> bool:
    """Is a part of the supposed ink wider than any stroke?"""
    at_border = _border_share(mask)
    is_tiny = max(mask.shape) <= TINY_SIDE_PX
    if at_border < (MUCH_BORDER if is_tiny else LEAST_BORDER):
        return False
    scale = min(1, POLARITY_SIDE_PX / 4 / max(mask.shape))
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    small = cv2.resize(mask * np.uint8(255), size, interpolation=cv2.INTER_AREA) // 255
    if is_tiny:
        side = WIDEST_TINY_STROKE_PX
    else:
        side = round((0.5 if at_border > MUCH_BORDER else 1) * _wider_than_stroke(small))
    return bool(
        cv2.erode(
            small, np.ones((side, side), np.uint8), borderValue=0, borderType=cv2.BORDER_CONSTANT
        ).any()
    )


def _separate(image: Image, is_dark: bool | None) -> tuple[Image, Image, bool]:
    """Make the ink light and the ground dark, mark the ink with 1, and tell whether it was dark.

    The ground has most of the picture. If both shades have much of it, as in bold digits cut out
    closely, the border decides.
    """
    mask = _otsu(image)
    share = cv2.countNonZero(mask) / mask.size
    if share in (0, 1):
        raise NoDigitFoundError("No digit was found: the picture is blank.")
    if is_dark is None:
        if abs(share - 0.5) <= CLEAR_MAJORITY - 0.5:
            share = (share + _border_share(mask)) / 2
        is_dark = share >= 0.5
    return (255 - image, 1 - mask, True) if is_dark else (image, mask, False)


def _border_share(mask: Image) -> float:
    """The share of the picture's border that a mask has."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return cv2.countNonZero(border) / border.size


def _otsu(image: Image) -> Image:
    """Split light (1) from dark (0) where the two differ most (Otsu, "A threshold selection method
    from gray-level histograms").
    """
    return cv2.threshold(image, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]


def quantile(values: Image, share: float) -> int:
    """The level below which a share of the values lies. For bytes, partitioning or counting is many
    times faster than `np.percentile`.
    """
    place = int(share * (values.size - 1))
    if values.size < FEW_TO_PART:
        return int(np.partition(values, place, axis=None)[place])
    counts = cv2.calcHist([np.ravel(values)], [0], None, [256], [0, 256])
    return int(np.searchsorted(np.cumsum(counts), place, side="right"))


def _subtract_level(light: Image, mask: Image) -> Image:
    """Subtract one level, the ground's median."""
    level = quantile(light[mask == 0], 0.5)
    return np.maximum(light, level) - np.uint8(level) if level else light


def _find_ground(light: Image) -> Image:
    """Find what changes slowly, or along an edge between two wide parts, as a shadow does.

    First the plane that fits the whole best is subtracted, which is most of a shadow. Then the
    ground is the darkest level in a window wider than any stroke. It is smoothed except where it is
    far from its smooth form, so an edge keeps its place and stays sharp.
    """
    height, width = light.shape
    step = 1 if max(light.shape) <= FINE_SIDE_PX else GROUND_STEP_PX
    small = cv2.resize(
        light, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    window = _wider_than_stroke(small) | 1
    plane = _fit_plane(small)
    even = cv2.blur(small, (3, 3))
    grain = float(np.median(np.abs(small - even)))
    if step > 1:
        even -= BELOW_GRAIN * max(
            grain - NO_GRAIN, 0
        )  # where grain hides the ink, half of it must not be cut off
    bar = np.ones((window, window), np.uint8)
    sloping = _open(even - plane, bar)
    smooth = cv2.GaussianBlur(sloping, (0, 0), window / 4) + plane
    # Neither is above what is there, and each misses less of what it is made for.
    highest = np.maximum(sloping + plane, _open(even, bar))
    # Grain has edges too, but small ones.
    edge = max(EDGE, GRAIN_EDGE * grain)
    is_edge = np.abs(highest - smooth) > edge
    ground = np.clip(np.where(is_edge, highest, smooth), 0, 255).astype(np.uint8)
    if step == 1:
        return ground
    if not is_edge.any():
        return cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR)
    # Between two steps the edge lies where it does in the picture itself.
    size = (width, height)
    highest = cv2.resize(cv2.dilate(ground, _NEIGHBOURS), size, interpolation=cv2.INTER_LINEAR)
    ground = cv2.resize(ground, size, interpolation=cv2.INTER_LINEAR)
    return np.where(
        highest > ground + edge,
        np.maximum(ground, np.minimum(highest, cv2.blur(light, (3, 3)))),
        ground,
    )


def _open(values: Floats, bar: Image) -> Floats:
    """The opening. The picture's edges are continued outwards."""
    margin = len(bar) // 2
    padded = cv2.copyMakeBorder(values, *[margin] * 4, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.morphologyEx(padded, cv2.MORPH_OPEN, bar)[margin:-margin, margin:-margin])


def _light_up(light: Image, ground: Image) -> Image | None:
    """Make dark ink in the shadow, `light` above its ground, as strong as ink in the light; None if
    there is no real shadow.

    Ink absorbs a share of the light that falls on it, so in the shadow it absorbs less.
    """
    steps = (255 - ground[::GROUND_STEP_PX, ::GROUND_STEP_PX]).ravel()
    bright, dark = quantile(steps, 0.9), quantile(steps, 0.1)
    if bright <= SHADOW * dark:
        return None
    gains = np.minimum(bright / np.maximum(np.arange(256, dtype=np.float32), 1), MOST_GAIN)[
        ::-1
    ].copy()
    return cv2.multiply(light, cv2.LUT(ground, gains), dtype=cv2.CV_8U)


def _fit_plane(values: Floats) -> Floats:
    """The plane nearest to values on a grid, in the least squares. On a grid, each axis can be
    fitted alone.
    """
    height, width = values.shape
    x, y = (
        np.arange(width, dtype=np.float32) - (width - 1) / 2,
        np.arange(height, dtype=np.float32) - (height - 1) / 2,
    )
    slope_x = float(values.mean(axis=0) @ x) / max(float(x @ x), 1)
    slope_y = float(values.mean(axis=1) @ y) / max(float(y @ y), 1)
    return (values.mean() + slope_x * x + slope_y * y[:, np.newaxis]).astype(np.float32)


def _level(image: Image) -> Image:
    """Level the ground of a small picture that is lighter on one side, or partly in a shadow.

    The picture's edges show how the light changes; between them the ground is Coons' patch (Coons:
    "Surfaces for computer-aided design of space forms", 1967). It is the ground if most of the
    picture is near to it.
    """
    levels = [int(image[row, column]) for row in (0, -1) for column in (0, -1)]
    change = max(levels) - min(levels)
    if change < LEAST_CHANGE or min(image.shape) < 2:
        return image
    top, bottom, left, right = (
        _without_strokes(edge) for edge in (image[0], image[-1], image[:, 0], image[:, -1])
    )
    y, x = (
        np.linspace(0, 1, len(left), dtype=np.float32)[:, np.newaxis],
        np.linspace(0, 1, len(top), dtype=np.float32),
    )
    corners = (1 - y) * ((1 - x) * top[0] + x * top[-1]) + y * (
        (1 - x) * bottom[0] + x * bottom[-1]
    )
    ground = (
        (1 - y) * top
        + y * bottom
        + (1 - x) * left[:, np.newaxis]
        + x * right[:, np.newaxis]
        - corners
    )
    away = np.abs(image - ground)
    if np.count_nonzero(away < change / 8) < GROUND * image.size:
        return image
    return np.clip(image - ground + ground.mean(), 0, 255).astype(np.uint8)


def _without_strokes(edge: Image) -> Floats:
    """The median of five neighbours. Ink that reaches the edge of a picture is mostly narrower than
    half of that.
    """
    return cv2.medianBlur(np.ascontiguousarray(edge)[np.newaxis], 5)[0].astype(np.float32)


def _contrast(light: Image, mask: Image) -> tuple[float, float]:
    """The contrast of the ink with its ground, and the ground's grain (standard deviation), both in
    grey levels.
    """
    ground, grain = cv2.meanStdDev(light, mask=1 - mask)
    return cv2.mean(light, mask)[0] - ground.item(), grain.item()


def _is_even(light: Image, mask: Image) -> bool:
    """Has the ground one level, as in a drawing or a scan, so that only this level has to be
    removed?
    """
    away = cv2.dilate(mask, _NEIGHBOURS, iterations=2)
    if cv2.countNonZero(away) > 0.95 * away.size:
        return False
    contrast, grain = _contrast(light, away)
    if contrast <= EVEN_CONTRAST or contrast > EVEN * grain:
        return contrast > EVEN_CONTRAST
    # As even is a drawing whose ink is paler in parts, and thus in the ground.
    ground = light[away == 0]
    level = quantile(ground, 0.5)
    return bool(np.mean((ground > level - PALE) & (ground < level + PALE)) > EVEN_SHARE)


def _lift(light: Image, is_patterned: bool, is_dark: bool) -> tuple[Image, Image, float]:
    """Remove the ground and mark the ink with 1. Returns also its contrast.

    Raises:
        NoDigitFoundError: there is only grain.
    """
    ground = _find_ground(light)
    light = cv2.subtract(light, ground)
    if is_dark and (lit := _light_up(light, ground)) is not None:
        with contextlib.suppress(NoDigitFoundError):  # grain in the shadow grows too
            return _split(lit, is_patterned)
    return _split(light, is_patterned)


def _split(light: Image, is_patterned: bool) -> tuple[Image, Image, float]:
    """Separate ink from a ground of 0.

    If there is so little ink that Otsu's method splits the ground instead, the lighter part is
    split again.

    Raises:
        NoDigitFoundError: there is only grain.
    """
    level, mask = cv2.threshold(light, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contrast, grain = _contrast(light, mask)
    if contrast >= FAINTEST and contrast > min(CLEAREST_NOISE * grain, STRONG_CONTRAST):
        return light, mask, contrast
    if is_patterned and contrast > PATTERN_CONTRAST and contrast > PATTERN_NOISE * grain:
        return light, mask, contrast
    for _ in range(RARE_INK_SPLITS):
        lighter = light[light > level]
        if lighter.size == 0 or lighter.min() == lighter.max():  # there is nothing to split
            break
        level, _ = cv2.threshold(lighter, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        mask = cv2.threshold(light, level, 1, cv2.THRESH_BINARY)[1]
        contrast, grain = _contrast(light, mask)
        if contrast >= FAINTEST and contrast > RARE_INK_NOISE * grain:
            # That was the ink at its strongest: all of it is what is nearer to that than to the
            # ground.
            middle = cv2.mean(light, 1 - mask)[0] + contrast / 2
            return light, cv2.threshold(light, middle, 1, cv2.THRESH_BINARY)[1], contrast
    raise NoDigitFoundError(NOTHING)
