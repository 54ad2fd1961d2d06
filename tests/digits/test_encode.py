"""What is drawn for a person to look at decodes to what it was made of."""

import base64
import io

import numpy as np
import numpy.typing as npt
import pytest
from fakes import draw_digit
from PIL import Image as Pillow

from flaskapi.digits.encode import contact_sheet, data_url, encode_boxes, encode_png

DRAWN = draw_digit(7, side=28, dark_on_light=False)


def decode(png: bytes) -> npt.NDArray[np.uint8]:
    image = Pillow.open(io.BytesIO(png))
    assert ("PNG", "L") == (image.format, image.mode)
    return np.asarray(image)


@pytest.mark.parametrize(
    "pixels",
    [DRAWN, DRAWN[:20, :9], DRAWN.astype(np.float32) / 255],
    ids=["uint8", "no square", "float32"],
)
def test_a_picture_comes_back_as_it_was(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
) -> None:
    np.testing.assert_array_equal(
        decode(encode_png(pixels)), DRAWN[: pixels.shape[0], : pixels.shape[1]]
    )


def test_a_grey_between_two_of_a_png_becomes_the_nearer() -> None:
    assert [[0, 1, 128, 255]] == decode(
        encode_png(np.array([[0.4, 0.6, 127.6, 254.9]], np.float32) / 255)
    ).tolist()


def test_a_data_url_holds_the_file() -> None:
    kind, _, text = data_url(encode_png(DRAWN)).partition(",")
    assert ("data:image/png;base64", encode_png(DRAWN)) == (
        kind,
        base64.b64decode(text, validate=True),
    )


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_a_contact_sheet_is_as_wide_as_its_columns_and_grows_by_rows(count: int, rows: int) -> None:
    one = decode(contact_sheet([(encode_png(DRAWN), "")], columns=1))
    sheet = decode(contact_sheet([(encode_png(DRAWN), "")] * count, columns=3))
    assert (rows * one.shape[0], 3 * one.shape[1]) == sheet.shape
    np.testing.assert_array_equal(sheet[-one.shape[0] :, : one.shape[1]], one)


def test_a_contact_sheet_shows_each_picture_twice_as_large_dark_on_light_over_its_caption() -> None:
    bare, captioned = (
        decode(contact_sheet([(encode_png(DRAWN), caption)], columns=1))
        for caption in ("", "7 > 1")
    )
    enlarged = 255 - DRAWN.repeat(2, axis=0).repeat(2, axis=1)
    places = np.lib.stride_tricks.sliding_window_view(bare, enlarged.shape)
    assert (places == enlarged).all((2, 3)).any()
    ink, below = np.nonzero(bare < 255)[0].max(), np.nonzero(bare != captioned)[0]
    assert below.size > 0
    assert below.min() > ink


def test_boxes_are_drawn_in_red_on_a_picture_that_is_never_enlarged() -> None:
    white = np.full((60, 100), 255, np.uint8)
    for side, scale in ((50, 2), (100, 1), (1000, 1)):
        drawn = np.asarray(
            Pillow.open(
                io.BytesIO(encode_boxes(white, [(20, 10, 40, 30)], max_side_px=side)),
                formats=["PNG"],
            )
        )
        assert (60 // scale, 100 // scale, 3) == drawn.shape
        rows, columns = np.nonzero(drawn[:, :, 0].astype(int) - drawn[:, :, 1] > 100)
        assert [20, 60, 10, 40] == [
            scale * int(edge) for edge in (columns.min(), columns.max(), rows.min(), rows.max())
        ]
