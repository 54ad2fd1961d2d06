import numpy as np
import pytest
from fakes import draw_digit

from flaskapi.training.glyphs import draw_glyph, draw_letter, draw_separator

SIX = draw_digit(6, side=28, dark_on_light=False)


def is_cropped_ink(glyph: np.ndarray) -> bool:
    """In [0, 1], and with ink in its first and last row and column."""
    edges = (glyph[0], glyph[-1], glyph[:, 0], glyph[:, -1])
    return 0 <= glyph.min() <= glyph.max() <= 1 and all(edge.max() > 0.2 for edge in edges)


@pytest.mark.parametrize("height", [18, 32, 50])
@pytest.mark.parametrize("seed", range(5))
def test_a_digit_comes_out_at_the_height_asked_for(height: int, seed: int) -> None:
    glyph = draw_glyph(SIX, height, 0.0, 0.0, 0.0, np.random.default_rng(seed))
    assert is_cropped_ink(glyph)
    assert height == pytest.approx(len(glyph), rel=0.3)


def test_a_bolder_pen_leaves_more_ink_and_no_grey_paper() -> None:
    thin, bold = (draw_glyph(SIX, 32, 0.0, 0.0, weight, np.random.default_rng(0)) for weight in (-0.15, 0.3))
    assert thin.mean() < bold.mean()
    assert 0 == np.median(bold[bold < 0.5])


@pytest.mark.parametrize("seed", range(20))
def test_letters_and_separators_are_ink_about_as_large_as_a_digit_or_smaller(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for glyph in (draw_letter(32, rng), draw_separator(32, rng)[0]):
        assert is_cropped_ink(glyph)
        assert max(glyph.shape) < 64
