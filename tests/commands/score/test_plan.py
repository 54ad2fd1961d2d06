"""The plan: every file once, always the same, and told by the names of its parts."""

import io
import zipfile

from archives import make_zip
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskapi.commands.score.places import ListedFile
from flaskapi.commands.score.plan import (
    PIECE_BYTES,
    TASK_BYTES,
    TASK_FILES,
    FinishedParts,
    plan_tasks,
)
from flaskapi.sources import Allowance
from flaskapi.sources.archives import read_file
from flaskapi.sources.zipped import Piece

NAMES = st.sampled_from(["a.png", "b.JPG", "c.zip", "d.tar.gz", "e.parquet", "f", "g.pdf"])
LISTINGS = st.lists(st.builds(ListedFile, NAMES, st.integers(0, 1 << 30)), max_size=40)


@settings(deadline=None)
@given(LISTINGS)
def test_each_file_is_in_one_task_or_in_all_its_pieces(listing: list[ListedFile]) -> None:
    tasks = [*plan_tasks(listing)]
    whole = [file for task in tasks if task.piece.number == 0 for file in task.files]
    assert sorted(listing) == sorted(whole)
    assert [*range(len(tasks))] == [task.number for task in tasks]
    for task in tasks:
        assert len(task.files) <= TASK_FILES
        assert len(task.files) == 1 or sum(file.size for file in task.files) <= TASK_BYTES
        if task.piece.of > 1:
            assert task.files[0].size <= task.piece.of * PIECE_BYTES
    assert tasks == [*plan_tasks(listing)]


@settings(deadline=None)
@given(LISTINGS, st.data())
def test_the_names_of_parts_tell_what_is_done(
    listing: list[ListedFile], data: st.DataObject
) -> None:
    """A task is done if its last part is there and all before it; else the first ones count."""
    for task in plan_tasks(listing):
        count = data.draw(st.integers(1, 5))
        names = [task.part_name(place, is_last=place == count - 1) for place in range(count)]
        there = data.draw(st.sets(st.sampled_from(names)))
        progress = FinishedParts([*there, ".part-00000000-00000-0.parquet.unfinished", "README"])
        assert (there == {*names}) == progress.is_done(task)
        first = next((place for place, name in enumerate(names) if name not in there), count)
        assert first == progress.count_parts(task)
        assert not progress.is_of_another(task)


def test_a_file_of_another_size_is_noticed() -> None:
    (before,), (after,) = (
        plan_tasks([ListedFile("7.png", 300)]),
        plan_tasks([ListedFile("7.png", 301)]),
    )
    assert FinishedParts([before.part_name(0, is_last=True)]).is_of_another(after)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=30), st.integers(1, 9))
def test_the_pieces_of_a_zip_are_the_whole(contents: list[bytes], count: int) -> None:
    """Each member is in one piece, and what is wrong with the archive is said once."""
    archive = make_zip([(str(place), content) for place, content in enumerate(contents)])
    assert archive.startswith(b"PK")
    for damaged in (archive, archive[:-1] + b"!!"):
        whole, pieces = (
            [outcome for number in range(of) for outcome in outcomes(damaged, Piece(number, of))]
            for of in (1, count)
        )
        assert sorted(whole) == sorted(pieces)


def outcomes(archive: bytes, piece: Piece) -> list[tuple[str, str]]:
    try:
        items = [*read_file(io.BytesIO(archive), "it.zip", Allowance(1000), piece)]
    except Exception as error:
        return [("it.zip", str(error))]
    return [(item.name, repr(item.content)) for item in items]


def test_a_piece_reads_no_member_of_another() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    content = make_zip(
        [(f"{place}.png", bytes(100_000)) for place in range(20)], zipfile.ZIP_STORED
    )
    file = Counting(content)
    items = [*read_file(file, "it.zip", Allowance(10**6), Piece(1, 4))]
    assert 5 == len(items)
    assert file.taken < len(content) / 2
