import numpy as np
import pytest

from flaskapi.handwriting.shapes import CANVAS_PX, blank, draw_shape, draw_stroke


@pytest.mark.parametrize("seed", range(30))
def test_a_shape_is_ink_on_a_canvas_and_the_same_for_the_same_seed(seed: int) -> None:
    ink = draw_shape(np.random.default_rng(seed))
    assert ((CANVAS_PX, CANVAS_PX), 0, 1) == (ink.shape, ink.min(), ink.max())
    np.testing.assert_array_equal(ink, draw_shape(np.random.default_rng(seed)))


def test_a_stroke_goes_through_its_points() -> None:
    canvas = blank()
    draw_stroke(canvas, np.array([[10.0, 20.0], [80.0, 20.0], [80.0, 70.0]]), 3)
    assert 255 == canvas[20, 45] == canvas[45, 80]
    assert 0 == canvas[60, 20]
