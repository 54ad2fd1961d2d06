"""`store pictures`: what was kept goes where the setting says, and comes back if it is unset."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from operators import place_empty_store
from outsides import large, names_in

from flaskapi.__main__ import main
from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.pictures import open_pictures


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "instance"
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(folder))
    monkeypatch.setenv("FLASKAPI_STORE", "on")
    place_empty_store(folder)
    return folder


@pytest.fixture
def store(instance: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{instance}/submissions.db", "process")) as store:
        yield store


@pytest.fixture
def sent(store: Database) -> list[Submission]:
    """Three that were kept in the database."""
    sent = [large(str(n)) for n in range(3)]
    store.record(sent)
    return sent


@pytest.fixture
def is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASKAPI_PICTURES", "pictures")
    monkeypatch.setenv("FLASKAPI_PICTURES_ABOVE_BYTES", "100")


def test_they_go_out_and_come_back_where_it_is_set_no_more(
    instance: Path,
    store: Database,
    sent: list[Submission],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_set: None,
) -> None:
    place = str(instance / "pictures")
    assert 0 == main(["store", "pictures"])
    assert "Brought 3 images out of the database, and 0 into it." in capsys.readouterr().out
    assert 3 == len(names_in(place))
    store.pictures = open_pictures(place, 100)
    assert sent == [get_submission(store, one.id) for one in sent]
    assert 1 == main(["store", "pictures", "--from", "pictures"])
    assert "leave --from out" in capsys.readouterr().err
    monkeypatch.delenv("FLASKAPI_PICTURES")
    assert 1 == main(["store", "pictures"])
    assert "3 images are outside the database" in capsys.readouterr().err
    assert 0 == main(["store", "pictures", "--from", "pictures"])
    assert "Brought 0 images out of the database, and 3 into it." in capsys.readouterr().out
    assert set() == names_in(place)
    store.pictures = None
    assert sent == [get_submission(store, one.id) for one in sent]
    assert 0 == main(["store", "pictures"])


def test_what_is_lost_is_named_and_the_others_come_back(
    instance: Path,
    sent: list[Submission],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_set: None,
) -> None:
    assert 0 == main(["store", "pictures"])
    for path in sorted((instance / "pictures").rglob("*/*"))[:1]:
        path.unlink()
    monkeypatch.delenv("FLASKAPI_PICTURES")
    assert 3 == main(["store", "pictures", "--from", "pictures"])
    said = capsys.readouterr()
    assert "1 could not be brought" in said.out
    assert "is missing. Submissions: " in said.err
    assert 1 == sum(str(one.id) in said.err for one in sent)


def test_it_waits_for_the_end_of_a_move(
    instance: Path, sent: list[Submission], capsys: pytest.CaptureFixture[str], is_set: None
) -> None:
    (instance / "moving.json").write_text(json.dumps({"to": "elsewhere", "switched": True}))
    assert 1 == main(["store", "pictures"])
    assert "A move has not ended" in capsys.readouterr().err
    assert not (instance / "pictures").exists()
