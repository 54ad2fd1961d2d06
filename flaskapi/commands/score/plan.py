"""The work in tasks, always the same for the same listing, and which of it is done."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flaskapi.commands.score.places import MANY, ListedFile
from flaskapi.sources.paths import SUFFIXES
from flaskapi.sources.zipped import WHOLE, Piece

ROWS = 4096  # of a part; all but the last of a task have so many
TASK_FILES, TASK_BYTES = ROWS, 1 << 28  # of images that are files, the smaller of the two
LARGE_BYTES = 1 << 23  # a file without an image's name that is no image
PIECE_BYTES = 1 << 27  # of a file that is read in pieces
_CUT = {".zip", ".parquet"}
_PART = re.compile(r"part-(\d{8})-(\d{5})-([0-9a-f]{8})(-end)?\.parquet")


class ScoreTask(NamedTuple):
    """What one process reads at a time: files with one image each, or a file with many.

    `digest` is that of the names and sizes.
    """

    number: int
    files: tuple[ListedFile, ...]
    piece: Piece
    digest: str

    @property
    def is_of_many(self) -> bool:
        """Is it one file with many images, which is opened and not read as a whole?"""
        return len(self.files) == 1 and is_of_many(self.files[0])

    def part_name(self, place: int, *, is_last: bool) -> str:
        """The name of the file with the rows of a part; it tells all that a later run must know."""
        return f"part-{self.number:08}-{place:05}-{self.digest}{'-end' if is_last else ''}.parquet"


class FinishedParts:
    """Which parts of each task are there, by their names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parts, self._ends = dict[int, int](), dict[int, int]()  # a bit for each part
        self._digests = dict[int, str]()
        for name in names:
            if found := _PART.fullmatch(name):
                number, place = int(found[1]), int(found[2])
                self._parts[number] = self._parts.get(number, 0) | 1 << place
                self._digests[number] = found[3]
                if found[4]:
                    self._ends[number] = place

    def is_of_another(self, task: ScoreTask) -> bool:
        """Were parts of this number written for other files?"""
        return self._digests.get(task.number, task.digest) != task.digest

    def count_parts(self, task: ScoreTask) -> int:
        """How many of the first parts are there."""
        bits = self._parts.get(task.number, 0)
        return (~bits & (bits + 1)).bit_length() - 1

    def is_done(self, task: ScoreTask) -> bool:
        """Is every part there, up to the last?"""
        return self.count_parts(task) == self._ends.get(task.number, -2) + 1


def is_of_many(file: ListedFile) -> bool:
    """Is this a file of many images, by its name, or by its size if that is not an image's?"""
    return file.suffix in MANY or (file.suffix not in SUFFIXES and file.size > LARGE_BYTES)


def plan_tasks(files: Iterable[ListedFile]) -> Iterator[ScoreTask]:
    """Put the files of a listing together into tasks, and cut the largest into pieces."""
    number, group, size = 0, list[ListedFile](), 0

    def task(files: list[ListedFile], piece: Piece = WHOLE) -> ScoreTask:
        nonlocal number
        number += 1
        return ScoreTask(number - 1, tuple(files), piece, _digest(files, piece))

    for file in files:
        if is_of_many(file):
            count = max(1, -(-file.size // PIECE_BYTES)) if file.suffix in _CUT else 1
            for place in range(count):
                yield task([file], Piece(place, count))
            continue
        if group and (len(group) >= TASK_FILES or size + file.size > TASK_BYTES):
            yield task(group)
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield task(group)


def _digest(files: Iterable[ListedFile], piece: Piece) -> str:
    hashed = hashlib.sha256(repr(tuple(piece)).encode())
    for file in files:
        hashed.update(f"\0{file.path}\0{file.size}".encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()[:8]
