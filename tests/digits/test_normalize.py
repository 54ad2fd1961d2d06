import functools

import cv2
import numpy as np
import pytest
from fakes import draw_digit
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flaskapi.digits import Digit, Image
from flaskapi.digits.normalize import WIDE_PEN_PX, normalize_digit, stroke_width_px, thicken
from flaskapi.errors import NoDigitFoundError

DRAWN = [draw_digit(digit) for digit in range(10)]
EVERY_DIGIT = pytest.mark.parametrize("image", DRAWN, ids=range(10))


def assert_prepared(digit: Digit) -> None:
    """`float32 (28, 28)` in [0, 1], with some ink."""
    assert (np.float32, (28, 28)) == (digit.dtype, digit.shape)
    assert 0 <= float(digit.min()) < float(digit.max()) <= 1


def prepared(drawn: Image) -> Digit:
    """One of those that are drawn, prepared once for the tests that compare with it."""
    return _prepared(drawn.tobytes(), drawn.shape)


@functools.cache
def _prepared(data: bytes, shape: tuple[int, int]) -> Digit:
    return normalize_digit(np.frombuffer(data, np.uint8).reshape(shape)).pixels


def likeness(one: Digit, other: Digit) -> float:
    """The correlation of two digits, where a shift by a pixel, which rounding the centre makes,
    does not count.
    """
    shifted = (np.roll(one, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1))
    return max(float(np.corrcoef(digit.ravel(), other.ravel())[0, 1]) for digit in shifted)


@EVERY_DIGIT
def test_a_digit_is_prepared_as_mnist_was_made(image: Image) -> None:
    """20 pixels for the longer side, the aspect ratio kept, the centre of mass at (14, 14) to half
    a pixel.
    """
    digit = normalize_digit(image).pixels
    assert_prepared(digit)
    *_, width, height = cv2.boundingRect((digit > 0).astype(np.uint8))
    *_, drawn_width, drawn_height = cv2.boundingRect((image < 128).astype(np.uint8))
    assert 20 == max(width, height)
    assert width / height == pytest.approx(drawn_width / drawn_height, abs=0.06)
    moments = cv2.moments(digit)
    assert (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]) == pytest.approx(
        (14, 14), abs=0.5
    )


@pytest.mark.parametrize("side", [64, 280, 1000])
@pytest.mark.parametrize("digit", range(10))
def test_an_image_in_mnists_form_comes_out_as_it_went_in(digit: int, side: int) -> None:
    prepared = normalize_digit(draw_digit(digit, side=side)).pixels
    np.testing.assert_allclose(
        prepared, normalize_digit(np.round(prepared * 255).astype(np.uint8)).pixels, atol=2 / 255
    )


@EVERY_DIGIT
def test_polarity_does_not_matter(image: Image) -> None:
    np.testing.assert_array_equal(
        normalize_digit(image).pixels, normalize_digit(255 - image).pixels
    )


@EVERY_DIGIT
def test_place_does_not_matter(image: Image) -> None:
    away = cv2.copyMakeBorder(image, 150, 0, 0, 150, cv2.BORDER_CONSTANT, value=255)
    assert likeness(prepared(image), normalize_digit(away).pixels) > 0.9


@pytest.mark.parametrize("margin", [2, 6, 20])
@pytest.mark.parametrize("digit", range(10))
def test_a_digit_that_fills_the_picture_keeps_all_its_strokes(digit: int, margin: int) -> None:
    """The bar of a 7 runs from border to border then, as a ruled line does."""
    image = DRAWN[digit]
    x, y, width, height = cv2.boundingRect((image < 128).astype(np.uint8))
    tight = cv2.copyMakeBorder(
        image[y : y + height, x : x + width], *[margin] * 4, cv2.BORDER_CONSTANT, value=255
    )
    assert likeness(prepared(image), normalize_digit(tight).pixels) > 0.9


@pytest.mark.parametrize(
    ("side", "least"), [(28, 0.85), (64, 0.9), (100, 0.9), (560, 0.93), (1000, 0.93)]
)
@pytest.mark.parametrize("digit", range(10))
def test_scale_matters_little(digit: int, side: int, least: float) -> None:
    assert (
        likeness(
            prepared(DRAWN[digit]),
            normalize_digit(draw_digit(digit, side=side)).pixels,
        )
        > least
    )


@pytest.mark.parametrize("digit", range(10))
def test_a_thin_pen_leaves_a_stroke_that_does_not_fade(digit: int) -> None:
    """As wide as MNIST's thinner ones, in full black: some two pixels in the box of 20."""
    thin = normalize_digit(draw_digit(digit, thickness=2)).pixels
    assert float(thin.max()) > 0.95
    assert likeness(thin, prepared(DRAWN[digit])) > 0.7


@EVERY_DIGIT
def test_a_shadow_matters_little(image: Image) -> None:
    fall = np.linspace(0.3, 1, image.shape[1])
    assert likeness(prepared(image), normalize_digit((image * fall).astype(np.uint8)).pixels) > 0.9


IMAGES = arrays.arrays(
    np.uint8,
    st.tuples(st.integers(1, 80), st.integers(1, 80)),
    elements=st.integers(0, 255) | st.sampled_from([0, 255]),
    fill=st.integers(0, 255),
)


def split(shape: tuple[int, int], row: int, column: int, shades: tuple[int, int]) -> Image:
    """One shade, and another to the right of and below a pixel."""
    image = np.full(shape, shades[0], np.uint8)
    image[row:, column:] = shades[1]
    return image


@given(
    IMAGES
    | st.builds(
        split,
        st.tuples(*[st.integers(1, 80)] * 2),
        *[st.integers(0, 79)] * 2,
        st.tuples(*[st.integers(0, 255)] * 2),
    )
)
@example(split((4, 1), 2, 0, (0, 255)))
@example(split((51, 14), 2, 10, (67, 228)))
@example(split((300, 300), 0, 260, (235, 20)))
@settings(deadline=None, max_examples=300)
def test_any_picture_gives_a_prepared_digit_or_none(image: Image) -> None:
    try:
        digit = normalize_digit(image).pixels
    except NoDigitFoundError:
        return
    assert_prepared(digit)


@pytest.mark.parametrize("radius", [1, WIDE_PEN_PX, 10])
def test_a_wide_pen_draws_as_a_narrow_one_does(radius: int) -> None:
    """It is drawn in bytes, and differs from floats by their rounding."""
    ink = np.random.default_rng(0).random((40, 60), np.float32)
    drawn = thicken(ink, 2 * radius)
    side = 2 * radius + 1
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    padded = np.pad(ink, radius)
    assert (np.float32, padded.shape) == (drawn.dtype, drawn.shape)
    assert np.abs(drawn - cv2.dilate(padded, pen)).max() <= 0.5 / 255 + 1e-6


def test_no_ink_has_the_width_of_the_thinnest_stroke() -> None:
    assert 1.0 == stroke_width_px(np.zeros((10, 10), np.uint8))
