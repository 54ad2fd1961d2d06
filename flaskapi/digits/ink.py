"""Find the ink of one digit: away from the ground, the shadows, the lines and the specks around it."""

import contextlib

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.digits import Image, Ink, Noticed
from flaskapi.digits.lines import LINE_END, LINE_OFFSET, erase_lines
from flaskapi.errors import NoDigitFoundError

WORKING_SIDE_PX = 192  # a digit that fills a fifth of the picture still has 38 pixels, twice as many as the network sees
LARGE_ENOUGH = 5  # a digit under a fifth of the picture is cut out of it and looked at again
SMALL_SIDE_PX = 64  # a picture this small has no shadows worth removing, and strokes as wide as the window would be
GROUND_STEP_PX = 4  # shadows change slowly: a sixteenth of the pixels shows them as well, many times faster
STRONG_CONTRAST = 80  # grey levels; no grain comes near it
EVEN, EVEN_CONTRAST = 12, 40  # contrast over the deviation of the ground in drawings and scans, photographs of paper have less
LINE_WIDTH, LINE_LENGTH, LINE_PIECE = 0.05, 0.6, 0.3  # of a side: a line that does not run through, a piece that comes from the border
CLEAR_MAJORITY = 0.65  # no digit inks that share of a picture, bold ones cut out closely excepted
FAINTEST = 9  # grey levels between the means of ground and ink; paper grain of 6 levels (standard deviation) stays below
CLEAREST_NOISE = 5.2  # contrast over grain: measured at most 5.0 for noise alone, at least 5.6 for ink on newsprint
RARE_INK_SPLITS, RARE_INK_NOISE = 3, 8  # measured at most 5.2 for noise alone after three more splits
RIVAL_SIZE, RIVAL_AREA = 0.6, 0.3  # of the digit's: digits written beside each other differ less
FAINT_SHARE = 0.2  # of the ink's contrast; faint strokes of exam scripts have a fifth of what strong ones have
LOW_CONTRAST = 40  # grey levels; pen on paper has 60 and more
SMALL_DIGIT_PX = 20  # the side of the box that MNIST's digits are in
NOTHING = "No digit was found: nothing stands out from the ground."
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def find_ink(image: Image) -> Ink:
    """Cut out the digit.

    A digit that is small in a large picture is looked for in the whole, and cut out of what surrounds it.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.

    Raises:
        NoDigitFoundError: nothing stands out from the ground.
    """
    ink, (x, y, width, height) = _find(image)
    longer = max(width, height)
    if max(image.shape) > WORKING_SIDE_PX and longer * LARGE_ENOUGH < max(image.shape):
        surroundings = image[max(0, y - longer) : y + height + longer, max(0, x - longer) : x + width + longer]
        with contextlib.suppress(NoDigitFoundError):
            return _find(np.ascontiguousarray(surroundings))[0]
    return ink


def _find(image: Image) -> tuple[Ink, tuple[int, int, int, int]]:
    """Cut out the digit, and say where it was: x, y, width and height in pixels of the image."""
    scale = min(WORKING_SIDE_PX / max(image.shape), 1)
    image = _reduce(image, scale)
    light, mask, inverted = _separate(image)
    is_small = max(image.shape) <= SMALL_SIDE_PX
    if is_small or _is_even(light, mask):
        light = _subtract_level(light, mask)
        contrast, _ = _contrast(light, mask)
        if contrast < FAINTEST:
            raise NoDigitFoundError(NOTHING)
    else:
        try:
            light, mask, contrast = _lift(light)
        except NoDigitFoundError:  # a shadow may have more of the picture than the ink has, and have been taken for it
            light, mask, contrast = _lift(255 - light)
            inverted = not inverted
    mask = _with_faint_strokes(light, contrast) if is_small else erase_lines(mask)
    mask = _select(mask)
    ink = cv2.multiply(light, cv2.dilate(mask, _NEIGHBOURS))
    strong = max(_quantile(ink[mask.view(bool)], 0.9), 1)
    x, y, width, height = cv2.boundingRect(cv2.threshold(ink, strong // 10, 1, cv2.THRESH_BINARY)[1])
    noticed: dict[Noticed, bool] = {
        "inverted": inverted,
        "low-contrast": contrast < LOW_CONTRAST,
        "touches-border": x == 0 or y == 0 or x + width == image.shape[1] or y + height == image.shape[0],
        "small": max(width, height) < SMALL_DIGIT_PX * scale,
    }
    pixels = np.minimum(ink[y : y + height, x : x + width] * np.float32(1 / strong), 1)
    box = (int(x / scale), int(y / scale), int(width / scale), int(height / scale))
    return Ink(pixels, tuple(name for name, is_so in noticed.items() if is_so)), box


def _reduce(image: Image, scale: float) -> Image:
    """Reduce by area, in halves as far as they go: OpenCV averages four pixels many times faster than any other number."""
    height, width = (max(1, round(side * scale)) for side in image.shape)
    while min(image.shape) > 1 and max(image.shape) >= 2 * max(height, width):
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return image if scale == 1 else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _separate(image: Image) -> tuple[Image, Image, bool]:
    """Make the ink light and the ground dark, mark the ink with 1, and say whether it was dark.

    The ground has most of the picture; where both shades have much of it, as in bold digits cut out closely, the border tells.
    """
    mask = _otsu(image)
    share = cv2.countNonZero(mask) / mask.size
    if share in (0, 1):
        raise NoDigitFoundError("No digit was found: the picture is blank.")
    if abs(share - 0.5) <= CLEAR_MAJORITY - 0.5:
        share = (share + float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())) / 2
    return (image, mask, False) if share < 0.5 else (255 - image, 1 - mask, True)


def _otsu(image: Image) -> Image:
    """Split light (1) from dark (0) where the two differ most (Otsu, "A threshold selection method from gray-level histograms")."""
    return cv2.threshold(image, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]


def _quantile(values: Image, share: float) -> int:
    """The level below which a share of the values lies; for bytes, sorting is many times faster than `np.percentile`."""
    ordered = np.sort(values, axis=None)
    return int(ordered[int(share * (len(ordered) - 1))])


def _subtract_level(light: Image, mask: Image) -> Image:
    """Take away one level, the ground's median."""
    level = _quantile(light[mask == 0], 0.5)
    return np.maximum(light, level) - np.uint8(level) if level else light


def _subtract_ground(light: Image) -> Image:
    """Take away what changes slowly, found on a smaller copy.

    First the plane that fits the whole best, which is most of a shadow; then the darkest in a window wider than any stroke, smoothed.
    """
    height, width = light.shape
    small = cv2.resize(light, (-(-width // GROUND_STEP_PX), -(-height // GROUND_STEP_PX)), interpolation=cv2.INTER_AREA).astype(np.float32)
    window = max(small.shape) // 4 | 1
    plane = _fit_plane(small)
    ground = cv2.morphologyEx(small - plane, cv2.MORPH_OPEN, np.ones((window, window), np.uint8))
    ground = np.clip(cv2.GaussianBlur(ground, (0, 0), window / 4) + plane, 0, 255).astype(np.uint8)
    return cv2.subtract(light, cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR))


def _fit_plane(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The plane through values on a grid that is nearest to them in the least squares; on a grid, each axis can be fitted alone."""
    height, width = values.shape
    x, y = np.arange(width, dtype=np.float32) - (width - 1) / 2, np.arange(height, dtype=np.float32) - (height - 1) / 2
    slope_x = float(values.mean(axis=0) @ x) / max(float(x @ x), 1)
    slope_y = float(values.mean(axis=1) @ y) / max(float(y @ y), 1)
    return (values.mean() + slope_x * x + slope_y * y[:, np.newaxis]).astype(np.float32)


def _contrast(light: Image, mask: Image) -> tuple[float, float]:
    """How far the ink stands out from its ground, and the ground's grain (standard deviation), both in grey levels."""
    ground, grain = cv2.meanStdDev(light, mask=1 - mask)
    return cv2.mean(light, mask)[0] - ground.item(), grain.item()


def _is_even(light: Image, mask: Image) -> bool:
    """Is the ground one level, as in a drawing or a scan, so that there is nothing to take away but that level?"""
    away = cv2.dilate(mask, _NEIGHBOURS, iterations=2)
    if cv2.countNonZero(away) > 0.95 * away.size:
        return False
    contrast, grain = _contrast(light, away)
    return contrast > EVEN_CONTRAST and contrast > EVEN * grain


def _lift(light: Image) -> tuple[Image, Image, float]:
    """Take the ground away and mark the ink with 1; give its contrast too.

    Where there is so little ink that Otsu's method splits the ground instead, the lighter part is split again.

    Raises:
        NoDigitFoundError: there is only grain.
    """
    light = _subtract_ground(light)
    level, mask = cv2.threshold(light, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contrast, grain = _contrast(light, mask)
    if contrast >= FAINTEST and contrast > min(CLEAREST_NOISE * grain, STRONG_CONTRAST):
        return light, mask, contrast
    for _ in range(RARE_INK_SPLITS):
        lighter = light[light > level]
        if lighter.size == 0:
            break
        level, _ = cv2.threshold(lighter, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        mask = cv2.threshold(light, level, 1, cv2.THRESH_BINARY)[1]
        contrast, grain = _contrast(light, mask)
        if contrast >= FAINTEST and contrast > RARE_INK_NOISE * grain:
            return light, mask, contrast
    raise NoDigitFoundError(NOTHING)


def _with_faint_strokes(light: Image, contrast: float) -> Image:
    """Mark also what a pen left where it was pressed less; there is no grain of paper in a small picture to be taken for it."""
    return cv2.threshold(light, FAINT_SHARE * contrast, 1, cv2.THRESH_BINARY)[1]


def _select(mask: Image) -> Image:
    """Keep the strokes of the digit: a large part near the middle, and what lies close to it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 1:
        raise NoDigitFoundError("No digit was found: there are only lines.")
    if count == 2:
        return mask
    height, width = mask.shape
    x, y, w, h, area = stats[1:].T
    right, bottom = x + w, y + h
    # The digit is large and near the middle; what the border cuts is more likely a neighbour, and what spans the picture a frame.
    at_border = (x == 0) | (y == 0) | (right == width) | (bottom == height)
    spans = (w > 0.9 * width) | (h > 0.9 * height)
    offset = np.hypot((x + right - width) / (2 * width), (y + bottom - height) / (2 * height))
    longer, side = np.maximum(w, h), max(height, width)
    thin = (area < LINE_WIDTH * side * longer) & (np.minimum(w, h) < 2 * LINE_WIDTH * side)
    score = (
        longer * np.sqrt(area) * np.exp(-((offset / 0.3) ** 2)) * np.where(at_border, np.where(spans, np.where(thin, 0, 0.05), 0.3), 1.0)
    )
    main = int(np.argmax(score))
    # Detached strokes, such as the bar of a 5, lie within a third of the digit's size.
    reach = 0.3 * max(w[main], h[main])
    near = (x < right[main] + reach) & (right > x[main] - reach) & (y < bottom[main] + reach) & (bottom > y[main] - reach)
    keep = np.zeros(count, np.uint8)
    if max(height, width) > SMALL_SIDE_PX:
        aside = np.maximum(np.abs((x + right) / width - 1), np.abs((y + bottom) / height - 1)) / 2 > LINE_OFFSET
        to_border = np.minimum.reduce([x, y, width - right, height - bottom]) < LINE_END * side
        is_speck = area <= 0.05 * area[main]
        is_line = thin & aside & ((longer > LINE_LENGTH * side) | (to_border & (longer > LINE_PIECE * side)))
        keep[1:] = near & ~is_speck & ~at_border & ~is_line
        # Another thing as large makes it a picture of several; leaving it out would make a digit of what is none.
        is_another = (np.maximum(w, h) > RIVAL_SIZE * max(w[main], h[main])) & (area > RIVAL_AREA * area[main]) & ~at_border & ~is_line
        keep[1:] |= is_another
    else:  # cut out closely already: what is there belongs to the digit, but for specks and frames
        keep[1:] = (area > 0.01 * area[main]) & ~(at_border & spans)
    keep[1 + main] = 1
    return keep[labels]
