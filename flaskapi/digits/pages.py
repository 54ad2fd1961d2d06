"""The pages of a file that has several: a TIFF from a scanner or fax machine, or a PDF."""

import struct
from collections.abc import Iterator

from flaskapi.digits.convert import save_png
from flaskapi.digits.decode import ImageFile
from flaskapi.digits.encode import encode_png
from flaskapi.digits.foreign import decode_foreign
from flaskapi.digits.formats import HEAD_BYTES, foreign_kind
from flaskapi.errors import FlaskapiError, TooLargeError

MOST_PAGES = 1000
PAGE_SIDE_PX = 2400  # to which a PDF's page is drawn; A4 at 200 to the inch has 2,339
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ENTRY_BYTES = 12
_NEW_SUBFILE_TYPE = 254  # TIFF 6.0: bit 0 marks a smaller copy of another page, bit 2 a mask
_NO_PAGE = 0b101


def count_pages(data: bytes, *, max_pixels: int) -> int:
    """The number of pages in a file that `decode_image` has read; 1 for a format without pages."""
    if data[:4] in _ORDERS:
        return max(1, len(_find_pages(data)))
    if foreign_kind(data[:HEAD_BYTES]) == "PDF":
        return decode_foreign(data, "PDF", max_pixels=max_pixels, max_side_px=1, page=0).pages
    return 1


def split_pages(data: bytes, *, max_pixels: int) -> Iterator[bytes | FlaskapiError]:
    """Yield each page of a file as a PNG, or the reason why there is none. A file of one page is
    returned as it is.

    Pages after the first `MOST_PAGES` are one error.

    Raises:
        FlaskapiError: a PDF whose pages cannot be counted; raised before the first page.
    """
    count = count_pages(data, max_pixels=max_pixels)
    if count == 1:
        yield data
        return
    starts = _find_pages(data) if data[:4] in _ORDERS else []
    for place in range(min(count, MOST_PAGES)):
        try:
            if starts:
                yield _cut_tiff(data, starts[place], max_pixels)
            else:
                page = decode_foreign(
                    data, "PDF", max_pixels=max_pixels, max_side_px=PAGE_SIDE_PX, page=place + 1
                )
                yield save_png(page.image)
        except FlaskapiError as error:
            yield error
    if count > MOST_PAGES:
        yield TooLargeError(f"There are more than {MOST_PAGES:,} pages; the rest was not read.")


def _cut_tiff(data: bytes, start: int, max_pixels: int) -> bytes:
    """Encode the page whose directory begins at `start` as a PNG, within the bounds of any picture.

    The page becomes the first one in a copy of the file. The PNG is grey and upright, as the page
    is read.
    """
    data = data[:4] + struct.pack(_ORDERS[data[:4]] + "I", start) + data[8:]
    file = ImageFile(data, max_pixels=max_pixels)
    side_px = max(file.layout.width, file.layout.height)
    return encode_png(file.decode(side_px).views[0])


def _find_pages(data: bytes) -> list[int]:
    """Where the directories of a TIFF's pages begin, without reduced copies and masks; at most
    `MOST_PAGES` + 1 (TIFF 6.0, section 2).
    """
    order = _ORDERS[data[:4]]
    starts, seen = list[int](), set[int]()
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        while start and start not in seen and len(starts) <= MOST_PAGES:
            seen.add(start)
            (entries,) = struct.unpack_from(order + "H", data, start)
            tag, _, _, kind = struct.unpack_from(order + "HHII", data, start + 2)
            if tag != _NEW_SUBFILE_TYPE or not kind & _NO_PAGE:
                starts.append(start)
            (start,) = struct.unpack_from(order + "I", data, start + 2 + _ENTRY_BYTES * entries)
    except struct.error:  # it breaks off: what was found stays
        pass
    return starts
