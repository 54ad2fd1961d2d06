"""Pages of drawn digits, given by their boxes, with signs drawn between them."""

import cv2
import numpy as np
import pytest

from flaskapi.digits.page import Edges, Page
from flaskapi.digits.parts import MOST_PARTS, find_parts
from flaskapi.reading.marks import correct_confidence, find_marks, find_slashes

HEIGHT, STEP = 40, 44


def draw(text: str, lean: float = 0.25, tall: float = 1.45) -> tuple[Page, list[tuple[int, Edges]]]:
    """Draw a line: digits as hollow boxes, signs as they are; give the digits with their boxes."""
    mask = np.zeros((120, 60 + STEP * len(text)), np.uint8)
    digits: list[tuple[int, Edges]] = []
    for place, sign in enumerate(text):
        x, middle = 30 + STEP * place, 60
        if sign.isdigit():
            cv2.rectangle(mask, (x, middle - 20), (x + 22, middle + 20), 1, 4)
            digits.append((int(sign), (x - 2, middle - 22, x + 25, middle + 23)))
        if sign in "-=+\u00f7":
            for y in (middle - 6, middle + 6) if sign == "=" else (middle,):
                cv2.line(mask, (x, y), (x + 20, y), 1, 3)
        if sign == "+":
            cv2.line(mask, (x + 10, middle - 10), (x + 10, middle + 10), 1, 3)
        if sign in ":\u00f7":
            for y in (middle - 11, middle + 11):
                cv2.circle(mask, (x + 10, y), 3, 1, -1)
        if sign == ".":
            cv2.circle(mask, (x + 10, middle + 18), 3, 1, -1)
        if sign == "x":
            cv2.line(mask, (x, middle - 10), (x + 20, middle + 10), 1, 3)
            cv2.line(mask, (x + 20, middle - 10), (x, middle + 10), 1, 3)
        if sign == "/":
            half = HEIGHT * tall / 2
            top, bottom = (
                (x + 10 + half * lean, middle - half),
                (x + 10 - half * lean, middle + half),
            )
            cv2.line(
                mask, (round(top[0]), round(top[1])), (round(bottom[0]), round(bottom[1])), 1, 4
            )
    part = (0, 0, mask.shape[1], mask.shape[0])
    return Page(mask.astype(np.float32), mask, HEIGHT, part), digits


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("3.50", ["point"]),
        ("-89", ["dash"]),
        ("12:30", ["colon"]),
        ("45\u00f79", ["divided-by"]),
        ("12=34", ["equals"]),
        ("12+34", ["plus"]),
        ("12x34", ["times"]),
        ("12/03/2024", ["slash", "slash"]),
        ("1234", []),
    ],
)
def test_what_is_written_between_digits_is_told(text: str, kinds: list[str]) -> None:
    page, digits = draw(text)
    (line,) = find_marks(page, [digits])
    assert kinds == [mark.kind for mark in line.marks]
    assert text == line.written


@pytest.mark.parametrize("text", ["45\u00f79", "12=34", "12+34", "12x34"])
def test_signs_that_join_numbers_take_from_the_confidence(text: str) -> None:
    page, digits = draw(text)
    assert correct_confidence(1.0, find_marks(page, [digits])) < 0.7


@pytest.mark.parametrize("text", ["3.50", "-89", "12/03/2024"])
def test_points_dashes_and_slashes_take_nothing(text: str) -> None:
    page, digits = draw(text)
    assert 1.0 == correct_confidence(1.0, find_marks(page, [digits]))


def test_digits_far_apart_are_groups() -> None:
    page, digits = draw("45      32")
    (line,) = find_marks(page, [digits])
    assert ["45", "32"] == line.groups
    assert "45 32" == line.written


def test_digits_at_even_distances_are_one_group() -> None:
    page, digits = draw("1 2 3 4")
    (line,) = find_marks(page, [digits])
    assert ["1234"] == line.groups


def test_specks_and_long_lines_are_no_marks() -> None:
    page, digits = draw("12 34")
    page.mask[40:42, 118:120] = 1
    page.mask[85:88, :] = 1
    page.ink[...] = page.mask
    (line,) = find_marks(page, [digits])
    assert [] == line.marks


def boxes(
    text: str, tall: float = 1.45, lean: float = 0.25
) -> tuple[Page, list[Edges], list[bool]]:
    """All that is drawn as the detector would have it, slashes as 1s."""
    page, _ = draw(text, lean, tall)
    half = HEIGHT * tall / 2
    found: list[Edges] = []
    for place, sign in enumerate(text):
        x = 30 + STEP * place
        found.append(
            (x - 8, 60 - half, x + 30, 60 + half) if sign == "/" else (x - 2, 38, x + 25, 83)
        )
    return page, found, [sign == "/" for sign in text]


def test_what_stands_high_and_straight_between_the_digits_of_a_date_is_a_slash() -> None:
    page, found, is_one = boxes("12/03/2024")
    slashes = find_slashes(page, found, [True] * len(found), is_one)
    assert [2, 5] == list(slashes)
    assert min(slashes.values()) > 0.95


def test_one_slash_alone_is_less_sure() -> None:
    page, found, is_one = boxes("12/0345")
    slashes = find_slashes(page, found, [True] * len(found), is_one)
    assert [2] == list(slashes)
    assert slashes[2] < 0.95


@pytest.mark.parametrize(
    ("text", "tall", "lean"),
    [
        ("12/0345", 1.1, 0.25),  # as high as the digits
        ("12/0345", 1.45, 0.0),  # upright
        ("/120345", 1.45, 0.25),  # before the first
        ("120345/", 1.45, 0.25),  # behind the last
    ],
)
def test_what_may_be_a_1_stays_one(text: str, tall: float, lean: float) -> None:
    page, found, is_one = boxes(text, tall, lean)
    assert {} == find_slashes(page, found, [True] * len(found), is_one)


def test_no_digits_have_no_marks() -> None:
    page, _ = draw("1")
    assert [] == find_marks(page, [])


def test_of_a_page_of_specks_the_largest_are_looked_at() -> None:
    """Thousands of them took half a second."""
    mask = np.zeros((400, 400), np.uint8)
    for y in range(2, 396, 8):
        for x in range(2, 396, 8):
            mask[y : y + 2, x : x + 2 + (y < 20)] = 1
    parts = find_parts(Page(mask.astype(np.float32), mask, HEIGHT, (0, 0, 400, 400)), [])
    assert len(parts) == MOST_PARTS
    wide = {part.edges for part in parts if part.edges[2] - part.edges[0] == 3}
    assert len(wide) == 3 * 50
