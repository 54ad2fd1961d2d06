"""What a process does when something else is promoted, cannot be loaded, or breaks while it
serves.
"""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fakes import FixedClassifier
from waiting import until

from flaskapi.errors import ModelUnavailableError
from flaskapi.submissions.identifiers import new_id
from flaskapi.versions import follow
from flaskapi.versions.pointer import (
    MODEL_FILE,
    Pointer,
    Served,
    ShadowCandidate,
    read_pointer,
    write_pointer,
)
from flaskapi.versions.processes import Processes
from flaskapi.versions.registry import Registry
from flaskapi.versions.shadow import Shadowed
from flaskapi.versions.switch import Switch

Floats = npt.NDArray[np.float32]
BATCH = np.zeros((1, 28, 28, 1), np.float32)


class Version(FixedClassifier):
    """Answers the digit that its name ends in. Once `broken` is set it raises that, or answers
    it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(int(name[-1]))
        self.version = name
        self.broken: Exception | float | None = None

    def probabilities(self, batch: Floats) -> Floats:
        if isinstance(self.broken, Exception):
            raise self.broken
        return super().probabilities(batch) * (1 if self.broken is None else self.broken)


class Place:
    """A registry of versions that are not there: only their pointer is. MODEL_PATH answers 0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded: list[Version] = []
        self.unloadable: set[str] = set()
        self.registry = Registry(folder / "versions", folder / "none.h5", folder / "cache")
        for name in ("v1", "v2", "v3"):
            (self.registry.path / name).mkdir(parents=True)
            (self.registry.path / name / "my_model.h5").touch()

    def load(self, name: str) -> Version:
        if name in self.unloadable:
            raise ModelUnavailableError(f"{name} is damaged.")
        self.loaded.append(Version("m0" if name == MODEL_FILE else name))
        return self.loaded[-1]

    def promote(self, name: str) -> Pointer:
        pointer = self.pointer.promote(name, "ann")
        write_pointer(self.registry.path / "serving.json", pointer)
        return pointer

    @property
    def pointer(self) -> Pointer:
        return read_pointer(self.registry.path / "serving.json")

    def switch(self, **more: Any) -> Switch:
        return Switch(
            self.registry, Processes(self.folder / "processes"), **{"load": self.load} | more
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def served(switch: Switch) -> tuple[int, str, int]:
    """The digit that is answered, and what is named as having answered it."""
    lease = switch.lease()
    digit = int(lease.probabilities(BATCH).argmax())
    return digit, lease.version, lease.generation


def test_where_nothing_was_promoted_the_models_own_file_serves(place: Place) -> None:
    assert (0, "m0", 0) == served(place.switch())


def test_what_was_promoted_serves_from_the_start(place: Place) -> None:
    place.promote("v2")
    assert (2, "v2", 1) == served(place.switch())


def test_what_is_promoted_serves_at_the_next_look(place: Place) -> None:
    switch = place.switch()
    place.promote("v1")
    assert (0, "m0", 0) == served(switch)
    switch.look()
    assert (1, "v1", 1) == served(switch)


def test_nothing_is_loaded_where_nothing_was_promoted(place: Place) -> None:
    switch = place.switch()
    for _ in range(3):
        switch.look()
    assert 1 == len(place.loaded)


def test_a_request_is_answered_by_one_version_throughout(place: Place) -> None:
    place.promote("v1")
    switch = place.switch()
    lease = switch.lease()
    place.promote("v2")
    switch.look()
    assert (1, "v1", 1) == (
        int(lease.probabilities(BATCH).argmax()),
        lease.version,
        lease.generation,
    )
    assert "v1" == lease.card["version"]


def test_a_version_is_warm_and_has_answered_before_it_serves(place: Place) -> None:
    seen: list[tuple[str, int]] = []

    def warm(classifier: Any) -> None:
        seen.append((classifier.version, sum(len(batch) for batch in classifier.batches)))

    switch = place.switch(warm=warm)
    place.promote("v1")
    switch.look()
    assert ["m0", "v1"] == [version for version, _ in seen]
    assert all(answered >= 10 for _, answered in seen)


def test_a_version_that_cannot_be_loaded_is_not_switched_to(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.promote("v1")
    switch = place.switch()
    place.unloadable = {"v2"}
    place.promote("v2")
    for _ in range(3):
        switch.look()
    assert (1, "v1", 1) == served(switch)
    assert "v2, generation 2, does not serve here: v2 is damaged." == switch.refused
    assert 1 == caplog.text.count("v2 is damaged."), "said once"
    assert [
        {"pid": os.getpid(), "version": "v1", "generation": 1, "refused": switch.refused}
    ] == switch.processes()


def test_it_is_tried_again_and_a_later_one_is_taken_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = place.switch()
    place.unloadable = {"v1", "v2"}
    place.promote("v1")
    switch.look()
    place.promote("v3")
    switch.look()
    assert ((3, "v3", 2), "") == (served(switch), switch.refused)
    monkeypatch.setattr(follow, "RETRY_S", 0.0)
    place.promote("v2")
    switch.look()
    assert (3, "v3", 2) == served(switch)
    place.unloadable = set()
    switch.look()
    assert ((2, "v2", 3), "") == (served(switch), switch.refused)


def test_a_version_whose_answers_are_no_numbers_is_not_switched_to(place: Place) -> None:
    switch = place.switch(load=lambda name: broken_from_the_start(name, np.nan))
    place.promote("v1")
    switch.look()
    assert "no probabilities" in switch.refused


def broken_from_the_start(name: str, answer: float) -> Version:
    version = Version("m0" if name == MODEL_FILE else name)
    version.broken = None if name == MODEL_FILE else answer
    return version


def test_a_process_that_starts_where_it_cannot_be_loaded_serves_what_served_before(
    place: Place,
) -> None:
    for name in ("v1", "v2", "v3"):
        place.promote(name)
    place.unloadable = {"v2", "v3"}
    switch = place.switch()
    assert (1, "v1", 1) == served(switch)
    assert "v3, generation 3, does not serve here" in switch.refused


def test_where_nothing_can_be_loaded_the_reason_takes_its_place_until_something_is_promoted(
    place: Place,
) -> None:
    place.unloadable = {MODEL_FILE}
    switch = place.switch()
    with pytest.raises(ModelUnavailableError, match="MODEL_PATH is damaged"):
        served(switch)
    place.promote("v1")
    switch.look()
    assert (1, "v1", 1) == served(switch)


def test_a_pointer_that_cannot_be_read_leaves_what_serves(place: Place) -> None:
    place.promote("v1")
    switch = place.switch()
    (place.registry.path / "serving.json").write_text("{")
    switch.look()
    assert (1, "v1", 1) == served(switch)
    assert "serving.json" in switch.refused


BREAKS = [RuntimeError("no such node"), np.nan, np.inf]


@pytest.mark.parametrize("broken", BREAKS, ids=str)
def test_one_that_breaks_while_it_serves_is_rolled_back_and_this_very_request_answered(
    place: Place, caplog: pytest.LogCaptureFixture, broken: Exception | float
) -> None:
    place.promote("v1")
    place.promote("v2")
    switch, other = place.switch(), place.switch()
    for version in place.loaded:
        version.broken = broken
    assert [(1, "v1", 3), (1, "v1", 3)] == [served(switch) for _ in range(2)]
    assert ("v1", 3) == place.pointer[:2]
    assert {"v2"} == set(switch.broken) == set(place.pointer.broken)
    assert "model v2, generation 2, broke" in caplog.text
    other.look()
    assert (1, "v1", 3) == served(other), "it need not break in each process"


def test_it_is_not_blamed_where_the_version_before_fails_too(place: Place) -> None:
    """Then it is the image, or the machine."""
    place.promote("v1")
    place.promote("v2")

    class Failing(Version):
        def probabilities(self, batch: Floats) -> Floats:
            if batch.max() > 1:
                raise RuntimeError("too much ink")
            return super().probabilities(batch)

    switch = place.switch()
    switch = Switch(place.registry, Processes(place.folder / "processes"), load=Failing)
    with pytest.raises(RuntimeError, match="too much ink"):
        switch.lease().probabilities(BATCH + 2)
    assert ("v2", 2, {}) == (place.pointer.version, place.pointer.generation, place.pointer.broken)


def test_without_anything_to_go_back_to_the_error_is_the_requests(place: Place) -> None:
    switch = place.switch()
    for broken, kind in (
        (RuntimeError("no such node"), RuntimeError),
        (np.nan, ModelUnavailableError),
    ):
        place.loaded[0].broken = broken
        with pytest.raises(kind):
            served(switch)
    assert 0 == place.pointer.generation


def test_one_that_breaks_after_another_was_promoted_does_not_take_that_back(place: Place) -> None:
    place.promote("v1")
    place.promote("v2")
    switch = place.switch()
    place.loaded[0].broken = RuntimeError("no such node")
    place.promote("v3")
    assert "v1" == served(switch)[1]
    assert ("v3", 3, {"v2"}) == (
        place.pointer.version,
        place.pointer.generation,
        set(place.pointer.broken),
    )
    switch.look()
    assert (3, "v3", 3) == served(switch)


def test_requests_that_were_under_way_are_answered_too(place: Place) -> None:
    """By the version that has taken its place meanwhile; many at once roll it back once."""
    place.promote("v1")
    place.promote("v2")
    switch = place.switch()
    leases = [switch.lease() for _ in range(8)]
    place.loaded[0].broken = RuntimeError("no such node")
    digits: list[int] = []
    threads = [
        threading.Thread(
            target=lambda lease=lease: digits.append(int(lease.probabilities(BATCH).argmax()))
        )
        for lease in leases
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [1] * 8 == digits
    assert {(3, "v1")} == {(lease.generation, lease.version) for lease in leases}
    assert ("v1", 3) == place.pointer[:2]


def test_where_the_pointer_cannot_be_written_the_process_goes_back_by_itself(place: Place) -> None:
    class ReadOnly(Registry):
        def mark_broken(self, broken: str, reason: str, target: Served, by: str) -> Pointer:
            raise PermissionError(13, "Permission denied")

    place.promote("v1")
    place.promote("v2")
    place.registry = ReadOnly(place.registry.path, place.folder / "none.h5", place.folder / "cache")
    switch = place.switch()
    place.loaded[0].broken = RuntimeError("no such node")
    assert (1, "v1", 1) == served(switch)
    assert "cannot be rolled back for all" in switch.refused
    switch._follower._stamp = None  # as if the file had been touched
    switch.look()
    assert (1, "v1", 1) == served(switch)
    place.promote("v3")
    switch.look()
    assert ((3, "v3", 3), "") == (served(switch), switch.refused)


def test_a_process_that_watches_serves_what_is_promoted_within_2_s_though_nothing_is_asked(
    place: Place,
) -> None:
    switch = place.switch()
    switch.watch()
    place.promote("v1")
    assert until(lambda: [1] == [one["generation"] for one in switch.processes()], 2)
    assert (1, "v1", 1) == served(switch)
    switch.close()


@pytest.mark.process
def test_a_forked_process_watches_by_itself_and_looks_before_it_answers(place: Place) -> None:
    switch = place.switch()
    switch.watch()
    place.promote("v1")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        switch.watch()
        os.write(
            write,
            repr((served(switch), switch._thread.is_alive() if switch._thread else None)).encode(),
        )
        os._exit(0)
    os.waitpid(child, 0)
    assert repr(((1, "v1", 1), True)).encode() == os.read(read, 1000)
    os.close(read)
    os.close(write)
    switch.close()


def test_the_thread_ends_with_what_it_watches_for(place: Place) -> None:
    switch = place.switch()
    switch.watch()
    thread = switch._thread
    assert thread is not None
    switch.watch()
    assert thread is switch._thread
    del switch
    assert until(lambda: not thread.is_alive())


def test_a_candidate_answers_in_the_shadow_until_it_is_called_back(place: Place) -> None:
    kept: list[Shadowed] = []
    switch = place.switch(keep=kept.extend)
    switch.watch()
    write_pointer(
        place.registry.path / "serving.json",
        place.pointer._replace(shadow=ShadowCandidate("v3", 1.0)),
    )
    switch.look()
    assert switch.shadow is not None
    assert (0, "m0", 0) == served(switch), "what is answered is not the candidate's"
    identifier = new_id()
    switch.shadow.offer(identifier, BATCH[0, ..., 0])
    assert until(lambda: kept)
    assert [(identifier, "v3", "3", 0.9)] == kept
    write_pointer(place.registry.path / "serving.json", place.pointer._replace(shadow=None))
    switch.look()
    assert switch.shadow is None
    switch.close()


def test_a_candidate_that_cannot_be_loaded_leaves_what_serves(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    switch = place.switch(keep=lambda _: None)
    place.unloadable = {"v3"}
    write_pointer(
        place.registry.path / "serving.json",
        place.pointer._replace(shadow=ShadowCandidate("v3", 1.0)),
    )
    switch.look()
    assert switch.shadow is None
    assert (0, "m0", 0) == served(switch)
    assert "v3 does not answer in the shadow: v3 is damaged." in caplog.text
