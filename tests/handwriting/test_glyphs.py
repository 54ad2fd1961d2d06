import cv2
import numpy as np
import pytest
from fakes import draw_digit

from flaskapi.digits.normalize import stroke_width_px
from flaskapi.handwriting.glyphs import (
    FLAGGED_SHARE,
    Shape,
    copy_glyph,
    draw_glyph,
    draw_letter,
    draw_separator,
    flag_one,
    flag_sevens,
    lean,
)

SIX = draw_digit(6, side=28, dark_on_light=False)


def is_cropped_ink(glyph: np.ndarray) -> bool:
    """In [0, 1], and with ink in its first and last row and column."""
    edges = (glyph[0], glyph[-1], glyph[:, 0], glyph[:, -1])
    return 0 <= glyph.min() <= glyph.max() <= 1 and all(edge.max() > 0.2 for edge in edges)


@pytest.mark.parametrize("height", [18, 32, 50])
@pytest.mark.parametrize("seed", range(5))
def test_a_digit_comes_out_at_the_height_asked_for(height: int, seed: int) -> None:
    glyph = draw_glyph(SIX, height, Shape(), np.random.default_rng(seed))
    assert is_cropped_ink(glyph)
    assert height == pytest.approx(len(glyph), rel=0.3)


def test_a_bolder_pen_leaves_more_ink_and_no_grey_paper() -> None:
    thin, bold = (
        draw_glyph(SIX, 32, Shape(bold=weight), np.random.default_rng(0)) for weight in (-0.15, 0.3)
    )
    assert thin.mean() < bold.mean()
    assert 0 == np.median(bold[bold < 0.5])


def middles(glyph: np.ndarray) -> tuple[float, float]:
    """Where the ink of the upper and of the lower half is, on average, in columns."""
    half = len(glyph) // 2
    return tuple(
        float(part.sum(axis=0) @ np.arange(part.shape[1]) / part.sum())
        for part in (glyph[:half], glyph[half:])
    )


def test_a_slant_leans_to_the_right_and_a_bend_takes_the_lower_half_to_the_left() -> None:
    ways = {}
    shapes = {
        "upright": Shape(),
        "slanted": Shape(slant=0.5),
        "bent": Shape(bend=0.6),
        "leaning back": Shape(slant=-0.5),
    }
    for name, shape in shapes.items():
        upper, lower = middles(draw_glyph(SIX, 40, shape, np.random.default_rng(0)))
        ways[name] = upper - lower
    assert ways["leaning back"] + 5 < ways["upright"] < min(ways["slanted"], ways["bent"]) - 5


def test_a_tilt_takes_the_left_side_down() -> None:
    """As of the bar of a 7, which is the flag of a 1 then."""
    bar = np.zeros((28, 28), np.uint8)
    bar[12:15, 4:24] = 255
    level, tilted = (
        draw_glyph(bar, 40, Shape(tilt=tilt), np.random.default_rng(0)) for tilt in (0, 1)
    )
    assert len(level) < 0.5 * level.shape[1]
    rows, columns = np.nonzero(tilted > 0.5)
    assert np.polyfit(columns, rows, 1)[0] == pytest.approx(-1, abs=0.2)


SEVEN = np.zeros((28, 28), np.uint8)
cv2.polylines(SEVEN, [np.array([[6, 5], [20, 5], [13, 23]])], False, 255, 2)


@pytest.mark.parametrize("seed", range(30))
def test_a_seven_with_a_steep_bar_is_a_one_with_a_flag(seed: int) -> None:
    """An upright stem, and a flag that goes down to the left of its top; some have a foot
    besides.
    """
    rng = np.random.default_rng(seed)
    image, shape = flag_one(SEVEN, Shape(), rng)
    ink = draw_glyph(image, 60, shape, rng) > 0.5
    thirds = [
        np.nonzero(rows)[1]
        for rows in (ink[:5], ink[len(ink) // 4 : len(ink) // 3], ink[2 * len(ink) // 3 :])
    ]
    top, flag, stem = (columns - thirds[0].mean() for columns in thirds)
    assert flag.min() < top.min() < -1, "the flag"
    assert abs(stem.mean()) < 0.25 * len(ink), "the stem stands under the top"


def test_some_sevens_of_a_batch_become_ones_and_all_else_stays() -> None:
    labels = np.tile(np.array([6, 7, 10], np.uint8), 1000)
    images = np.tile(np.stack([SIX, SEVEN, SIX]), (1000, 1, 1))
    flagged, said = flag_sevens(images, labels, np.random.default_rng(0))
    changed = labels != said
    assert set(labels[changed]) == {7}
    assert set(said[changed]) == {1}
    assert changed[labels == 7].mean() == pytest.approx(FLAGGED_SHARE, rel=0.5)
    assert (flagged.dtype, flagged.shape) == (np.uint8, images.shape)
    np.testing.assert_array_equal(flagged[~changed], images[~changed])
    assert (flagged[changed] != images[changed]).any(axis=(1, 2)).all()
    assert (labels[1], images[1].max()) == (7, 255), "what was given stays as it is"


def test_a_copied_digit_is_only_larger() -> None:
    glyph = copy_glyph(SIX, 40)
    assert is_cropped_ink(glyph)
    smaller = cv2.resize(glyph, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(
        smaller.shape, cv2.boundingRect((SIX > 51).astype(np.uint8))[:1:-1], atol=2
    )
    assert smaller.sum() == pytest.approx(SIX.sum() / 255, rel=0.15)


def test_what_a_digit_leans_can_be_taken_back() -> None:
    """Told by its ink, whatever it is; blank ones do not lean."""
    for slant in (-0.4, 0.3):
        matrix = np.array([[1, -slant, 14 * slant], [0, 1, 0]])
        leaning = cv2.warpAffine(SIX, matrix, (28, 28))
        assert lean(leaning, 6) - lean(SIX, 6) == pytest.approx(-slant, abs=0.1)
    assert lean(np.zeros((28, 28), np.uint8), 9) == 0


def test_a_stretched_digit_is_wider_and_as_high() -> None:
    plain, wide = (
        draw_glyph(SIX, 40, Shape(stretch=stretch), np.random.default_rng(0))
        for stretch in (0, 0.4)
    )
    assert plain.shape[1] * 1.3 < wide.shape[1]
    assert len(plain) == pytest.approx(len(wide), abs=2)


@pytest.mark.parametrize("pen", [2, 2.5, 4])
def test_strokes_are_made_as_thin_as_the_pen(pen: float) -> None:
    glyph = draw_glyph(SIX, 48, Shape(pen=pen), np.random.default_rng(0))
    assert is_cropped_ink(glyph)
    large = cv2.resize(glyph, None, fx=4, fy=4)
    assert pen == pytest.approx(stroke_width_px((large > 0.5).astype(np.uint8)) / 4, rel=0.4)


def test_strokes_that_are_thinner_than_the_pen_stay() -> None:
    plain, thinned = (
        draw_glyph(SIX, 30, Shape(pen=pen), np.random.default_rng(0)) for pen in (0, 20)
    )
    np.testing.assert_array_equal(plain, thinned)


@pytest.mark.parametrize("seed", range(20))
def test_letters_and_separators_are_ink_about_as_large_as_a_digit_or_smaller(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for glyph in (draw_letter(32, rng), draw_separator(32, rng)[0]):
        assert is_cropped_ink(glyph)
        assert max(glyph.shape) < 64
