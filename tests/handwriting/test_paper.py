import numpy as np
import pytest

from flaskapi.handwriting.paper import (
    HEIGHT_PX,
    WIDTH_PX,
    draw_ground,
    draw_rules,
    press,
    reach_in,
    soften,
)

SEEDS = pytest.mark.parametrize("seed", range(20))


def strokes() -> np.ndarray:
    ink = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    ink[20:45, 30:34] = ink[20:24, 60:80] = 1
    return ink


@SEEDS
def test_the_ground_is_fainter_than_any_ink(seed: int) -> None:
    ground = draw_ground(np.random.default_rng(seed))
    assert ((HEIGHT_PX, WIDTH_PX), np.float32) == (ground.shape, ground.dtype)
    assert 0 <= ground.min() <= ground.max() < 0.85


@SEEDS
def test_rules_add_ink_and_take_none_away(seed: int) -> None:
    ink = strokes()
    draw_rules(ink, [(30.0, 20.0, 4.0, 25.0)], np.random.default_rng(seed))
    assert (ink >= strokes()).all()


@SEEDS
def test_a_pen_that_presses_unevenly_writes_nothing_where_nothing_was(seed: int) -> None:
    pressed = press(strokes(), np.random.default_rng(seed))
    assert 0 == pressed[strokes() == 0].max()
    assert pressed.max() > 0.2


@SEEDS
def test_an_unsharp_picture_keeps_its_ink_in_place(seed: int) -> None:
    soft = soften(strokes(), np.random.default_rng(seed))
    assert strokes().shape == soft.shape
    assert np.corrcoef(soft.ravel(), strokes().ravel())[0, 1] > 0.6


@SEEDS
def test_what_reaches_in_comes_from_the_edge_and_not_far(seed: int) -> None:
    blank = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    rows, columns = np.nonzero(reach_in(blank, 10, 200, 5, 60, np.random.default_rng(seed)))
    to_edge = np.minimum.reduce(
        [abs(columns - 10), abs(199 - columns), abs(rows - 5), abs(59 - rows)]
    )
    assert len(rows) > 0
    assert to_edge.max() <= 16
