"""`forget` and `housekeeping`, on the database of the settings; by id and by age,
`tests/test_main.py` has it.
"""

from pathlib import Path

import pytest
from fakes import make_submission
from operators import place_empty_store

from flaskapi.__main__ import main
from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.listing import get_submission


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path))
    place_empty_store(tmp_path)
    return Database(f"sqlite:///{tmp_path}/submissions.db", "process")


@pytest.fixture
def kept(database: Database) -> list[Submission]:
    """Four submissions of 10 bytes each, of which an operator has labelled the oldest."""
    label = {"label": "7", "label_source": "operator"}
    sent = [make_submission(image=b"%010d" % n, **(label if n == 0 else {})) for n in range(4)]
    database.record(sent)
    database.close()
    return sent


def still_kept(database: Database, sent: list[Submission]) -> list[bool]:
    found = [get_submission(database, one.id) == one for one in sent]
    database.close()
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["forget", "--older-than", "1"],
        ["housekeeping"],
        ["export", "folder", "--until", "2000-01-01"],
        ["keys", "list"],
    ],
)
def test_what_was_kept_is_there_without_the_models(
    kept: list[Submission],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: list[str],
) -> None:
    """None is loaded, or even compiled, and nothing is said of one that is missing."""
    monkeypatch.setenv("FLASKAPI_MODEL_PATH", str(tmp_path / "none.h5"))
    monkeypatch.chdir(tmp_path)
    assert 0 == main(command)
    assert "none.h5" not in caplog.text


@pytest.mark.parametrize(
    ("option", "amount"),
    [("--beyond-count", "2"), ("--beyond-bytes", "20"), ("--beyond-bytes", "29")],
)
def test_forget_erases_the_oldest_of_too_many_but_for_the_labelled(
    database: Database,
    kept: list[Submission],
    capsys: pytest.CaptureFixture[str],
    option: str,
    amount: str,
) -> None:
    assert 0 == main(["forget", option, amount])
    assert "Erased 2 submissions" in capsys.readouterr().out
    assert [True, False, False, True] == still_kept(database, kept)


def test_forget_says_where_what_is_labelled_is_more_than_that(
    database: Database, kept: list[Submission], capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["forget", "--beyond-count", "0"])
    said = capsys.readouterr()
    assert "Erased 3 submissions" in said.out
    assert "operators have labelled" in said.err
    assert [True, False, False, False] == still_kept(database, kept)
    assert 0 == main(["forget", str(kept[0].id)])
    assert [False] * 4 == still_kept(database, kept)


@pytest.mark.parametrize("option", ["--beyond-count", "--beyond-bytes"])
def test_forget_erases_nothing_for_an_amount_that_is_none(
    database: Database, kept: list[Submission], capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert 1 == main(["forget", option, "-1"])
    assert f"error: {option} is -1; it must be at least 0.\n" == capsys.readouterr().err
    assert [True] * 4 == still_kept(database, kept)


def test_housekeeping_applies_the_limits_of_the_settings_at_once(
    database: Database,
    kept: list[Submission],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 0 == main(["housekeeping"])
    assert [True] * 4 == still_kept(database, kept)
    monkeypatch.setenv("FLASKAPI_KEEP_SUBMISSIONS", "3")
    assert [0, 0] == [main(["housekeeping"]) for _ in range(2)]
    assert [True, False, True, True] == still_kept(database, kept)
    monkeypatch.setenv("FLASKAPI_KEEP_DAYS", "0.0000001")
    assert 0 == main(["housekeeping"])
    assert [False] * 4 == still_kept(database, kept)
    assert (
        "Housekeeping erased 3 submissions by age, 0 beyond the limits." in capsys.readouterr().out
    )
