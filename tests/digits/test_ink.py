import functools

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from fakes import draw_digit

from flaskapi.digits import Digit, Image
from flaskapi.digits.ground import FAINTEST
from flaskapi.digits.ink import find_ink
from flaskapi.digits.normalize import normalize_digit, normalize_looks
from flaskapi.digits.reduce import WORKING_SIDE_PX
from flaskapi.errors import NoDigitFoundError

SIDE = 280
DRAWN = [draw_digit(digit, side=SIDE) for digit in range(10)]
ACROSS = np.broadcast_to(np.arange(SIDE) / SIDE, (SIDE, SIDE))
FALLS = {"from the left": ACROSS, "from above": ACROSS.T, "from a corner": (ACROSS + ACROSS.T) / 2}
EVERY_DIGIT = pytest.mark.parametrize("image", DRAWN, ids=range(10))


def ink_of(image: Image) -> Digit:
    """What is found in a picture that several tests compare with, looked at once."""
    return _ink_of(image.tobytes(), image.shape)


@functools.cache
def _ink_of(data: bytes, shape: tuple[int, int]) -> Digit:
    return find_ink(np.frombuffer(data, np.uint8).reshape(shape)).pixels


def assert_alike(expected: Digit, actual: Digit) -> None:
    """As large, to a pixel or two at the soft edge, and as much of it black."""
    assert expected.shape == pytest.approx(actual.shape, abs=3)
    assert int((expected > 0.5).sum()) == pytest.approx(int((actual > 0.5).sum()), rel=0.08)


@EVERY_DIGIT
def test_what_comes_out_is_the_ink_and_nothing_around_it(image: Image) -> None:
    """`float32` in [0, 1], 1 the ink, cropped: the whole of the ink, to a pixel, with some of it on
    each edge.
    """
    ink = find_ink(image).pixels
    assert np.float32 == ink.dtype
    assert (0, 1) == (float(ink.min()), float(ink.max()))
    assert min(edge.max() for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1])) > 0
    *_, width, height = cv2.boundingRect((image < 128).astype(np.uint8))
    scale = WORKING_SIDE_PX / SIDE
    assert ink.shape == pytest.approx((height * scale, width * scale), abs=3)
    assert int((image < 128).sum()) * scale**2 == pytest.approx(int((ink > 0.5).sum()), rel=0.05)


@EVERY_DIGIT
def test_polarity_does_not_matter(image: Image) -> None:
    np.testing.assert_array_equal(find_ink(image).pixels, find_ink(255 - image).pixels)


@EVERY_DIGIT
@pytest.mark.parametrize("contrast", [20, 60, 150])
def test_faint_ink_is_as_black_as_any(image: Image, contrast: int) -> None:
    faint = (220 - (255 - image) * (contrast / 255)).astype(np.uint8)
    assert_alike(ink_of(image), find_ink(faint).pixels)


@EVERY_DIGIT
def test_specks_are_ignored(image: Image) -> None:
    dirty = image.copy()
    for center in ((20, 20), (30, 250), (250, 40), (240, 240), (15, 140)):
        cv2.circle(dirty, center, 4, 0, -1)
    np.testing.assert_allclose(ink_of(image), find_ink(dirty).pixels, atol=0.03)


@EVERY_DIGIT
@pytest.mark.parametrize(
    "sides", ["left", "left top", "left right", "left right top", "left right top bottom"]
)
@pytest.mark.parametrize("width", [1, 6])
def test_lines_along_the_border_are_ignored(image: Image, sides: str, width: int) -> None:
    """The edge of the paper, of a table's cell, of a window: dark on one side of the picture or on
    all of them.
    """
    edges = {
        "left": np.s_[:, :width],
        "right": np.s_[:, -width:],
        "top": np.s_[:width],
        "bottom": np.s_[-width:],
    }
    lined = image.copy()
    for side in sides.split():
        lined[edges[side]] = 0
    np.testing.assert_allclose(ink_of(image), find_ink(lined).pixels, atol=0.05)


@EVERY_DIGIT
@pytest.mark.parametrize("side", [60, 100])
@pytest.mark.parametrize("every", [150, 260])
def test_rules_across_the_page_are_not_taken_for_a_small_digit(
    image: Image, side: int, every: int
) -> None:
    page = np.full((750, 1000), 255, np.uint8)
    for row in range(every // 2 + 60, 750, every):
        page[row : row + 3] = 90
    top = next(row for row in range(every // 2 + 60, 750, every) if row > 300) - side - 20
    page[top : top + side, 450 : 450 + side] = cv2.resize(
        image, (side, side), interpolation=cv2.INTER_AREA
    )
    expected, found = ink_of(image), find_ink(page).pixels
    assert found.shape[0] / found.shape[1] == pytest.approx(
        expected.shape[0] / expected.shape[1], rel=0.25
    )


@EVERY_DIGIT
@pytest.mark.parametrize("gap", [0, 40], ids=["whole", "broken"])
def test_a_grid_around_the_digit_is_ignored(image: Image, gap: int) -> None:
    """Thin lines that run off the picture, some of them not from border to border."""
    lined = np.pad(image, 30, constant_values=255)
    for line in (
        np.s_[gap:, 20:23],
        np.s_[: 340 - gap, 318:321],
        np.s_[18:21, gap:],
        np.s_[322:325, : 340 - gap],
    ):
        lined[line] = 60
    expected = ink_of(np.pad(image, 30, constant_values=255))
    np.testing.assert_allclose(expected, find_ink(lined).pixels, atol=0.1)


@EVERY_DIGIT
@pytest.mark.parametrize("light", ["from the left", "from above", "from a corner"])
@pytest.mark.parametrize("paper", [255, 120])
@pytest.mark.parametrize("contrast", [1, 0.5])
def test_a_shadow_over_the_paper_is_ignored(
    image: Image, light: str, paper: int, contrast: float
) -> None:
    """Also where more of the picture lies in shadow than is ink: it is not taken for it."""
    fall = FALLS[light]
    lit = (1 - contrast * (1 - image / 255)) * paper * (1 - 0.7 * fall)
    assert_alike(ink_of(image), find_ink(lit.astype(np.uint8)).pixels)


@pytest.mark.parametrize("side", [1, 2, 28, 64, 65, 300, 1000])
@pytest.mark.parametrize("grey", [0, 1, 127, 128, 255])
def test_a_uniform_picture_has_no_digit(grey: int, side: int) -> None:
    with pytest.raises(NoDigitFoundError, match="blank"):
        find_ink(np.full((side, side), grey, np.uint8))


@pytest.mark.parametrize("side", [28, 64, 100, 280, 1000])
@pytest.mark.parametrize("deviation", [1, 3, 6])
def test_grain_of_the_paper_is_no_digit(side: int, deviation: int) -> None:
    grain = np.random.default_rng(0).normal(0, deviation, (side, side))
    with pytest.raises(NoDigitFoundError):
        find_ink((200 + grain).astype(np.uint8))


@pytest.mark.parametrize("side", [100, 192, 280])
@pytest.mark.parametrize("blur", [0.1, 1, 3])
@pytest.mark.parametrize("deviation", [6, 12])
def test_coarse_and_strong_grain_is_no_digit(side: int, blur: float, deviation: int) -> None:
    grain = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, (side, side)), (0, 0), blur)
    with pytest.raises(NoDigitFoundError):
        find_ink(np.clip(200 + deviation * grain / grain.std(), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("fall", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("angle", [0, 0.7, 1.6, 2.8, 4.0])
@pytest.mark.parametrize("deviation", [0.5, 1, 2, 4])
def test_an_empty_page_under_a_shadow_is_no_digit(
    fall: float, angle: float, deviation: float
) -> None:
    y, x = np.mgrid[:300, :400] / 400
    light = 200 * (1 - fall * (x * np.cos(angle) + y * np.sin(angle)) / 1.5)
    grain = np.random.default_rng(2).normal(0, deviation, light.shape)
    with pytest.raises(NoDigitFoundError):
        find_ink(np.clip(light + grain, 0, 255).astype(np.uint8))


def test_ink_fainter_than_the_faintest_is_no_digit() -> None:
    shades = [
        np.where(DRAWN[3] < 128, 200 - FAINTEST + brighter, 200).astype(np.uint8)
        for brighter in (1, -3)
    ]
    with pytest.raises(NoDigitFoundError):
        find_ink(shades[0])
    assert find_ink(shades[1]).pixels.size


@pytest.mark.parametrize(
    "shape", [(1, 28), (1, 300), (300, 1), (1, 1024), (1024, 2), (3, 1024), (1024, 1024)]
)
def test_a_picture_of_any_shape_is_looked_at(shape: tuple[int, int]) -> None:
    image = np.full(shape, 255, np.uint8)
    image[shape[0] // 3 : 2 * shape[0] // 3 + 1, shape[1] // 3 : 2 * shape[1] // 3 + 1] = 0
    ink = ink_of(image)
    assert (1, 2) == (float(ink.max()), ink.ndim)


@functools.cache
def light_and_grain() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Of a page, 750 high and 1000 wide, that is darker to one corner."""
    light = 200 - 60 * (np.mgrid[:750, :1000].sum(axis=0) / 1750)
    grain = np.random.default_rng(0).normal(0, 2, light.shape)
    return light.astype(np.float32), grain.astype(np.float32)


@EVERY_DIGIT
@pytest.mark.parametrize("share", [0.3, 0.1, 0.05])
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.3, 0.7)], ids=["in the middle", "aside"])
def test_a_digit_of_any_size_is_found_under_a_shadow(
    image: Image, share: float, place: tuple[float, float]
) -> None:
    """A hundredth of the paper and less, where the shadow changes the picture more than the ink
    does.
    """
    side = round(1000 * share)
    page = np.full((750, 1000), 255, np.float32)
    x, y = (round(place[0] * 1000 - side / 2), round(place[1] * 750 - side / 2))
    page[y : y + side, x : x + side] = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    light, grain = light_and_grain()
    ink = find_ink((light * (0.4 + 0.6 * page / 255) + grain).astype(np.uint8)).pixels
    expected = ink_of(image)
    assert ink.shape[0] / ink.shape[1] == pytest.approx(
        expected.shape[0] / expected.shape[1], rel=0.2
    )
    scaled = cv2.resize(ink, expected.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.corrcoef(scaled.ravel(), expected.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("side", [28, 112, 192])
def test_on_an_even_ground_the_strokes_stay_where_the_pen_was_pressed_less(side: int) -> None:
    """Also where all of it is faint: what is left of a 9 is a 1."""
    image = draw_digit(0, side=side, thickness=side // 14, dark_on_light=False) // 2
    fading = (image * np.linspace(1, 0.25, side)[:, np.newaxis]).astype(np.uint8)
    assert ink_of(image).shape == pytest.approx(
        find_ink(fading).pixels.shape, abs=max(1, side // 40)
    )


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("is_dark", [True, False])
@pytest.mark.parametrize(
    "light",
    [(0.5, 1.0, 0.5, 1.0), (1.0, 1.0, 0.4, 0.4), (0.3, 0.6, 0.5, 1.0)],
    ids=["aside", "below", "around"],
)
def test_a_small_picture_is_read_in_light_from_a_side(
    digit: int, is_dark: bool, light: tuple[float, ...]
) -> None:
    """Each corner as light as that."""
    image = draw_digit(digit, side=28, thickness=2, dark_on_light=is_dark)
    down, right = np.mgrid[:28, :28] / 27
    shade = (1 - down) * ((1 - right) * light[0] + right * light[1]) + down * (
        (1 - right) * light[2] + right * light[3]
    )
    lit = ((0.2 + 0.8 * image / 255) * shade * 220).astype(np.uint8)
    assert ink_of(image).shape == pytest.approx(find_ink(lit).pixels.shape, abs=2)


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("is_dark", [True, False])
@pytest.mark.parametrize("is_level", [True, False])
def test_a_small_picture_is_read_half_in_a_shadow(
    digit: int, is_dark: bool, is_level: bool
) -> None:
    image = draw_digit(digit, side=28, thickness=2, dark_on_light=is_dark)
    shade = np.broadcast_to(0.4 + 0.6 / (1 + np.exp((np.arange(28) - 14) / 1.5)), (28, 28))
    lit = ((0.2 + 0.8 * image / 255) * (shade.T if is_level else shade) * 220).astype(np.uint8)
    assert ink_of(image).shape == pytest.approx(find_ink(lit).pixels.shape, abs=2)


@pytest.mark.parametrize("digit", range(10))
def test_a_bold_digit_cut_out_closely_is_not_taken_for_light_from_a_side(digit: int) -> None:
    image = draw_digit(digit, side=28, thickness=4, dark_on_light=False)
    x, y, width, height = cv2.boundingRect(image)
    close = image[y : y + height, x : x + width]
    assert find_ink(close).pixels.shape == pytest.approx(close.shape, abs=1)


@EVERY_DIGIT
@pytest.mark.parametrize("shape", ["a box", "a box askew", "a circle", "two boxes"])
@pytest.mark.parametrize("pen", [2, 8])
def test_what_is_drawn_around_the_digit_is_ignored(image: Image, shape: str, pen: int) -> None:
    page = np.pad(image, 120, constant_values=255)
    framed, middle = page.copy(), (260, 260)
    if shape == "a circle":
        cv2.circle(framed, middle, 185, 0, pen, cv2.LINE_AA)
    for side in {"a box": (300,), "two boxes": (300, 340)}.get(shape, ()):
        cv2.rectangle(
            framed, (260 - side // 2, 260 - side // 2), (260 + side // 2, 260 + side // 2), 0, pen
        )
    if shape == "a box askew":
        cv2.polylines(
            framed,
            [cv2.boxPoints((middle, (310, 300), 8)).astype(np.int32)],
            True,
            0,
            pen,
            cv2.LINE_AA,
        )
    assert not np.array_equal(framed, page)
    np.testing.assert_allclose(ink_of(page), find_ink(framed).pixels, atol=0.03)


def test_a_zero_with_a_dot_in_it_is_no_box_with_a_digit_in_it() -> None:
    dotted = DRAWN[0].copy()
    cv2.circle(dotted, (SIDE // 2, SIDE // 2), 14, 0, -1)
    assert find_ink(DRAWN[0]).pixels.shape == find_ink(dotted).pixels.shape


def test_a_small_picture_loses_its_frame() -> None:
    image = draw_digit(2, side=28, thickness=2, dark_on_light=False)
    framed = image.copy()
    framed[0], framed[:, 0] = 255, 255
    np.testing.assert_array_equal(ink_of(image), find_ink(framed).pixels)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_what_is_as_large_as_the_digit_is_not_left_out(count: int) -> None:
    """One of several digits is not the answer to a picture of several."""
    row = np.hstack([draw_digit(digit, side=100) for digit in (3, 8, 2, 5, 6)[:count]])
    page = np.pad(row, 100, constant_values=255)
    height, width = find_ink(page).pixels.shape
    assert width / height == pytest.approx((100 * count - 40) / 60, rel=0.2)


NOTICED = {
    "nothing": (draw_digit(3, dark_on_light=False), ()),
    "dark ink": (draw_digit(3), ("inverted",)),
    "faint ink": (
        (200 + 30 * (draw_digit(3, dark_on_light=False) / 255)).astype(np.uint8),
        ("low-contrast",),
    ),
    "ink to the edge": (draw_digit(3, dark_on_light=False)[:150], ("touches-border",)),
    "few pixels": (draw_digit(3, side=20, dark_on_light=False), ("small",)),
    "few pixels in a large picture": (
        np.pad(draw_digit(3, side=20, dark_on_light=False), 400),
        ("small",),
    ),
    "a digit of some size in a large picture": (
        np.pad(draw_digit(3, side=60, dark_on_light=False), 400),
        (),
    ),
}


@pytest.mark.parametrize(("image", "noticed"), NOTICED.values(), ids=NOTICED.keys())
def test_what_may_surprise_is_noticed(image: Image, noticed: tuple[str, ...]) -> None:
    assert noticed == find_ink(image).noticed


@pytest.mark.parametrize("period", [9, 24, 50])
@pytest.mark.parametrize("upright", [True, False])
def test_stripes_are_no_digit(period: int, upright: bool) -> None:
    """Each of them would be a 1."""
    stripes = np.tile(127 + 100 * np.sin(2 * np.pi * np.arange(200) / period), (200, 1)).astype(
        np.uint8
    )
    with pytest.raises(NoDigitFoundError, match=r"pattern|lines|stands out"):
        find_ink(stripes if upright else stripes.T)


@pytest.mark.parametrize("digit", [2, 4, 7])
@pytest.mark.parametrize("bend", [10, 30])
def test_a_thin_pen_is_told_from_fainter_squares_under_it(digit: int, bend: int) -> None:
    """Where squares and digit hang together, and the paper does not lie flat."""
    side = 960
    written = draw_digit(digit, side=side, thickness=6)
    across, down = np.meshgrid(*[np.arange(side, dtype=np.float32)] * 2)
    along = bend * np.sin(np.pi * across / side), bend * np.sin(np.pi * down / side)
    is_line = ((down + along[0]) % 80 < 9) | ((across + along[1]) % 80 < 9)
    squared = np.where(written < 128, 108.0, np.where(is_line, 146.0, 185.0))
    noisy = cv2.GaussianBlur(squared, (0, 0), 1.5) + np.random.default_rng(1).normal(
        0, 3, squared.shape
    )
    looks = normalize_looks(np.clip(noisy, 0, 255).astype(np.uint8)).likely
    plain = normalize_digit(written).pixels
    assert min(float(np.abs(look.pixels - plain).mean()) for look in looks) < 0.06


def test_the_side_of_a_cell_is_no_certain_1() -> None:
    cell, one = np.full((92, 264), 255, np.uint8), np.full((92, 264), 255, np.uint8)
    cell[:50, 262:] = 40
    one[20:70, 130:133] = 40
    close = np.ascontiguousarray(one[20:70, 129:134])  # cut out closely
    assert [True, False, False] == [find_ink(image).is_doubted for image in (cell, one, close)]


@pytest.mark.parametrize("slash", [20, 250], ids=["dark", "light"])
@pytest.mark.parametrize("digit", [2, 3, 8])
def test_a_slash_beside_a_fainter_digit_is_doubted(digit: int, slash: int) -> None:
    """Also where it is lighter than the paper, and the digit darker."""
    page = np.full((280, 380), 150, np.uint8)
    page[:, :280][draw_digit(digit, thickness=12) < 128] = 110
    assert not find_ink(page).is_doubted, "a digit alone is none beside another"
    cv2.line(page, (310, 250), (350, 30), slash, 16)
    found = find_ink(page)
    assert found.is_doubted or "several" in found.noticed


def test_a_slash_beside_a_faint_digit_in_a_small_picture_is_noticed() -> None:
    page = np.zeros((28, 37), np.uint8)
    page[:, :28] = cv2.resize(255 - draw_digit(8), (28, 28), interpolation=cv2.INTER_AREA) // 3
    cv2.line(page, (30, 25), (34, 2), 204, 1)
    assert "several" in find_ink(page).noticed


@EVERY_DIGIT
def test_a_drawing_keeps_strokes_that_a_shadow_made_paler(image: Image) -> None:
    """On a ground so even that nothing else can be in it."""
    drawn = 255 - image
    shaded = drawn.copy()
    shaded[:, :140] = shaded[:, :140] * 0.3
    np.testing.assert_allclose(find_ink(drawn).box, find_ink(shaded).box, atol=4)


@pytest.mark.parametrize("digit", [0, 1, 3, 4, 6, 7, 8, 9])
@pytest.mark.parametrize("side", [40, 100, 250])
@pytest.mark.parametrize("is_light", [False, True])
def test_a_digit_cut_out_to_its_ink_is_whole(digit: int, side: int, is_light: bool) -> None:
    """Bold as it is, so that ink may have more of the picture than paper; of a 2 and a 5 as bold
    the corners are ink too.
    """
    image = DRAWN[digit]
    x, y, width, height = cv2.boundingRect((image < 128).astype(np.uint8))
    scale = side / max(width, height)
    tight = cv2.resize(
        image[y : y + height, x : x + width], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )
    tight = np.where(tight < 128, 0, 255).astype(np.uint8)
    looks = normalize_looks(255 - tight if is_light else tight).likely
    assert all(len(look.noticed) == len(set(look.noticed)) for look in looks)
    plain = normalize_digit(image).pixels
    assert min(float(np.abs(look.pixels - plain).mean()) for look in looks) < 0.08


@EVERY_DIGIT
def test_a_dark_frame_is_not_taken_for_the_faint_digit_in_it(image: Image) -> None:
    """Two lines of it, which hang together and reach all sides."""
    digit = cv2.resize(image, (84, 84), interpolation=cv2.INTER_AREA)
    cell = np.full((100, 100), 255, np.uint8)
    cell[8:92, 8:92] = 255 - (255 - digit) // 3
    cv2.line(cell, (0, 3), (99, 5), 30, 3)
    cv2.line(cell, (94, 0), (96, 99), 30, 3)
    assert max(look.size_px for look in normalize_looks(cell).likely) < 60
