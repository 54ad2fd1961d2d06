"""Frames, rules and sheets, drawn around digits."""

import cv2
import numpy as np
import pytest
from fakes import draw_digit

from flaskapi.digits.ink import find_inks
from flaskapi.digits.lines import erase_rules, find_inside, find_sheet


def ink_of(picture: np.ndarray) -> np.ndarray:
    return (picture < 128).astype(np.uint8)


@pytest.mark.parametrize("degrees", [-6, 0, 3])
def test_rules_go_and_the_digit_that_they_cross_stays(degrees: float) -> None:
    digit_ink = ink_of(draw_digit(4, side=160))
    rules = np.zeros((320, 320), np.uint8)
    rules[45::55] = rules[46::55] = 1
    turn = cv2.getRotationMatrix2D((160, 160), degrees, 1)
    rules = cv2.warpAffine(rules, turn, (320, 320), flags=cv2.INTER_NEAREST)[80:240, 80:240]
    bare = erase_rules(digit_ink | rules)[0]
    assert bare.is_ruled
    assert bare.mask[digit_ink == 1].mean() > 0.85
    apart = (cv2.dilate(digit_ink, np.ones((9, 9), np.uint8)) == 0) & (rules == 1)
    assert bare.mask[apart].mean() < 0.1
    np.testing.assert_array_equal(digit_ink | rules, bare.mask + bare.erased)


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_has_no_rules_from_side_to_side(digit: int) -> None:
    assert not any(bare.is_ruled for bare in erase_rules(ink_of(draw_digit(digit, side=160))))


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_piece_of_a_frame_is_outside_of_what_is_looked_into(side: str) -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[{"top": np.s_[4:7], "bottom": np.s_[93:96]}.get(side, np.s_[:])] |= side in (
        "top",
        "bottom",
    )
    if side in ("left", "right"):
        mask[:, {"left": np.s_[4:7], "right": np.s_[93:96]}[side]] = 1
    inside = find_inside(mask)
    assert inside is not None
    x, y, width, height = inside
    assert 0 == mask[y : y + height, x : x + width].sum()
    assert width * height > 0.8 * mask.size


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_with_a_margin_is_in_no_frame(digit: int) -> None:
    assert find_inside(ink_of(draw_digit(digit, side=100))) is None


def test_what_a_box_leaves_free_is_looked_into() -> None:
    mask = np.zeros((100, 100), np.uint8)
    cv2.rectangle(mask, (15, 15), (85, 85), 1, 3)
    inside = find_inside(mask)
    assert inside is not None
    assert 60 < inside.width < 71


def test_a_light_sheet_on_a_dark_desk_is_found_but_for_its_edge() -> None:
    desk = np.full((300, 400), 40, np.uint8)
    corners = cv2.boxPoints(((200, 150), (220, 140), 7)).astype(np.int32)
    cv2.fillConvexPoly(desk, corners, 220)
    sheet = find_sheet(desk)
    assert sheet is not None
    assert (desk[sheet == 1] == 220).all()
    assert sheet.sum() > 0.8 * (desk == 220).sum()


def test_the_light_beside_a_shadow_is_no_sheet() -> None:
    page = np.full((300, 400), 220, np.uint8)
    page[:, 180:] = 100
    assert find_sheet(page) is None
    assert find_sheet(page[:, ::-1].copy()) is None


def test_a_digit_on_a_sheet_is_cut_out_of_it() -> None:
    desk = np.full((300, 400), 40, np.uint8)
    desk[80:240, 120:280] = draw_digit(5, side=160)
    inks = find_inks(desk).likely
    x, y, width, height = inks[0].box
    assert 120 < x
    assert x + width < 280
    assert 80 < y
    assert y + height < 240


def test_where_ink_may_be_cut_away_with_a_line_that_is_said() -> None:
    """Lines as dark as the ink, one of them along the foot of a 4."""
    picture = draw_digit(4, side=160)
    for y in (20, 75, 130):
        picture[y : y + 3] = 0
    inks = find_inks(picture)
    assert any(ink.is_doubted for ink in inks.likely + inks.otherwise)
