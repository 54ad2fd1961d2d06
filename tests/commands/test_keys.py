from pathlib import Path

import pytest

from flaskapi.__main__ import main


@pytest.fixture(autouse=True)
def _own_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASKAPI_STORE", "on")
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path))
    monkeypatch.setenv("FLASKAPI_MODEL_PATH", str(tmp_path / "none.h5"))  # keys need no model


def test_make_prints_the_key_alone_and_list_never(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["keys", "make", "ada@example.org"])
    token = capsys.readouterr().out.strip()
    assert token.startswith("flaskapi_")
    assert 0 == main(["keys", "list"])
    listed = capsys.readouterr().out
    assert token not in listed
    name, scope, made, _, _, used, *others = listed.splitlines()[1].split()
    assert ("ada@example.org", "operate", 10, "-") == (name, scope, len(made), used)
    assert ["-", "-", "-"] == others


def test_a_key_is_made_with_scopes_an_end_and_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--scope", "label", "--scope", "predict", "--limit", "5 per minute"]
    assert 0 == main(["keys", "make", "ada", *options, "--expires", "2099-01-31T12:00"])
    assert 0 == main(["keys", "make", "bob", "--expires", "90d"])
    assert 0 == main(["keys", "list"])
    heading, ada, bob = capsys.readouterr().out.splitlines()[-3:]
    assert ["name", "scope", "made", "last", "used", "expires", "revoked", "limit"] == (
        heading.split()
    )
    assert "predict,label" == ada.split()[1]
    assert "2099-01-31 12:00 UTC" in ada
    assert ada.endswith("5 per minute")
    assert 2 == bob.count("UTC")


@pytest.mark.parametrize(
    "options",
    [
        ["--scope", "all"],
        ["--expires", "2020-01-01"],
        ["--expires", "soon"],
        ["--expires", "0d"],
        ["--limit", "off"],
        ["--limit", "many"],
    ],
)
def test_what_is_no_scope_no_end_and_no_limit_is_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["keys", "make", "ada", *options])
    assert 2 == caught.value.code


def test_revoke_takes_a_key_away_and_says_where_there_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 0 == main(["keys", "make", "ada"])
    assert [0, 1, 1] == [main(["keys", "revoke", name]) for name in ("ada", "ada", "bob")]
    assert "no key named 'bob'" in capsys.readouterr().err
    assert 0 == main(["keys", "list"])
    heading, listed = capsys.readouterr().out.splitlines()
    assert "UTC" in listed[heading.index("revoked") : heading.index("limit")]


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "a\nb", "a/b"])
def test_a_name_that_would_break_a_line_or_an_address_is_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["keys", "make", name])
    assert "cannot be a key's name" in capsys.readouterr().err


def test_a_second_key_of_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert [0, 1] == [main(["keys", "make", "ada"]) for _ in range(2)]
    assert "error: There is, or was, a key of the name 'ada'" in capsys.readouterr().err


def test_list_says_how_to_make_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["keys", "list"])
    assert "keys make NAME" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["keys", "make", "ada"], ["import", "."]])
def test_where_nothing_is_kept_no_key_is_made_and_nothing_taken_in(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.setenv("FLASKAPI_STORE", "off")
    assert 1 == main(arguments)
    assert "the setting STORE" in capsys.readouterr().err
    assert [] == list(tmp_path.glob("*.db"))
