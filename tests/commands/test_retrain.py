"""What `retrain` says before it trains, and that it refuses what cannot be;
`tests/learning/test_retrain.py` trains.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from labelled import Sent, as_sent, say, write_digit
from operators import place_empty_store

from flaskapi.__main__ import main
from flaskapi.commands import TRAIN_EXTRA
from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.retrainings import get, request


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path))
    monkeypatch.setenv("FLASKAPI_STORE", "on")
    for name in ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, "")  # put back as it was, after the command has set it
    place_empty_store(tmp_path)
    store = Database(f"sqlite:///{tmp_path}/submissions.db", "process")
    yield store
    store.close()


@pytest.fixture(scope="module")
def written() -> list[Submission]:
    rng = np.random.default_rng(0)
    return as_sent(write_digit(place % 10, rng) for place in range(100))


@pytest.fixture
def sent(store: Database, written: list[Submission]) -> list[Sent]:
    """100 digits that the shipped model reads."""
    store.record(written)
    return [Sent(one.id, place % 10) for place, one in enumerate(written)]


def test_a_dry_run_says_what_would_be_used_and_makes_no_version(
    store: Database, sent: list[Sent], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(store, [(one.id, one.digit) for one in sent[:80]])
    say(store, [(one.id, one.digit) for one in sent[80:]], client="somebody")
    assert 0 == main(["retrain", "--dry-run"])
    said = capsys.readouterr().out
    assert (
        "0 suspicious, 0 on which operators disagree, 20 with labels of senders only, "
        "of whom no two agree." in said
    )
    assert not (tmp_path / "versions").exists()


def test_a_third_of_wrong_labels_in_one_class_are_pointed_at_and_not_used(
    store: Database, sent: list[Sent], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the page each with its picture."""
    sevens = [one for one in sent if one.digit == 7]
    wrong = sevens[:3]
    say(store, [(one.id, 1 if one in wrong else one.digit) for one in sent])
    page = tmp_path / "report.html"
    assert 0 == main(["retrain", "--dry-run", "--html", str(page)])
    said, shown = capsys.readouterr().out, page.read_text()
    assert 0o600 == page.stat().st_mode & 0o777
    for one in wrong:
        assert f"  {one.id}  labelled 1, read as 7 with " in said
        assert f"{one.id}: labelled 1, read as 7 with " in shown
    assert "3 suspicious" in said
    assert 3 == shown.count('<img src="data:image/png;base64,')
    say(store, [(wrong[0].id, 1)])
    main(["retrain", "--dry-run"])
    assert "2 suspicious" in capsys.readouterr().out, "what an operator says twice is believed"


def test_a_page_that_cannot_be_written_is_named_and_a_dry_run_changed_nothing_else(
    store: Database,
    sent: list[Sent],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(path: Path, page: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def end(code: int) -> NoReturn:
        raise SystemExit(code)

    say(store, [(one.id, one.digit) for one in sent])
    monkeypatch.setattr("flaskapi.commands.retrain.write_page", full)
    monkeypatch.setattr("os._exit", end)
    with pytest.raises(SystemExit):
        main(["retrain", "--dry-run", "--html", "page.html"])
    assert "error: page.html: No space left on device." == capsys.readouterr().err.splitlines()[-1]


def test_too_few_images_are_said_to_be_and_nothing_is_trained(
    store: Database, sent: list[Sent], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(store, [(one.id, one.digit) for one in sent[:10]])
    assert 0 == main(["retrain"])
    said = capsys.readouterr().out
    assert "There are 10 images that operators labelled; 20 are needed." in said
    assert not (tmp_path / "versions").exists()


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--html", "no/where.html"], "the folder for this page does not exist"),
        (["--html", "loop"], "loop: Too many levels of symbolic links."),
        (["--data", "nowhere"], "nowhere: expected a folder"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["train", "dry run"])
def test_what_cannot_be_is_said_before_anything_is_read(
    store: Database,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
    more: list[str],
) -> None:
    """Also where there is nothing to learn from."""
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    assert 1 == main(["retrain", *arguments, *more])
    assert said in capsys.readouterr().err


def test_a_worker_without_mnist_takes_no_request(
    store: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLASKAPI_MNIST_PATH", "nowhere.npz")
    assert 1 == main(["retrain", "--watch"])
    assert "nowhere.npz: expected a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [["--no-promote"], ["--dry-run"], ["--since", "2026-11-01"], ["--html", "page.html"]]
)
def test_a_worker_refuses_what_a_request_decides(
    store: Database, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Else one that was started with --no-promote would promote."""
    assert 1 == main(["retrain", "--watch", *option])
    assert f"omit {option[0]}" in capsys.readouterr().err


def test_where_nothing_is_kept_there_is_nothing_to_learn_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path))
    assert 1 == main(["retrain", "--dry-run"])
    assert "The setting STORE is off" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--since", "yesterday", "a date, such as 2026-11-22, or a time, 2026-11-22T15:00"),
        ("--steps", "0", "a whole number of at least 1"),
        ("--steps", "many", "a whole number of at least 1"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused_with_what_was_expected(
    option: str, value: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["retrain", option, value])
    assert f"argument {option}: expected {expected}, found '{value}'\n" in capsys.readouterr().err


def test_a_worker_that_could_train_nothing_takes_no_request(
    store: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flaskapi.commands.retrain.find_spec", lambda name: None)
    identifier = request(store, {}, "ada")
    assert 1 == main(["retrain", "--watch"])
    assert f"error: keras is not installed. {TRAIN_EXTRA}\n" == capsys.readouterr().err
    found = get(store, identifier)
    assert found is not None
    assert "requested" == found.state
