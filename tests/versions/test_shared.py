"""Versions in the database: every instance has the same, and goes on with its copies without it."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from model_files import MODELS, make_artifact
from operators import place_empty_store

from flaskapi.errors import ModelUnavailableError, StoreUnavailableError, VersionError
from flaskapi.submissions.database import Database
from flaskapi.submissions.tables import processes, version_files
from flaskapi.submissions.versions import ProcessReport, read_reports, report_process
from flaskapi.versions.pointer import MODEL_FILE
from flaskapi.versions.shared import SharedProcesses, SharedRegistry
from flaskapi.versions.switch import Switch


class Wire:
    """The way of an instance to the database, which can be cut."""

    def __init__(self, store: Database) -> None:
        self._store, self.is_cut = store, False

    def run(self, work: Callable[..., Any], **how: bool) -> Any:
        if self.is_cut:
            raise StoreUnavailableError("The wire is cut.")
        return self._store.run(work, **how)


class Instance:
    """An instance with a folder of its own."""

    def __init__(self, folder: Path, store: Database) -> None:
        self.wire: Any = Wire(store)
        self.folder = folder
        self.registry = SharedRegistry(
            folder / "versions", MODELS / "my_model.h5", folder / "cache", self.wire
        )
        self.processes = SharedProcesses(folder / "processes", self.wire)

    def start(self) -> Switch:
        return Switch(self.registry, self.processes)


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Database]:
    if url.startswith("sqlite"):
        place_empty_store(tmp_path)
    store = Database(url, "process", patience_s=20)
    yield store
    store.close()


@pytest.fixture
def instances(store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Instance]:
    """Three; cards are written as where the extra `train` is missing, which takes no time."""
    monkeypatch.setattr(
        "flaskapi.versions.version.run_command",
        lambda *command: subprocess.CompletedProcess(command, 1),
    )
    return [Instance(tmp_path / name, store) for name in "abc"]


def add(instance: Instance, mark: int = 0, **more: Any) -> str:
    name: str = instance.registry.add(make_artifact(instance.folder / str(mark), mark), **more).name
    return name


def serving(switch: Switch) -> tuple[str, int]:
    lease = switch.lease()
    return lease.version, lease.generation


def test_what_one_instance_registers_the_others_have(instances: list[Instance]) -> None:
    first, other, _ = instances
    name = add(first, submissions=["b", "a"])
    (mine,), (theirs,) = first.registry.versions(), other.registry.versions()
    assert name == theirs.name
    assert (mine.registered_s, ["b", "a"]) == (theirs.registered_s, theirs.submissions)
    assert mine.path != theirs.path
    for path in mine.path.iterdir():
        copy = theirs.path / path.name
        assert path.read_bytes() == copy.read_bytes()
        assert path.stat().st_mode == copy.stat().st_mode
    assert name == other.registry.load(name).version == other.registry.get(name[-8:]).name
    assert other.registry.card(name) == first.registry.card(name)
    assert other.registry.artifact(name).exists()


def test_what_is_promoted_anywhere_serves_everywhere_at_the_next_look(
    instances: list[Instance],
) -> None:
    first, other, _ = instances
    switches = [one.start() for one in instances]
    assert {0} == {serving(switch)[1] for switch in switches}
    names = [add(first, mark) for mark in range(2)]
    first.registry.promote(names[0], "ann")
    other.registry.promote(names[1], "bob")
    for switch in switches:
        switch.look()
        assert (names[1], 2) == serving(switch)
    other.registry.roll_back("bob")
    for switch in switches:
        switch.look()
        assert (names[0], 3) == serving(switch)


def test_of_changes_at_the_same_time_none_is_lost(instances: list[Instance]) -> None:
    names = [add(instances[0], mark) for mark in range(4)]
    for one in instances:
        one.registry.versions()
    start = threading.Barrier(2)

    def promote(instance: Instance, two: list[str]) -> None:
        start.wait()
        for place in range(6):
            instance.registry.promote(two[place % 2], "ann")

    work = [(instances[1], names[:2]), (instances[2], names[2:])]
    threads = [threading.Thread(target=promote, args=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pointer = instances[0].registry.read()
    assert 12 == pointer.generation
    assert [*range(11, -1, -1)] == [served.generation for served in pointer.before]


def test_an_instance_that_is_cut_off_goes_on_and_comes_back_with_what_serves(
    instances: list[Instance],
) -> None:
    """Also one that was started meanwhile: it serves what it had."""
    first, other, _ = instances
    names = [add(first, mark) for mark in range(2)]
    first.registry.promote(names[0], "ann")
    switch = other.start()
    other.wire.is_cut = True
    first.registry.promote(names[1], "ann")
    switch.look()
    started = other.start()
    for one in (switch, started):
        assert (names[0], 1) == serving(one)
    assert [names[0]] == [version.name for version in other.registry.versions()]
    with pytest.raises(StoreUnavailableError):
        other.registry.promote(names[0], "ann")
    other.wire.is_cut = False
    for one in (switch, started):
        one.look()
        assert (names[1], 2) == serving(one)


def test_one_that_never_reached_the_database_serves_its_own_file(
    instances: list[Instance],
) -> None:
    first, other, _ = instances
    first.registry.promote(add(first), "ann")
    other.wire.is_cut = True
    switch = other.start()
    assert (first.registry.load(MODEL_FILE).version, 0) == serving(switch)
    assert "The wire is cut." in switch.refused
    other.wire.is_cut = False
    switch.look()
    assert (first.registry.read().version, 1) == serving(switch)


def test_a_version_that_is_damaged_in_the_database_is_not_served(
    instances: list[Instance], store: Database
) -> None:
    first, other, _ = instances
    switch, name = other.start(), add(first)
    before = serving(switch)
    damage = sa.update(version_files).where(version_files.c.name == "my_model.onnx")
    store.run(lambda connection: connection.execute(damage.values(content=b"I am no model.")))
    first.registry.promote(name, "ann")
    switch.look()
    assert before == serving(switch)
    assert f"{name} is damaged in the database: my_model.onnx." in switch.refused
    store.run(lambda connection: connection.execute(damage.values(name="../my_model.h5")))
    with pytest.raises(ModelUnavailableError):
        other.registry.load(name)
    assert [] == list(other.registry.path.glob("*/"))


def test_a_copy_that_is_damaged_is_copied_again(instances: list[Instance]) -> None:
    first, other, _ = instances
    name = add(first)
    other.registry.versions()
    (other.registry.path / name / "my_model.onnx").write_bytes(b"I am no model.")
    assert name == other.registry.load(name).version


def test_what_is_removed_is_gone_everywhere_but_not_what_serves(
    instances: list[Instance],
) -> None:
    first, other, _ = instances
    names = [add(first, mark) for mark in range(3)]
    first.registry.promote(names[0], "ann")
    assert names == [version.name for version in other.registry.versions()]
    assert sorted(names[1:]) == first.registry.prune(0)
    assert [names[:1]] * 2 == [
        [version.name for version in one.registry.versions()] for one in (first, other)
    ]
    with pytest.raises(VersionError, match="no version"):
        other.registry.promote(names[1], "ann")
    assert names[:1] == [path.name for path in first.registry.path.glob("[!.]*/")]


def test_what_was_promoted_meanwhile_is_not_removed(
    instances: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is decided again if the pointer has changed between."""
    first, other, _ = instances
    names = [add(first, mark) for mark in range(2)]
    targets, did = first.registry.targets, list[int]()

    def promote_meanwhile(pointer: Any) -> Any:
        if not did:
            did.append(1)
            other.registry.promote(names[0], "bob")
        return targets(pointer)

    monkeypatch.setattr(first.registry, "targets", promote_meanwhile)
    assert [names[1]] == first.registry.prune(0)
    assert names[0] == other.registry.load(first.registry.read().version).version


def test_one_that_broke_anywhere_serves_nowhere(instances: list[Instance]) -> None:
    first, other, _ = instances
    names = [add(first, mark) for mark in range(2)]
    for name in names:
        first.registry.promote(name, "ann")
    switch = other.start()
    before, *_ = first.registry.targets(first.registry.read())
    first.registry.mark_broken(names[1], "It broke.", before, "process 1")
    switch.look()
    assert (names[0], 3) == serving(switch)
    assert {names[1]: "It broke."} == switch.broken


def test_each_process_reports_what_it_serves(instances: list[Instance]) -> None:
    first, other, _ = instances
    switches = [one.start() for one in (first, other)]
    for switch in switches:
        switch.watch()
        switch.close()
    first.registry.promote(add(first), "ann")
    for switch in switches:
        switch.look()
    found = {one.instance.rpartition("/")[2]: one for one in first.registry.reports()}
    assert {"a": 1, "b": 1} == {name: one.generation for name, one in found.items()}
    assert {os.getpid()} == {one.pid for one in found.values()}
    assert all(one.silent_s < 10 for one in found.values())


def test_a_process_that_ended_is_forgotten_by_the_others_of_its_instance(store: Database) -> None:
    def report(instance: str, pid: int) -> None:
        made = ProcessReport(instance, pid, "1", "v", 0, None)
        report_process(store, made, lambda pid, _: pid == 7)

    report("a", 8)
    for pid in (6, 7):
        report("b", pid)
    report("a", 9)
    assert [("a", 8), ("a", 9), ("b", 6)] == [
        (one.instance, one.pid) for one in read_reports(store) if one.pid != 7
    ]
    assert 7 not in {one.pid for one in read_reports(store)}


def test_one_that_says_nothing_more_is_told_and_forgotten_in_the_end(store: Database) -> None:
    for pid, age in ((1, "30 seconds"), (2, "1 hour")):
        report_process(store, ProcessReport("a", pid, "1", "v", 0, None), lambda *_: False)
        old = (
            f"datetime('now', '-{age}')" if store.kind == "sqlite" else f"now() - interval '{age}'"
        )
        change = sa.update(processes).where(processes.c.pid == pid)
        made = change.values(heard_at=sa.text(old))
        store.run(lambda connection, made=made: connection.execute(made))
    assert [1, 2] == [one.pid for one in read_reports(store)]
    report_process(store, ProcessReport("b", 3, "1", "v", 0, None), lambda *_: False)
    silent = {one.pid: one.silent_s for one in read_reports(store)}
    assert [1, 3] == [*silent]
    assert 25 < silent[1] < 120
    assert silent[3] < 20


def test_without_a_folder_for_copies_it_says_so_and_goes_on(instances: list[Instance]) -> None:
    first, other, _ = instances
    switch = other.start()
    before = serving(switch)
    first.registry.promote(add(first), "ann")
    shutil.rmtree(other.registry.path, ignore_errors=True)
    other.registry.path.touch()
    switch.look()
    assert before == serving(switch)
    assert "cannot be copied" in switch.refused


@pytest.mark.parametrize("lost", ["my_model.h5", "my_model.onnx"])
def test_a_version_that_is_damaged_in_the_database_hides_no_other_and_can_be_registered_again(
    instances: list[Instance], store: Database, lost: str
) -> None:
    one, _, other = instances
    whole, damaged = add(one, 0), add(one, 1)
    of = version_files.c
    gone = sa.delete(version_files).where(of.version == damaged, of.name == lost)
    store.run(lambda connection: connection.execute(gone))
    assert [whole] == [version.name for version in other.registry.versions()]
    with pytest.raises(ModelUnavailableError, match=f"lacks {lost}"):
        other.registry.load(damaged)
    assert damaged == add(one, 1)
    assert damaged == other.registry.load(damaged).version
