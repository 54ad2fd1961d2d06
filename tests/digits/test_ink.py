import cv2
import numpy as np
import pytest
from fakes import draw_digit

from flaskapi.digits import Digit, Image
from flaskapi.digits.ink import FAINTEST, WORKING_SIDE_PX, find_ink
from flaskapi.errors import NoDigitFoundError

SIDE = 280
DRAWN = [draw_digit(digit, side=SIDE) for digit in range(10)]
EVERY_DIGIT = pytest.mark.parametrize("image", DRAWN, ids=range(10))


def assert_alike(expected: Digit, actual: Digit) -> None:
    """As large, to a pixel or two at the soft edge, and as much of it black."""
    assert expected.shape == pytest.approx(actual.shape, abs=3)
    assert int((expected > 0.5).sum()) == pytest.approx(int((actual > 0.5).sum()), rel=0.08)


@EVERY_DIGIT
def test_what_comes_out_is_the_ink_and_nothing_around_it(image: Image) -> None:
    """`float32` in [0, 1], 1 the ink, cropped: the whole of the ink, to a pixel, with some of it on each edge."""
    ink = find_ink(image)
    assert np.float32 == ink.dtype
    assert (0, 1) == (float(ink.min()), float(ink.max()))
    assert min(edge.max() for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1])) > 0
    *_, width, height = cv2.boundingRect((image < 128).astype(np.uint8))
    scale = WORKING_SIDE_PX / SIDE
    assert ink.shape == pytest.approx((height * scale, width * scale), abs=3)
    assert int((image < 128).sum()) * scale**2 == pytest.approx(int((ink > 0.5).sum()), rel=0.05)


@EVERY_DIGIT
def test_polarity_does_not_matter(image: Image) -> None:
    np.testing.assert_array_equal(find_ink(image), find_ink(255 - image))


@EVERY_DIGIT
@pytest.mark.parametrize("contrast", [20, 60, 150])
def test_faint_ink_is_as_black_as_any(image: Image, contrast: int) -> None:
    faint = (220 - (255 - image) * (contrast / 255)).astype(np.uint8)
    assert_alike(find_ink(image), find_ink(faint))


@EVERY_DIGIT
def test_specks_are_ignored(image: Image) -> None:
    dirty = image.copy()
    for center in ((20, 20), (30, 250), (250, 40), (240, 240), (15, 140)):
        cv2.circle(dirty, center, 4, 0, -1)
    np.testing.assert_allclose(find_ink(image), find_ink(dirty), atol=0.03)


@EVERY_DIGIT
@pytest.mark.parametrize("sides", ["left", "left top", "left right", "left right top", "left right top bottom"])
@pytest.mark.parametrize("width", [1, 6])
def test_lines_along_the_border_are_ignored(image: Image, sides: str, width: int) -> None:
    """The edge of the paper, of a table's cell, of a window: dark on one side of the picture or on all of them."""
    edges = {"left": np.s_[:, :width], "right": np.s_[:, -width:], "top": np.s_[:width], "bottom": np.s_[-width:]}
    lined = image.copy()
    for side in sides.split():
        lined[edges[side]] = 0
    np.testing.assert_allclose(find_ink(image), find_ink(lined), atol=0.05)


@EVERY_DIGIT
@pytest.mark.parametrize("light", ["from the left", "from above", "from a corner"])
def test_a_shadow_over_the_paper_is_ignored(image: Image, light: str) -> None:
    down, right = np.mgrid[:SIDE, :SIDE] / SIDE
    fall = {"from the left": right, "from above": down, "from a corner": (down + right) / 2}[light]
    assert_alike(find_ink(image), find_ink((image * (1 - 0.7 * fall)).astype(np.uint8)))


@pytest.mark.parametrize("side", [1, 2, 28, 64, 65, 300, 1000])
@pytest.mark.parametrize("grey", [0, 1, 127, 128, 255])
def test_a_uniform_picture_has_no_digit(grey: int, side: int) -> None:
    with pytest.raises(NoDigitFoundError, match="blank"):
        find_ink(np.full((side, side), grey, np.uint8))


@pytest.mark.parametrize("side", [28, 64, 100, 280, 1000])
@pytest.mark.parametrize("deviation", [1, 3, 6])
def test_grain_of_the_paper_is_no_digit(side: int, deviation: int) -> None:
    grain = np.random.default_rng(0).normal(0, deviation, (side, side))
    with pytest.raises(NoDigitFoundError):
        find_ink((200 + grain).astype(np.uint8))


def test_ink_fainter_than_the_faintest_is_no_digit() -> None:
    shades = [np.where(DRAWN[3] < 128, 200 - FAINTEST + brighter, 200).astype(np.uint8) for brighter in (1, -3)]
    with pytest.raises(NoDigitFoundError):
        find_ink(shades[0])
    assert find_ink(shades[1]).size


@pytest.mark.parametrize("shape", [(1, 28), (1, 300), (300, 1), (1, 1024), (1024, 2), (3, 1024), (1024, 1024)])
def test_a_picture_of_any_shape_is_looked_at(shape: tuple[int, int]) -> None:
    image = np.full(shape, 255, np.uint8)
    image[shape[0] // 3 : 2 * shape[0] // 3 + 1, shape[1] // 3 : 2 * shape[1] // 3 + 1] = 0
    ink = find_ink(image)
    assert (1, 2) == (float(ink.max()), ink.ndim)
