"""Recognize a file by its first bytes: formats that are read, and others that people send."""

import re
from typing import Literal

Foreign = Literal["HEIC", "AVIF", "PDF"]
FORMAT_NAMES = "PNG, JPEG, GIF, BMP, WebP, TIFF, HEIC, AVIF or PDF"
FOREIGN_TYPES: dict[Foreign, str] = {
    "HEIC": "image/heic",
    "AVIF": "image/avif",
    "PDF": "application/pdf",
}
# Of the formats that Pillow decodes here, how a file begins.
_SIGNATURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
}
IMAGE_HEAD_BYTES = 12
HEAD_BYTES = 512
# Stricter than those, to find images that were sent with nothing that says so.
_IMAGES = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM.{4}\0\0\0\0|RIFF.{4}WEBP|II\*\0|MM\0\*"
    rb"|.{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1|avi[fs])",
    re.DOTALL,
)
_BRAND = re.compile(rb"\0\0..ftyp(.{4})", re.DOTALL)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
# Of files whose main brand only says that they hold pictures; the compatible ones say how.
_ANY_BRANDS = {b"mif1", b"msf1"}
# In the order in which they are looked for; `<` and the like come last, for others begin so too.
_OTHERS = (
    (rb"(?s)\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg|<svg)", "SVG"),
    (rb"(?i)\s*<(?:!doctype html|html)", "a page in HTML"),
    (rb"\s*<\?xml", "XML"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
    (rb"8BPS", "a Photoshop document"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a", "JPEG XL"),
    (rb"\0\0\x01\0[^\0]\0", "an icon (ICO)"),
    (rb"AT&TFORM", "DjVu"),
    (rb"(?s)....ftyp(?:qt  |isom|mp4[12]|M4V |3gp|avc1)", "a film"),
    (rb"(?s)\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xba\xb3]", "a film"),
    (rb"(?s)ID3|RIFF....WAVE|OggS|fLaC", "sound"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old document of Microsoft Office"),
    (rb"\{\\rtf", "a text in RTF"),
    (rb"[IM][IM][+\0][+\0]", "a BigTIFF"),
    (rb"FUJIFILMCCD-RAW|IIRO|IIU\0", "a camera's raw file"),
    (rb"\x93NUMPY", "an array of NumPy"),
    (rb"\0\0[\x08-\x0e][\x01-\x04]", "an IDX file"),
    (rb"SQLite format 3\0", "a database"),
    (rb"(?s)\x7fELF|MZ.{2}", "a program"),
    (rb"\x89HDF\r\n", "an HDF5 file, as models are"),
    (rb"(?:data:image/|iVBORw0KGgo|/9j/)", "an image in base64"),
)


def is_image(head: bytes) -> bool:
    """Does an image that is read begin with these bytes? Twelve of them are enough."""
    return _IMAGES.match(head) is not None


def image_type(data: bytes) -> str | None:
    """The media type of a file of the formats that Pillow decodes here, by its first bytes.

    >>> image_type(b"GIF89a")
    'image/gif'
    """
    found = (name for signature, name in _SIGNATURES.items() if data.startswith(signature))
    name = next(found, None)
    # Sound and films are RIFF files too.
    return None if name == "image/webp" and not b"WEBP".startswith(data[8:12]) else name


def foreign_kind(head: bytes) -> Foreign | None:
    """Is this a format that is decoded in a separate process? Every file is tested; the first
    twelve bytes exclude all others.
    """
    if head[4:8] == b"ftyp" and (match := _BRAND.match(head)):
        brand = match[1]
        length = min(int.from_bytes(head[:4], "big"), HEAD_BYTES)
        compatible = {head[at : at + 4] for at in range(16, length - 3, 4)}
        if brand in (b"avif", b"avis") or (brand in _ANY_BRANDS and b"avif" in compatible):
            return "AVIF"
        if brand in _HEIC_BRANDS or (brand in _ANY_BRANDS and compatible & _HEIC_BRANDS):
            return "HEIC"
    return "PDF" if head.startswith(b"%PDF-") else None


def name_unread(head: bytes) -> str | None:
    """Name the format of a file that is not read, by its first `HEAD_BYTES`; None if it is
    unknown.
    """
    return next((name for pattern, name in _OTHERS if re.match(pattern, head)), None)
