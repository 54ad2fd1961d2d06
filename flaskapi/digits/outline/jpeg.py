"""JPEG: segments and scans (ITU-T T.81, annex B)."""

import re
from typing import NamedTuple

import numpy as np

from flaskapi.digits.outline.exif import read_orientation
from flaskapi.digits.outline.parts import MOST_SEGMENTS, Outline, damaged, number, too_many

MOST_SCANS = 64  # encoders write about ten; each costs as much as all pixels
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_SCAN, _END, _TABLES, _RESTART = 0xDA, 0xD9, {0xC4, 0xCC, 0xDB, 0xDD}, 0xDD
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
_SEQUENTIAL, _PROGRESSIVE, _LOSSLESS = {0xC0, 0xC1}, 0xC2, 0xC3
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers that no length follows
_NAMED = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}  # they say which colours there are
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"


class _Segment(NamedTuple):
    marker: int
    start: int  # of its marker
    end: int


def read(data: bytes) -> Outline:
    """Read the segments of a JPEG. Of several pictures in it the first counts."""
    segments, scan = _head(data)
    frames = [segment for segment in segments if segment.marker in _FRAMES]
    if len(frames) != 1:
        raise damaged()
    frame = frames[0]
    height, width = number(">H", data, frame.start + 5), number(">H", data, frame.start + 7)
    sampled = _sampling(data, frame)
    is_sequential = frame.marker in _SEQUENTIAL
    is_one_scan = is_sequential and data[scan.start + 4] == len(sampled)
    if is_one_scan:
        end = data.find(b"\xff\xd9", scan.end) + 2
        end = end if end > 1 else len(data)
    else:
        end = _scans_end(data, scan)
    kept = [data[:2], *(data[one.start : one.end] for one in segments if _is_needed(data, one))]
    is_whole = sum(map(len, kept)) == scan.start
    return Outline(
        "JPEG",
        width,
        height,
        data[:end] if is_whole else b"".join((*kept, memoryview(data)[scan.start : end])),
        end,
        # All coefficients, of two bytes each, are kept from scan to scan.
        (0 if is_one_scan else 2 * _samples(width, height, sampled))
        + width * height * (len(sampled) if frame.marker == _LOSSLESS else 1)
        + len(data),
        read_orientation(*_metadata(data, segments)),
        is_simple=is_sequential or frame.marker == _PROGRESSIVE,
        is_linear=is_one_scan,
    )


def _head(data: bytes) -> tuple[list[_Segment], _Segment]:
    """The segments before the first scan, and that scan's own."""
    segments: list[_Segment] = []
    place = 2
    while match := _MARKER.search(data, place):
        marker, start = match[1][0], match.end() - 2
        if marker == _END:
            break
        place = match.end()
        if marker in _ALONE:
            continue
        segment = _segment(data, marker, start)
        if marker == _SCAN:
            return segments, segment
        segments.append(segment)
        if len(segments) > MOST_SEGMENTS:
            raise too_many("segments", MOST_SEGMENTS)
        place = segment.end
    raise damaged()


def _segment(data: bytes, marker: int, start: int) -> _Segment:
    length = number(">H", data, start + 2)
    if length < 2 or start + 2 + length > len(data):
        raise damaged()
    return _Segment(marker, start, start + 2 + length)


def _is_needed(data: bytes, segment: _Segment) -> bool:
    if name := _NAMED.get(segment.marker):
        return data.startswith(name, segment.start + 4)
    return segment.marker in _TABLES or segment.marker in _FRAMES


def _sampling(data: bytes, frame: _Segment) -> list[tuple[int, int]]:
    """The sampling factors of each component, across and down."""
    count = data[frame.start + 9]
    if frame.end - frame.start != 10 + 3 * count or not 1 <= count <= 4:
        raise damaged()
    factors = [data[frame.start + 11 + 3 * place] for place in range(count)]
    sampled = [(factor >> 4, factor & 15) for factor in factors]
    if not all(1 <= across <= 4 and 1 <= down <= 4 for across, down in sampled):
        raise damaged()
    return sampled


def _samples(width: int, height: int, sampled: list[tuple[int, int]]) -> int:
    """The number of samples of all components, in whole units."""
    most_across = max(across for across, _ in sampled)
    most_down = max(down for _, down in sampled)
    units = -(-width // (8 * most_across)) * -(-height // (8 * most_down))
    return units * 64 * sum(across * down for across, down in sampled)


def _scans_end(data: bytes, scan: _Segment) -> int:
    """Find the end of the picture, scan by scan."""
    values = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(values[scan.end : -1] == 0xFF) + scan.end
    following = values[places + 1]
    is_marker = (following != 0) & (following != 0xFF) & ((following & 0xF8) != 0xD0)
    places = places[is_marker]
    scans = segments = 1
    place = scan.end
    while (nearest := int(np.searchsorted(places, place))) < len(places):
        start = int(places[nearest])
        marker = data[start + 1]
        if marker == _END:
            return start + 2
        place = start + 2 if marker in _ALONE else _segment(data, marker, start).end
        segments, scans = segments + 1, scans + (marker == _SCAN)
        if scans > MOST_SCANS:
            raise too_many("scans", MOST_SCANS)
        if segments > MOST_SEGMENTS:
            raise too_many("segments", MOST_SEGMENTS)
    return len(data)


def _metadata(data: bytes, segments: list[_Segment]) -> tuple[bytes | None, bytes | None]:
    exif = xmp = None
    for marker, start, end in segments:
        if marker == 0xE1 and data.startswith(_EXIF, start + 4):
            exif = exif or data[start + 4 : end]
        elif marker == 0xE1 and data.startswith(_XMP, start + 4):
            xmp = xmp or data[start + 4 : end]
    return exif, xmp
