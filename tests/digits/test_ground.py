"""Ink is told from its ground, and dark from light, under any light. What `find_ink` makes of it is
in `test_ink.py`.
"""

import cv2
import numpy as np
import pytest
from fakes import draw_digit
from hypothesis import given
from hypothesis import strategies as st

from flaskapi.digits import Image
from flaskapi.digits.ground import find_polarity, lift_ink, quantile
from flaskapi.errors import NoDigitFoundError

SHAPE = (300, 500)
DOWN, RIGHT = np.mgrid[: SHAPE[0], : SHAPE[1]] / 500
LIGHTS = {
    "even": np.ones(SHAPE),
    "a shadow from the left": 1 - 0.8 * RIGHT,
    "a lamp in the middle": 0.4 + 0.6 * np.exp(-((RIGHT - 0.5) ** 2 + (DOWN - 0.3) ** 2) / 0.1),
    "a soft edge": 1 - 0.5 / (1 + np.exp(30 * (0.5 - RIGHT))),
}


def write(light: np.ndarray, contrast: float = 0.7) -> Image:
    """Dark ink on paper, a fiftieth of the picture."""
    ink = np.zeros(SHAPE, np.uint8)
    cv2.putText(ink, "2468", (100, 180), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 5, cv2.LINE_AA)
    return (230 * light * (1 - contrast * ink / 255)).astype(np.uint8)


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS)
@pytest.mark.parametrize("contrast", [0.3, 0.9])
def test_dark_ink_and_light_ink_are_told_apart_however_strong_the_shadows(
    light: np.ndarray, contrast: float
) -> None:
    assert find_polarity(write(light, contrast)) is True
    assert find_polarity(255 - write(light, contrast)) is False


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (20, 1000), (300, 500)])
def test_where_there_is_no_ink_it_cannot_be_told(shape: tuple[int, int]) -> None:
    assert find_polarity(np.full(shape, 128, np.uint8)) is None
    if min(shape) > 100:
        assert (
            find_polarity(
                np.random.default_rng(0).normal(128, 20, shape).clip(0, 255).astype(np.uint8)
            )
            is None
        )


def test_as_much_ink_as_ground_cannot_be_told_apart() -> None:
    board = (np.indices(SHAPE).sum(axis=0) // 10 % 2 * 255).astype(np.uint8)
    assert find_polarity(board) is None


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS)
def test_what_is_known_of_the_ink_is_heeded(light: np.ndarray) -> None:
    """Told that it is dark, no shadow is taken for it."""
    lifted = lift_ink(write(light), is_dark=True)
    ink = write(np.ones(SHAPE)) < 150
    assert lifted.inverted is True
    assert float((lifted.mask.view(bool) != ink)[20:-20, :].mean()) < 0.02
    light_ink = lift_ink(255 - write(light), is_dark=False)
    assert light_ink.inverted is False
    assert float((lifted.mask != light_ink.mask).mean()) < 0.001


@pytest.mark.parametrize("falls_to", [0.7, 0.4, 0.25])
@pytest.mark.parametrize("width", [0.25, 0.4])
def test_ink_in_the_shadow_is_as_strong_as_ink_in_the_light(falls_to: float, width: float) -> None:
    """As a share of the paper there: what it takes away is a share of the light."""
    light = falls_to + (1 - falls_to) / (1 + np.exp((RIGHT - 0.4) * 4 / width))
    lifted = lift_ink(write(light), is_dark=True)
    ink = write(np.ones(SHAPE)) < 100
    lit, shaded = (
        float(lifted.light[:, side][ink[:, side]].mean()) for side in (np.s_[:180], np.s_[230:])
    )
    assert shaded == pytest.approx(lit, rel=0.25)
    assert float((lifted.mask.view(bool) != ink).mean()) < 0.02


def test_a_lifted_picture_has_a_ground_of_0_and_light_ink() -> None:
    lifted = lift_ink(write(LIGHTS["a shadow from the left"]), is_dark=True)
    assert (np.uint8, SHAPE, np.uint8, SHAPE) == (
        lifted.light.dtype,
        lifted.light.shape,
        lifted.mask.dtype,
        lifted.mask.shape,
    )
    away = cv2.dilate(lifted.mask, np.ones((5, 5), np.uint8)) == 0
    assert float(lifted.light[away].mean()) < 3
    assert lifted.contrast == pytest.approx(
        lifted.light[lifted.mask == 1].mean() - lifted.light[lifted.mask == 0].mean(), abs=1
    )
    assert lifted.inverted


def test_a_digit_cut_out_closely_may_have_more_ink_than_ground() -> None:
    """The border tells, where both have much of the picture."""
    bold = cv2.dilate(draw_digit(8, side=100, dark_on_light=False), np.ones((13, 13), np.uint8))[
        8:92, 18:82
    ]
    assert 0.5 < (bold > 127).mean() < 0.65
    assert (False, True) == (lift_ink(bold).inverted, lift_ink(255 - bold).inverted)


@pytest.mark.parametrize("is_dark", [None, True, False])
@pytest.mark.parametrize("is_even", [False, True])
def test_nothing_stands_out_of_a_blank_picture(is_dark: bool | None, is_even: bool) -> None:
    for blank in (
        np.full(SHAPE, 200, np.uint8),
        (200 + (np.indices(SHAPE).sum(axis=0) % 2) * 4).astype(np.uint8),
    ):
        with pytest.raises(NoDigitFoundError, match="No digit was found"):
            lift_ink(blank, is_dark=is_dark, is_even=is_even)


@pytest.mark.parametrize("shape", [(439, 8), (8, 439), (257, 9)])
def test_a_narrow_strip_that_only_grows_lighter_is_not_all_ink(shape: tuple[int, int]) -> None:
    """All ink has no ground to be told from, and a number was looked for in it."""
    levels = np.linspace(157, 128, min(shape))
    strip = np.broadcast_to(levels if shape[1] < shape[0] else levels[:, np.newaxis], shape)
    with pytest.raises(NoDigitFoundError):
        lift_ink(np.ascontiguousarray(strip.astype(np.uint8)))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 1])
def test_a_quantile_is_one_of_the_values_with_that_share_of_them_below_it(share: float) -> None:
    values = np.random.default_rng(0).permutation(101).astype(np.uint8)
    assert 100 * share == quantile(values.reshape(1, 101), share)


@given(st.binary(min_size=1, max_size=3000), st.floats(0, 1))
def test_a_quantile_is_the_value_in_its_place_however_many_there_are(
    data: bytes, share: float
) -> None:
    values = np.frombuffer(data, np.uint8)
    assert sorted(data)[int(share * (len(data) - 1))] == quantile(values, share)


@pytest.mark.parametrize("light", [0.5, 0.6, 0.7])
@pytest.mark.parametrize("soft_px", [0, 8, 30])
@pytest.mark.parametrize("across", [0.2, 0.5, 0.8])
def test_the_edge_of_a_shadow_through_a_digit_is_ground(
    light: float, soft_px: int, across: float
) -> None:
    """No ink is where there is none, and nearly all is where there is."""
    picture = draw_digit(3, side=160)
    paper = np.full_like(picture, 230)
    page = np.where(picture < 128, 60, paper).astype(np.float32)
    right = np.arange(160, dtype=np.float32) + 0.3 * np.arange(160, dtype=np.float32)[:, np.newaxis]
    edge = 160 * 1.3 * across
    falls = 1 / (1 + np.exp(np.clip((edge - right) * 4 / max(soft_px, 0.5), -60, 60)))
    shaded = (page * (light + (1 - light) * falls)).astype(np.uint8)
    lifted = lift_ink(shaded)
    ink = (picture < 128).astype(np.uint8)
    assert lifted.inverted
    assert lifted.mask[cv2.dilate(ink, np.ones((7, 7), np.uint8)) == 0].mean() < 0.005
    assert lifted.mask[cv2.erode(ink, np.ones((3, 3), np.uint8)) == 1].mean() > 0.9
