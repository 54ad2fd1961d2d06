"""What a file is, by its first bytes: formats that are read, and others that people send."""

import re

_IMAGES = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM.{4}\0\0\0\0|RIFF.{4}WEBP|II\*\0|MM\0\*"
    rb"|.{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1|avi[fs])",
    re.DOTALL,
)
IMAGE_HEAD_BYTES = 12


def is_image(head: bytes) -> bool:
    """Does an image that is read begin with these bytes? Twelve of them are enough."""
    return _IMAGES.match(head) is not None
