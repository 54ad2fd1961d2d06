"""Whatever a page was written on and photographed by, the detector and the classifier see ink, at
their own size.
"""

import contextlib
import itertools
import sys

import cv2
import numpy as np
import pytest
from fakes import draw_digit

from flaskapi.digits import Image
from flaskapi.digits.ground import lift_ink
from flaskapi.digits.normalize import normalize_digit
from flaskapi.digits.page import (
    LARGEST_SCALE,
    MOST_PIXELS,
    MULTIPLE_PX,
    PADDING_PX,
    READ_HEIGHT_PX,
    Edges,
    Page,
    cut_digit,
    fit_scale,
    lift_page,
    scale_page,
)
from flaskapi.errors import NoDigitFoundError

SHAPE = (300, 700)


def write(
    text: str = "2468", *, shape: tuple[int, int] = SHAPE, scale: float = 2.0, pen: int = 5
) -> Image:
    """Dark ink on white paper, digits about 21 pixels high for each unit of scale."""
    page = np.full(shape, 255, np.uint8)
    cv2.putText(
        page, text, (60, shape[0] // 2), cv2.FONT_HERSHEY_SIMPLEX, scale, 0, pen, cv2.LINE_AA
    )
    return page


def boxes_of(ink: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Of each connected piece of ink of some size: x, y, width, height, from left to right."""
    stats = cv2.connectedComponentsWithStats((ink > 0.5).astype(np.uint8))[2][1:]
    return sorted(tuple(int(value) for value in row[:4]) for row in stats if row[4] > 40)


def under(light: np.ndarray, page: Image) -> Image:
    return (page * (0.9 * light)).astype(np.uint8)


DOWN, RIGHT = np.mgrid[: SHAPE[0], : SHAPE[1]] / 700
GROUNDS = {
    "a shadow from the left": under(1 - 0.6 * RIGHT, write()),
    "a shadow from a corner": under(1 - 0.4 * (RIGHT + DOWN), write()),
    "a hand's soft shadow": under(1 - 0.5 * np.exp(-((RIGHT - 0.5) ** 2) / 0.05), write()),
    "fine lines": under(np.where((DOWN * 700) % 12 < 1, 0.85, 1.0), write()),
    "waves": under(0.9 + 0.1 * np.sin(RIGHT * 90 + 3 * np.sin(DOWN * 40)), write()),
    "grain": np.clip(
        under(np.ones(SHAPE), write()) + np.random.default_rng(0).normal(0, 6, SHAPE), 0, 255
    ).astype(np.uint8),
}


@pytest.mark.parametrize("page", GROUNDS.values(), ids=GROUNDS)
def test_shadows_and_textures_move_no_digit(page: Image) -> None:
    np.testing.assert_allclose(boxes_of(lift_page(page).ink), boxes_of(255 - write() > 127), atol=3)


def test_digits_are_lifted_from_printed_lines_that_no_grain_comes_near() -> None:
    """As on cheques, whose digits are 30 pixels high: the lines of the ground are half as dark as
    the ink.
    """
    down, right = np.mgrid[:60, :170]
    lines = (abs((down + 0.3 * right) / 5 % 1 - 0.5) > 0.3) | (
        abs((down - 0.6 * right) / 5 % 1 - 0.5) > 0.3
    )
    ground = 200 - 60 * cv2.GaussianBlur(lines.astype(np.float32), (0, 0), 0.7)
    plain = np.full((60, 170), 255, np.uint8)
    cv2.putText(plain, "2468", (20, 46), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 0, 4, cv2.LINE_AA)
    cheque = np.minimum(ground, 110 + 145 * (plain / 255)).astype(np.uint8)
    with pytest.raises(NoDigitFoundError):  # for one digit, that might be grain
        lift_ink(cheque, is_dark=True)
    page = lift_page(cheque)
    assert page.ink[plain == 0].mean() > 0.8
    assert page.ink[cv2.erode(plain, np.ones((5, 5))) == 255].mean() < 0.2


def test_a_page_is_ink_from_0_to_1_its_mask_and_how_high_its_digits_are() -> None:
    page = lift_page(write())
    assert (np.float32, SHAPE, np.uint8, SHAPE) == (
        page.ink.dtype,
        page.ink.shape,
        page.mask.dtype,
        page.mask.shape,
    )
    assert (0, 1) == (float(page.ink.min()), float(page.ink.max()))
    assert {0, 1} == set(np.unique(page.mask))
    assert float((page.mask.view(bool) != (page.ink > 0.5)).mean()) < 0.001
    heights = [height for *_, height in boxes_of(page.ink)]
    assert min(heights) <= page.digit_px <= max(heights)


@pytest.mark.parametrize("name", GROUNDS)
def test_light_ink_on_a_dark_ground_gives_the_same_page(name: str) -> None:
    dark, light = lift_page(GROUNDS[name]), lift_page(255 - GROUNDS[name])
    """But for what dark ink lacks in the shadow, which is given back to it."""
    np.testing.assert_allclose(boxes_of(dark.ink), boxes_of(light.ink), atol=2)
    assert float((dark.mask != light.mask).mean()) < 0.005


@pytest.mark.parametrize("scale", [0.7, 1, 2, 4])
def test_the_height_of_digits_is_guessed_among_dots_dashes_and_rules(scale: float) -> None:
    page = write("24.68-35", scale=scale, pen=round(2 * scale))
    page[280:282] = 0
    assert lift_page(page).digit_px == pytest.approx(21 * scale + 2 * scale, rel=0.2)


@pytest.mark.parametrize("specks", [0, 5])
def test_the_height_of_digits_is_guessed_where_a_line_holds_all_of_them_together(
    specks: int,
) -> None:
    """From border to border, as an underline does: not that of the specks which are left."""
    page = write("2468", shape=(120, 260), pen=4)
    page[58:61] = 0
    for place in range(specks):
        page[110:112, 20 + 40 * place : 22 + 40 * place] = 0
    assert lift_page(page).digit_px == pytest.approx(46, rel=0.2)


@pytest.mark.parametrize("pen", [1, 4, 9])
@pytest.mark.parametrize("lines", [1, 3])
def test_the_height_of_digits_is_guessed_within_a_box_drawn_around_them(
    pen: int, lines: int
) -> None:
    page = np.vstack([write("24680")] * lines)
    boxed = page.copy()
    cv2.rectangle(boxed, (20, 20), (page.shape[1] - 20, len(page) - 20), 0, pen)
    assert lift_page(page).digit_px == pytest.approx(lift_page(boxed).digit_px, abs=2)


def test_a_box_full_of_dots_takes_no_longer_than_dots_alone_do_by_much() -> None:
    """Tens of thousands, as a hostile picture has them: nothing is counted one by one."""
    page = np.full((1000, 1000), 255, np.uint8)
    page[20:-20:5, 20:-20:5] = 0
    cv2.rectangle(page, (5, 5), (995, 995), 0, 2)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        lift_page(page)
    finally:
        sys.setprofile(None)
    assert calls < 2000, "of Python and C together; there are 36,864 dots"


def test_what_touches_a_box_is_in_the_part_that_is_looked_over() -> None:
    page = write("24680")
    cv2.rectangle(page, (66, 80), (660, 200), 0, 3)  # through the 2
    left, *_ = lift_page(page).part
    assert left < 60


def test_digits_that_fill_the_picture_and_hang_together_are_as_high_as_most_of_it() -> None:
    page = np.ascontiguousarray(write("836", shape=(104, 180), pen=2)[4:64, 58:])
    cv2.line(page, (0, 46), (121, 10), 0, 2)  # not along the picture
    page[2:4, 60:62] = 0
    assert lift_page(page).digit_px == pytest.approx(0.7 * 60)


def test_nothing_but_a_line_is_a_page_all_the_same() -> None:
    page = np.full((100, 300), 255, np.uint8)
    page[40:43] = 0
    assert (0, 0, 300, 100) == lift_page(page).part


@pytest.mark.parametrize("text", ["7", "2468", "11", "24.68-35"])
def test_the_part_that_is_looked_over_has_all_digits_with_some_paper_around_them(text: str) -> None:
    """And no more paper than that, nor specks far away."""
    picture = write(text)
    x, y, width, height = cv2.boundingRect((picture < 128).astype(np.uint8))
    picture[20:24, 650:654] = 0
    left, top, right, bottom = lift_page(picture).part
    margins = x - left, y - top, right - x - width, bottom - y - height
    assert 0.2 * height < min(margins) <= max(margins) < height


@pytest.mark.parametrize(("contrast", "grain"), [(14, 1.8), (16, 2), (20, 2.5)])
def test_no_digit_is_left_out_where_there_is_little_ink_and_it_is_faint(
    contrast: float, grain: float
) -> None:
    """On a large grainy page, the ink fainter on one side."""
    ink = 255.0 - write("24680135", shape=(900, 1000), pen=2)
    page = (
        100
        - contrast / 255 * ink * np.linspace(1, 0.4, 1000)
        + np.random.default_rng(0).normal(0, grain, ink.shape)
    )
    lifted = lift_page(page.clip(0, 255).astype(np.uint8))
    times = ink.shape[1] / lifted.ink.shape[1]
    left, top, right, bottom = (times * edge for edge in lifted.part)
    x, y, width, height = cv2.boundingRect((ink > 128).astype(np.uint8))
    assert left < x < x + width < right
    assert top < y < y + height < bottom


def test_the_part_ends_where_the_picture_does() -> None:
    picture = write()
    x, y, width, height = cv2.boundingRect((picture < 128).astype(np.uint8))
    tight = np.ascontiguousarray(picture[y - 2 : y + height + 2, x - 2 : x + width + 2])
    assert (0, 0, width + 4, height + 4) == lift_page(tight).part


def test_only_that_part_is_brought_to_the_detectors_size() -> None:
    page = lift_page(write())
    left, top, right, bottom = page.part
    cut = Page(
        page.ink[top:bottom, left:right],
        page.mask[top:bottom, left:right],
        page.digit_px,
        (0, 0, right - left, bottom - top),
    )
    for scale in (0.3, 0.8, 1.5):
        np.testing.assert_array_equal(scale_page(cut, scale), scale_page(page, scale))
        assert fit_scale(cut, 100 * scale) == fit_scale(page, 100 * scale)


@pytest.mark.parametrize(("deviation", "halved"), [(0, 0), (11, 1), (20, 2)])
def test_grain_that_hides_the_ink_is_met_by_halving(deviation: float, halved: int) -> None:
    """Each time four pixels become one, which halves the grain and leaves the ink."""
    faint = 165 + 55 * (write().astype(float) / 255)
    page = lift_page(
        np.clip(faint + np.random.default_rng(0).normal(0, deviation, SHAPE), 0, 255).astype(
            np.uint8
        )
    )
    assert (SHAPE[0] >> halved, SHAPE[1] >> halved) == page.ink.shape
    *_, width, height = cv2.boundingRect(
        cv2.morphologyEx(page.mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    )
    *_, expected_width, expected_height = cv2.boundingRect((write() < 128).astype(np.uint8))
    assert (width << halved, height << halved) == pytest.approx(
        (expected_width, expected_height), abs=5 << halved
    )


@pytest.mark.parametrize("shape", [(1, 1), (30, 200), (300, 700), (1024, 1024)])
@pytest.mark.parametrize("deviation", [0, 6])
def test_an_empty_page_has_no_digit(shape: tuple[int, int], deviation: float) -> None:
    grain = np.random.default_rng(0).normal(0, deviation, shape)
    with pytest.raises(NoDigitFoundError, match="No digit was found"):
        lift_page((200 + grain).astype(np.uint8))


def page_of(ink: np.ndarray) -> Page:
    ink = ink.astype(np.float32)
    return Page(ink, (ink > 0.5).astype(np.uint8), 30, (0, 0, ink.shape[1], ink.shape[0]))


@pytest.mark.parametrize("scale", [0.05, 0.31, 0.5, 1, 2.3])
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (47, 300), (300, 700)])
def test_what_the_detector_sees_has_sides_of_whole_cells_and_a_margin(
    shape: tuple[int, int], scale: float
) -> None:
    """The picture lies 8 pixels from the top and the left and at least as far from the other
    sides.
    """
    scaled = scale_page(page_of(np.ones(shape)), scale)
    assert (np.float32, 0, 0) == (
        scaled.dtype,
        scaled.shape[0] % MULTIPLE_PX,
        scaled.shape[1] % MULTIPLE_PX,
    )
    x, y, width, height = cv2.boundingRect((scaled > 0).astype(np.uint8))
    assert (PADDING_PX, PADDING_PX) == (x, y)
    assert [max(1, round(side * scale)) for side in shape] == [height, width]
    assert min(scaled.shape[0] - y - height, scaled.shape[1] - x - width) >= PADDING_PX
    assert (0, 1) == (float(scaled.min()), pytest.approx(float(scaled.max())))


@pytest.mark.parametrize("scale", [0.1, 0.2, 0.4, 0.8])
@pytest.mark.parametrize("pen", [1, 2, 3])
def test_thin_strokes_survive_the_scaling(pen: int, scale: float) -> None:
    """A pen of a pixel on digits of 300 is still seen on digits of 32, about where it was."""
    height = READ_HEIGHT_PX / scale
    drawn = 255 - write("47", shape=(int(2 * height), int(3 * height)), scale=height / 22, pen=pen)
    scaled = scale_page(page_of(drawn / 255), scale)
    found, expected = boxes_of(scaled), boxes_of(drawn > 127)
    assert 2 == len(found), "a stroke is broken"
    np.testing.assert_allclose(
        np.array(found) - [PADDING_PX, PADDING_PX, 0, 0], np.array(expected) * scale, atol=3
    )
    assert scaled.max() > 0.8


def test_the_scale_is_kept_within_what_is_of_use_and_what_there_is_time_for() -> None:
    small, large = page_of(np.zeros((50, 100))), page_of(np.zeros((1000, 1000)))
    assert (0.7, LARGEST_SCALE) == (fit_scale(small, 0.7), fit_scale(small, 50.0))
    fitted = fit_scale(large, 3.0)
    assert MOST_PIXELS == pytest.approx(1000 * 1000 * fitted**2)
    assert 0.1 == fit_scale(large, 0.1)


def row_of(digits: str, *, side: int = 100, apart: int = 100) -> tuple[Page, list[Edges]]:
    """Digits in a row, each in a square, and the boxes of their ink."""
    ink = np.zeros((side + 40, apart * len(digits) + side), np.float32)
    boxes = []
    for place, digit in enumerate(digits):
        drawn = draw_digit(int(digit), side=side, dark_on_light=False) / np.float32(255)
        left = 20 + apart * place
        part = ink[20 : 20 + side, left : left + side]
        np.maximum(part, drawn, out=part)
        x, y, w, h = cv2.boundingRect((drawn > 0.1).astype(np.uint8))
        boxes.append((float(left + x), float(20 + y), float(left + x + w), float(20 + y + h)))
    return page_of(ink), boxes


@pytest.mark.parametrize("digit", "0123456789")
def test_a_digit_cut_out_of_a_row_is_what_it_would_be_alone(digit: str) -> None:
    page, boxes = row_of(f"8{digit}8")
    alone = normalize_digit(draw_digit(int(digit), side=100)).pixels
    cut = cut_digit(page, boxes[1])
    assert (np.float32, (28, 28)) == (cut.dtype, cut.shape)
    assert np.corrcoef(cut.ravel(), alone.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("digits", ["808", "147", "353"])
def test_what_only_reaches_in_from_a_neighbour_is_left_out(digits: str) -> None:
    """Though it lies in the box: a box by a network is never quite that of the ink."""
    page, boxes = row_of(digits, apart=62)
    left, top, _, bottom = boxes[1]
    wider = (boxes[0][2] - 5, top - 4, boxes[2][0] + 5, bottom + 4)
    assert wider[0] < boxes[0][2] < left, "the neighbour does not reach in"
    np.testing.assert_allclose(cut_digit(page, wider), cut_digit(page, boxes[1]), atol=0.15)


def test_the_bar_of_a_5_that_stands_apart_is_kept() -> None:
    page, (edges,) = row_of("5")
    x = int(edges[0] + edges[2]) // 2
    page.ink[:, x : x + 3] = 0
    broken = page_of(page.ink)
    cut = cut_digit(broken, edges)
    assert cut[:, :12].max() > 0.5
    assert cut[:, 16:].max() > 0.5


@pytest.mark.parametrize(
    "edges",
    [(-50, -50, -20, -20), (500, 10, 540, 40), (30, 30, 30, 30), (0, 0, 15, 15), (60, 80, 20, 10)],
)
def test_a_box_without_ink_is_no_digit(edges: Edges) -> None:
    """Beside the page, of no size, on blank paper."""
    page, _ = row_of("1")
    np.testing.assert_array_equal(np.zeros((28, 28)), cut_digit(page, edges))


def test_a_box_that_reaches_over_the_edge_of_the_page_gives_what_is_on_it() -> None:
    page, (edges,) = row_of("3")
    x, y, right, bottom = map(int, edges)
    tight = page_of(page.ink[y:bottom, x:right])
    beyond = cut_digit(tight, (-8.0, -8.0, right - x + 8.0, bottom - y + 8.0))
    np.testing.assert_allclose(beyond, cut_digit(page, edges), atol=0.05)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 4)])
def test_a_picture_of_a_few_pixels_is_a_page_or_none(shape: tuple[int, int]) -> None:
    """Whatever they are: no line in it has a third of a pixel."""
    for levels in itertools.product((0, 60, 200, 255), repeat=shape[0] * shape[1]):
        with contextlib.suppress(NoDigitFoundError):
            page = lift_page(np.array(levels, np.uint8).reshape(shape))
            assert shape == page.ink.shape
