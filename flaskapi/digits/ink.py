"""Find the ink of one digit: away from the ground, the shadows, the lines and the specks around it."""

import cv2
import numpy as np

from flaskapi.digits import Digit, Image
from flaskapi.errors import NoDigitFoundError

WORKING_SIDE_PX = 256  # a digit that fills a tenth of the picture still has 25 pixels, as many as the network sees
SMALL_SIDE_PX = 64  # a picture this small has no shadows worth removing, and strokes as wide as the window would be
GROUND_STEP_PX = 4  # shadows change slowly: a sixteenth of the pixels shows them as well, many times faster
LINE_END, LINE_OFFSET = 0.08, 0.25  # a line runs to that near either border, that far from the middle: no stroke of the digit
LINE_WIDTH, LINE_LENGTH = 0.05, 0.4  # of a side: pieces of a line that does not run through
CLEAR_MAJORITY = 0.65  # no digit inks that share of a picture, bold ones cut out closely excepted
FAINTEST = 9  # grey levels between the means of ground and ink; paper grain of 6 levels (standard deviation) stays below
CLEAREST_NOISE = 3.4  # contrast over grain: measured at most 3.2 for noise alone, at least 3.8 for faint ink on newsprint
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def find_ink(image: Image) -> Digit:
    """Cut out the digit.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.

    Returns:
        `float32 (height, width)` in [0, 1], 1 the ink, cropped to it.

    Raises:
        NoDigitFoundError: nothing stands out from the ground.
    """
    height, width = image.shape
    scale = WORKING_SIDE_PX / max(height, width)
    if scale < 1:
        image = cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    light, mask = _separate(image)
    is_small = max(image.shape) <= SMALL_SIDE_PX
    if is_small:
        light = _subtract_level(light, mask)
    else:
        light = _subtract_ground(light)
        mask = _otsu(light)
    if not _stands_out(light, mask, is_small):
        raise NoDigitFoundError("No digit was found: nothing stands out from the ground.")
    if not is_small:
        mask = _erase_lines(mask)
    mask = _select(mask)
    ink = cv2.multiply(light, cv2.dilate(mask, _NEIGHBOURS))
    strong = max(_quantile(ink[mask.view(bool)], 0.9), 1)
    x, y, width, height = cv2.boundingRect(cv2.threshold(ink, strong // 10, 1, cv2.THRESH_BINARY)[1])
    return np.minimum(ink[y : y + height, x : x + width] * np.float32(1 / strong), 1)


def _separate(image: Image) -> tuple[Image, Image]:
    """Make the ink light and the ground dark, and mark the ink with 1.

    The ground has most of the picture; where both shades have much of it, as in bold digits cut out closely, the border tells.
    """
    mask = _otsu(image)
    share = cv2.countNonZero(mask) / mask.size
    if share in (0, 1):
        raise NoDigitFoundError("No digit was found: the picture is blank.")
    if abs(share - 0.5) <= CLEAR_MAJORITY - 0.5:
        share = (share + float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())) / 2
    return (image, mask) if share < 0.5 else (255 - image, 1 - mask)


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
    """Take away what changes slowly: the darkest in a window wider than any stroke, smoothed, found on a smaller copy."""
    height, width = light.shape
    small = cv2.resize(light, (-(-width // GROUND_STEP_PX), -(-height // GROUND_STEP_PX)), interpolation=cv2.INTER_AREA)
    window = max(small.shape) // 4 | 1
    ground = cv2.erode(small, np.ones((window, window), np.uint8))
    ground = cv2.GaussianBlur(ground, (0, 0), window / 4)
    return cv2.subtract(light, cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR))


def _stands_out(light: Image, mask: Image, is_small: bool) -> bool:
    """Is what was split off more than the darker half of the grain of paper?"""
    ground, grain = cv2.meanStdDev(light, mask=1 - mask)
    contrast = cv2.mean(light, mask)[0] - ground.item()
    return contrast >= FAINTEST and (is_small or contrast > CLEAREST_NOISE * grain.item())


def _erase_lines(mask: Image) -> Image:
    """Erase straight lines along a side of the picture, as rules and grids leave them, where they may touch the digit."""
    height, width = mask.shape
    lines = np.zeros_like(mask)
    for along, kernel in ((width, np.ones((1, width // 2), np.uint8)), (height, np.ones((height // 2, 1), np.uint8))):
        opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(opened, _NEIGHBOURS), connectivity=8)
        x, y, w, h, _ = stats.T
        across = (y + h / 2) / height if kernel.shape[0] == 1 else (x + w / 2) / width
        start = x if kernel.shape[0] == 1 else y
        is_line = (start < LINE_END * along) & (start + np.maximum(w, h) > (1 - LINE_END) * along) & (np.abs(across - 0.5) > LINE_OFFSET)
        is_line[0] = False
        lines |= is_line.astype(np.uint8)[labels]
    return cv2.subtract(mask, lines)


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
    score = np.maximum(w, h) * np.sqrt(area) * np.exp(-((offset / 0.3) ** 2)) * np.where(at_border, np.where(spans, 0.05, 0.3), 1.0)
    main = int(np.argmax(score))
    # Detached strokes, such as the bar of a 5, lie within a third of the digit's size.
    reach = 0.3 * max(w[main], h[main])
    near = (x < right[main] + reach) & (right > x[main] - reach) & (y < bottom[main] + reach) & (bottom > y[main] - reach)
    keep = np.zeros(count, np.uint8)
    if max(height, width) > SMALL_SIDE_PX:
        thin = (np.minimum(w / width, h / height) < LINE_WIDTH) & (np.maximum(w / width, h / height) > LINE_LENGTH)
        aside = np.maximum(np.abs((x + right) / width - 1), np.abs((y + bottom) / height - 1)) / 2 > LINE_OFFSET
        is_speck, is_line = area <= 0.05 * area[main], thin & aside
        keep[1:] = near & ~is_speck & ~at_border & ~is_line
    else:  # cut out closely already: what is there belongs to the digit, but for specks
        keep[1:] = area > 0.01 * area[main]
    keep[1 + main] = 1
    return keep[labels]
