import numpy as np
import pytest
from fakes import draw_digit

from flaskapi.digits.likeness import measure_likeness
from flaskapi.digits.normalize import normalize_digit


def test_ink_is_what_the_network_saw_size_and_contrast_the_pictures() -> None:
    """A bar of 10 by 200 pixels in the middle, 100 grey levels from its ground; in 28x28 it is 20
    high and 2 wide.
    """
    image = np.full((400, 400), 230, np.uint8)
    image[100:300, 195:205] = 130
    found = measure_likeness(normalize_digit(image))
    assert pytest.approx(200, abs=3) == found.size_px
    assert pytest.approx(100, abs=3) == found.contrast
    assert pytest.approx(2 * 20 / 784, abs=0.015) == found.ink_share
    assert pytest.approx(2.4, abs=0.6) == found.stroke_px, "thin strokes are widened"


def test_of_a_small_digit_in_a_large_picture_the_size_is_still_that_in_the_picture() -> None:
    image = np.full((900, 900), 255, np.uint8)
    image[300:400, 500:600] = draw_digit(7, side=100)
    height = np.ptp(np.flatnonzero(image.min(axis=1) < 128)) + 1
    assert pytest.approx(height, abs=4) == measure_likeness(normalize_digit(image)).size_px


def test_bolder_strokes_are_wider_and_more_ink() -> None:
    found = []
    for half_px in (12, 25):
        image = np.full((400, 400), 255, np.uint8)
        image[100:300, 200 - half_px : 200 + half_px] = 0
        found.append(measure_likeness(normalize_digit(image)))
    assert found[0].ink_share < found[1].ink_share
    assert found[0].stroke_px < found[1].stroke_px
