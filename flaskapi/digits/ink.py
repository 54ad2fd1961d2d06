"""Find the ink of one digit: away from the ground, the shadows, the lines and the specks around it."""

import cv2
import numpy as np

from flaskapi.digits import Digit, Image
from flaskapi.errors import NoDigitFoundError

WORKING_SIDE_PX = 256  # a digit that fills a tenth of the picture still has 25 pixels, as many as the network sees
SMALL_SIDE_PX = 64  # a picture this small has no shadows worth removing, and strokes as wide as the window would be
FAINTEST = 12  # grey levels of 255 between ground and ink; paper grain and JPEG noise stay below


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
    light = image if _is_light_on_dark(image) else 255 - image
    light = _subtract_ground(light)
    _, mask = cv2.threshold(light, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    if int(light.max()) < FAINTEST:
        raise NoDigitFoundError("No digit was found: the picture is blank.")
    mask = _select(mask)
    reach = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    ink = cv2.multiply(light, reach)
    strong = max(_quantile(ink[mask > 0], 0.9), 1)
    digit = np.minimum(ink.astype(np.float32) / strong, 1)
    x, y, width, height = cv2.boundingRect(reach & (ink > 0.1 * strong).astype(np.uint8))
    return digit[y : y + height, x : x + width]


def _is_light_on_dark(image: Image) -> bool:
    """Is the paper, which has most of the border, the darker of the two shades?"""
    paper = _border_median(image)
    low, high = _quantile(image, 0.01), _quantile(image, 0.99)
    return high - paper > paper - low


def _border_median(image: Image) -> int:
    return _quantile(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]), 0.5)


def _quantile(values: Image, share: float) -> int:
    """The level below which a share of the values lies; for bytes, sorting is many times faster than `np.percentile`."""
    ordered = np.sort(values, axis=None)
    return int(ordered[int(share * (len(ordered) - 1))])


def _subtract_ground(light: Image) -> Image:
    """Take away what changes slowly: the darkest in a window wider than any stroke, smoothed."""
    side = max(light.shape)
    if side <= SMALL_SIDE_PX:
        return cv2.subtract(light, _border_median(light))
    window = side // 4 | 1
    ground = cv2.erode(light, np.ones((window, window), np.uint8))
    ground = cv2.GaussianBlur(ground, (0, 0), window / 4)
    return cv2.subtract(light, ground)


def _select(mask: Image) -> Image:
    """Keep the strokes of the digit: a large part near the middle, and what lies close to it."""
    count, labels, stats, centers = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 2:
        return mask
    height, width = mask.shape
    area = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    extent = np.maximum(stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT])
    offset = np.hypot((centers[1:, 0] - width / 2) / width, (centers[1:, 1] - height / 2) / height)
    x, y = stats[1:, cv2.CC_STAT_LEFT], stats[1:, cv2.CC_STAT_TOP]
    right, bottom = x + stats[1:, cv2.CC_STAT_WIDTH], y + stats[1:, cv2.CC_STAT_HEIGHT]
    at_border = (x == 0).astype(int) + (y == 0) + (right == width) + (bottom == height)
    score = extent * np.sqrt(area) * np.exp(-((offset / 0.3) ** 2)) * np.where(at_border > 0, 0.2, 1.0)
    main = int(np.argmax(score))
    reach = 0.15 * extent[main]
    near = (x < right[main] + reach) & (right > x[main] - reach) & (y < bottom[main] + reach) & (bottom > y[main] - reach)
    big = area > 0.03 * area[main]
    keep = np.zeros(count, np.uint8)
    keep[1:] = near & big & (at_border == 0)
    keep[1 + main] = 1
    return keep[labels]
