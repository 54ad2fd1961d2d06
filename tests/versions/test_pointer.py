import json
import math
from pathlib import Path

import pytest

from flaskapi.errors import VersionError
from flaskapi.versions.pointer import (
    MODEL_FILE,
    REMEMBERED,
    Pointer,
    Served,
    ShadowCandidate,
    read_pointer,
    write_pointer,
)


def test_where_nothing_was_promoted_the_models_own_file_serves_as_generation_0(
    tmp_path: Path,
) -> None:
    assert (MODEL_FILE, 0) == read_pointer(tmp_path / "serving.json")[:2]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "serving.json"
    written = (
        Pointer()
        .promote("a", "ann")
        .promote("b", "ben")
        ._replace(shadow=ShadowCandidate("c", 0.1), broken={"d": "It raised."})
    )
    write_pointer(path, written)
    assert written == read_pointer(path)
    assert [path] == list(tmp_path.iterdir()), "nothing is left beside it"
    assert 0o644 == path.stat().st_mode & 0o777, "whoever serves may be another user"


def test_going_back_leads_through_what_served_and_generations_only_rise() -> None:
    pointer = Pointer().promote("a", "ann").promote("b", "ann")
    seen = [(pointer.version, pointer.generation)]
    while pointer.before:
        pointer = pointer.roll_back(pointer.before[0], "ben")
        seen.append((pointer.version, pointer.generation))
    assert [("b", 2), ("a", 3), (MODEL_FILE, 4)] == seen
    assert "ben" == pointer.by
    assert "" != pointer.changed_at


def test_a_version_that_broke_is_left_and_not_taken_again() -> None:
    before = Pointer().promote("a", "ann").promote("b", "ann")
    after = before.leave("b", "It raised.", Served("a", 1), "process 7")
    assert ("a", 3, {"b": "It raised."}) == (after.version, after.generation, after.broken)
    with pytest.raises(VersionError, match=r"b failed while it served: It raised\."):
        after.promote("b", "ann")
    assert "b" == after.forgive("b").promote("b", "ann").version


def test_what_was_promoted_in_the_meantime_stays_when_a_version_breaks() -> None:
    pointer = Pointer().promote("a", "ann").promote("b", "ann").promote("c", "ann")
    left = pointer.leave("b", "It raised.", Served("a", 1), "process 7")
    assert (pointer.version, pointer.generation, {"b": "It raised."}) == (
        left.version,
        left.generation,
        left.broken,
    )


def test_a_candidate_that_is_promoted_or_breaks_leaves_the_shadow() -> None:
    pointer = Pointer(shadow=ShadowCandidate("a", 0.5))
    assert pointer.promote("a", "ann").shadow is None
    assert ShadowCandidate("a", 0.5) == pointer.promote("b", "ann").shadow
    assert pointer.leave("a", "It raised.", Served(MODEL_FILE, 0), "process 7").shadow is None


def test_a_candidate_to_which_is_rolled_back_leaves_the_shadow() -> None:
    """It would answer beside itself."""
    pointer = (
        Pointer().promote("a", "ann").promote("b", "ann")._replace(shadow=ShadowCandidate("a", 0.5))
    )
    assert pointer.roll_back(Served("a", 1), "ann").shadow is None
    assert pointer.leave("b", "It raised.", Served("a", 1), "process 7").shadow is None
    assert ShadowCandidate("a", 0.5) == pointer.roll_back(Served(MODEL_FILE, 0), "ann").shadow


def test_the_file_does_not_grow_without_end() -> None:
    pointer = Pointer()
    for place in range(3 * REMEMBERED):
        pointer = pointer.promote(f"v{place % 2}", "ann")
    assert REMEMBERED == len(pointer.before)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": "a"}',
        json.dumps(Pointer()._asdict() | {"generation": "x"}),
        json.dumps(Pointer()._asdict() | {"generation": math.inf}),
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "serving.json").write_text(content)
    with pytest.raises(VersionError, match=r"serving\.json"):
        read_pointer(tmp_path / "serving.json")
