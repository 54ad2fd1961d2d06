"""What is drawn is a page of digits, and what the network should answer to it says where each of
them is.
"""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskapi.digits.page import CELL_PX, PADDING_PX
from flaskapi.handwriting.augment import crop
from flaskapi.handwriting.pages import (
    AT_CENTER,
    HEIGHT_PX,
    LENIENT,
    STRIDES_PX,
    WIDTH_PX,
    DrawnPage,
    Placed,
    _Hand,
    _Writer,
    draw_page,
    draw_targets,
)
from flaskapi.reading.candidates import find_candidates
from flaskapi.sources.mnist import Dataset

CELLS = HEIGHT_PX // STRIDES_PX[1], WIDTH_PX // STRIDES_PX[0]


def draw(dataset: Dataset, seed: int, labels: np.ndarray | None = None) -> DrawnPage:
    labels = dataset.train_labels if labels is None else labels
    return draw_page(dataset.train_images, labels, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def pages(dataset: Dataset) -> list[DrawnPage]:
    return [draw(dataset, seed) for seed in range(150)]


def test_the_same_seed_draws_the_same_page(dataset: Dataset, pages: list[DrawnPage]) -> None:
    for seed in range(10):
        again = draw(dataset, seed)
        np.testing.assert_array_equal(pages[seed].pixels, again.pixels)
        assert pages[seed].digits == again.digits
        assert not np.array_equal(pages[seed].pixels, pages[seed + 1].pixels)


def test_a_page_is_of_the_form_that_the_detector_reads(pages: list[DrawnPage]) -> None:
    for page in pages:
        assert (np.float32, (HEIGHT_PX, WIDTH_PX)) == (page.pixels.dtype, page.pixels.shape)
        assert 0 <= page.pixels.min() <= page.pixels.max() <= 1


def test_the_network_and_the_service_mean_the_same_cells() -> None:
    assert CELL_PX == STRIDES_PX


def test_every_box_lies_on_its_page_and_holds_ink(pages: list[DrawnPage]) -> None:
    contrasts = []
    for page in pages:
        for digit in page.digits:
            assert (
                digit.x >= 0,
                digit.y >= 0,
                digit.x + digit.width <= WIDTH_PX,
                digit.y + digit.height <= HEIGHT_PX,
            ) == (True,) * 4
            assert digit.width >= 1
            assert digit.height >= 1
            if digit.is_whole:
                left, top, right, bottom = map(
                    int, (digit.x, digit.y, digit.x + digit.width, digit.y + digit.height)
                )
                contrasts.append(
                    float(page.pixels[top:bottom, left:right].max() - np.median(page.pixels))
                )
    assert min(contrasts) > 0.1
    assert np.median(contrasts) > 0.5


def test_pages_vary_as_pictures_do(pages: list[DrawnPage]) -> None:
    """From none to many digits, small and large, whole and cut off by the edge, near each other and
    apart.
    """
    counts = [len(page.digits) for page in pages]
    heights = [digit.height for page in pages for digit in page.digits if digit.is_whole]
    whole = [digit.is_whole for page in pages for digit in page.digits]
    assert min(counts) == 0
    assert max(counts) > 12
    assert min(heights) < 20
    assert max(heights) > 45
    assert 0.7 < np.mean(whole) < 0.99
    assert set(range(10)) == {digit.digit for page in pages for digit in page.digits}


def test_a_hand_keeps_its_pen_on_the_paper_between_digits(dataset: Dataset) -> None:
    """Of digits far apart, one part is left where every two are joined."""
    writer = _Writer(dataset.train_images, dataset.train_labels, np.random.default_rng(0))
    left, right = np.ones((30, 10), np.float32), np.ones((20, 12), np.float32)
    for ink, x, y in ((left, 20, 10), (right, 60, 15)):
        writer.ink[y : y + len(ink), x : x + ink.shape[1]] = ink
    assert 3 == cv2.connectedComponents((writer.ink > 0.5).astype(np.uint8))[0]
    writer._join((left, 20, 10), (right, 60, 15), 40)
    assert 2 == cv2.connectedComponents((writer.ink > 0.3).astype(np.uint8))[0]
    before = writer.ink.copy()
    writer._join((np.zeros((10, 10), np.float32), 0, 0), (right, 60, 15), 40)
    np.testing.assert_array_equal(before, writer.ink)


PLAIN = _Hand(32, 0, 0, 0, 0, 0, 0, small_zeros=False, is_elsewhere=False, is_plain=True, joins=0)


def test_a_plain_hand_writes_digits_as_they_were_given(dataset: Dataset) -> None:
    rng = np.random.default_rng(0)
    for image, label in zip(dataset.train_images[:20], dataset.train_labels[:20], strict=True):
        glyph, digit, lift = _Writer(image[np.newaxis], label[np.newaxis], rng)._write(
            "digit", PLAIN
        )
        given = crop(image)
        assert (digit, lift) == (label, 0)
        written = cv2.resize(glyph, given.shape[::-1], interpolation=cv2.INTER_AREA)
        assert np.corrcoef(written.ravel(), given.ravel())[0, 1] > 0.8


def test_hands_elsewhere_write_a_1_with_a_flag() -> None:
    """Where that of the dataset is a stroke."""
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 4:24, 13:15] = 255
    cv2.polylines(
        images[1], [np.array([[7, 5], [19, 5], [14, 23]])], isClosed=False, color=255, thickness=2
    )
    flags = {}
    for is_elsewhere in (False, True):
        writer, wide = _Writer(images, np.array([1, 7]), np.random.default_rng(0)), []
        hand = PLAIN._replace(is_plain=False, is_elsewhere=is_elsewhere)
        while len(wide) < 60:
            glyph, digit, _ = writer._write("digit", hand)
            if digit == 1:
                wide.append(glyph.shape[1] > 0.35 * len(glyph))
        flags[is_elsewhere] = np.mean(wide)
    assert flags[False] + 0.3 < flags[True]


@pytest.mark.parametrize("label", range(10))
def test_the_digits_of_a_page_are_what_was_given_to_write_with(
    dataset: Dataset, label: int
) -> None:
    written = {
        digit.digit
        for seed in range(3)
        for digit in draw(dataset, seed, np.full(len(dataset.train_images), label)).digits
    }
    assert {label} == written


@pytest.mark.parametrize("value", [0, 255])
def test_images_of_nothing_are_left_out(dataset: Dataset, value: int) -> None:
    """Blank ones write nothing; those that are all ink stay as they are."""
    images = np.full((5, 28, 28), value, np.uint8)
    digits = [
        digit
        for seed in range(5)
        for digit in draw_page(images, np.arange(5), np.random.default_rng(seed)).digits
    ]
    assert bool(digits) is (value > 0)


def test_the_images_given_stay_as_they_are(dataset: Dataset) -> None:
    before = dataset.train_images.copy()
    draw(dataset, 1)
    np.testing.assert_array_equal(before, dataset.train_images)


WHOLE = st.builds(
    Placed,
    digit=st.integers(0, 9),
    x=st.integers(0, 200).map(float),
    y=st.integers(0, 20).map(float),
    width=st.integers(2, 50).map(float),
    height=st.integers(5, 44).map(float),
    is_whole=st.just(True),
)


def away_from_center(digit: Placed) -> np.ndarray:
    """How far each cell is from a digit's centre, in cells."""
    rows, columns = np.indices(CELLS)
    return np.hypot(
        (digit.x + digit.width / 2) / 2 - columns - 0.5,
        (digit.y + digit.height / 2) / 4 - rows - 0.5,
    )


@settings(deadline=None)
@given(digit=WHOLE)
def test_the_cells_next_to_a_centre_are_1_and_all_others_less(digit: Placed) -> None:
    """At least one, for no centre is farther than that from all cells; and those farther off say
    less and less.
    """
    targets, away = draw_targets([digit]), away_from_center(digit)
    assert (np.float32, (*CELLS, 6)) == (targets.dtype, targets.shape)
    assert 1 <= (away < AT_CENTER - 1e-3).sum()
    assert (targets[..., 0][away < AT_CENTER - 1e-3] == 1).all()
    assert (targets[..., 0][away > AT_CENTER + 1e-3] < 1).all()
    assert (targets[..., 0][away < LENIENT - 1e-3] > 0.89).all()
    outside = (away > 1 + max(digit.width, digit.height) / 4) & (away > LENIENT)
    assert (targets[..., 0][outside] < 0.05).all()


@settings(deadline=None)
@given(digit=WHOLE)
def test_a_digit_that_is_cut_off_is_never_said_to_be_there_for_sure(digit: Placed) -> None:
    cut, whole = (draw_targets([digit._replace(is_whole=is_whole)]) for is_whole in (False, True))
    assert 0.89 < cut[..., 0].max() < 1
    at_center = whole[..., 0] == 1
    np.testing.assert_array_equal(whole[..., 0][~at_center], cut[..., 0][~at_center])
    np.testing.assert_array_equal(whole[..., 1:], cut[..., 1:])


def test_an_empty_page_asks_for_nothing() -> None:
    np.testing.assert_array_equal(np.zeros((*CELLS, 6)), draw_targets([]))


def answer_as(targets: np.ndarray) -> np.ndarray:
    """What a network that has learned everything would answer."""
    answer = np.zeros((*CELLS, 15), np.float32)
    share = targets[..., 0].clip(1e-4, 0.999)
    answer[..., 0] = np.log(share / (1 - share))
    np.put_along_axis(answer[..., 1:11], targets[..., 1:2].astype(int), 9, axis=2)
    answer[..., 11:] = targets[..., 2:]
    return answer


def read_back(digits: list[Placed]) -> list[tuple[int, ...]]:
    """The digits that the service reads out of the right answer: each with its box in whole pixels,
    from left to right.
    """
    found = [
        candidate
        for candidate in find_candidates(answer_as(draw_targets(digits)), 1.0)
        if candidate.presence > 0.995
    ]
    margin = PADDING_PX  # a page that is drawn has it within
    boxes = [
        (np.array(candidate.edges) + margin).round().astype(int).tolist() for candidate in found
    ]
    return sorted(
        (box[0], box[1], box[2] - box[0], box[3] - box[1], int(one.probabilities.argmax()))
        for box, one in zip(boxes, found, strict=True)
    )


def as_read(digits: list[Placed]) -> list[tuple[int, ...]]:
    return sorted(
        (int(digit.x), int(digit.y), int(digit.width), int(digit.height), digit.digit)
        for digit in digits
        if digit.is_whole
    )


@settings(deadline=None, max_examples=50)
@given(
    widths=st.lists(st.integers(8, 40), max_size=5),
    gaps=st.lists(st.integers(0, 8), min_size=5, max_size=5),
    heights=st.lists(st.integers(10, 50), min_size=5, max_size=5),
    tops=st.lists(st.integers(0, 14), min_size=5, max_size=5),
)
def test_the_right_answer_is_read_as_the_digits_of_the_page(
    widths: list[int], gaps: list[int], heights: list[int], tops: list[int]
) -> None:
    """What is learned and what is read are one language, to the pixel, where digits do not
    overlap.
    """
    digits, x = [], 0
    for place, (width, gap, height, top) in enumerate(
        zip(widths, gaps, heights, tops, strict=False)
    ):
        digits.append(Placed((3 * place + width) % 10, x + gap, top, width, height, True))
        x += gap + width
    assert as_read(digits) == read_back(digits)


def test_the_right_answer_to_a_drawn_page_is_read_as_its_digits(pages: list[DrawnPage]) -> None:
    apart = [page.digits for page in pages if is_apart(page.digits)]
    assert len(apart) > 20
    for digits in apart:
        assert as_read(digits) == read_back(digits)


def is_apart(digits: list[Placed]) -> bool:
    """No box overlaps another."""
    return not any(
        a.x < b.x + b.width
        and b.x < a.x + a.width
        and a.y < b.y + b.height
        and b.y < a.y + a.height
        for place, a in enumerate(digits)
        for b in digits[:place]
    )
