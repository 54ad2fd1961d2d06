"""The settings that are in force, and where each comes from."""

from pathlib import Path

import pytest
from operators import make_app, operator, store_of

from flaskapi.config import SETTINGS, hide_secrets


def test_each_setting_is_listed_with_its_value_and_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("KEEP_DAYS = 90\nMAX_BATCHES = 4\n")
    monkeypatch.setenv("FLASKAPI_MAX_BATCHES", "5")
    app = make_app(tmp_path)
    # What is changed later is not in force.
    (tmp_path / "config.toml").write_text("KEEP_DAYS = 1\n")
    found = app.test_client().get("/settings", headers=operator(app)).get_json()
    assert [one.name for one in SETTINGS] == [one["name"] for one in found["settings"]]
    by_name = {one["name"]: (one["value"], one["source"]) for one in found["settings"]}
    assert (90, "config.toml") == by_name["KEEP_DAYS"]
    assert (5, "environment") == by_name["MAX_BATCHES"]
    assert (None, "default") == by_name["KEEP_SUBMISSIONS"]
    assert (0.5, "create_app") == by_name["UNCERTAIN_BELOW"]
    assert str(tmp_path) == found["instance"]
    assert (str(tmp_path / "cache"), "default") == by_name["CACHE_PATH"]
    store_of(app).close()


def test_no_password_is_shown(tmp_path: Path) -> None:
    """Neither before a host nor among the arguments behind it, whatever signs it has."""
    app = make_app(tmp_path)
    ada = operator(app)
    for name in ("DATABASE_URL", "RATE_LIMIT_STORAGE"):
        app.config[name] = "redis://web:se/cr@et@host:1/0?password=secret&x=y"
    answer = app.test_client().get("/settings", headers=ada)
    assert "se/cr" not in answer.text
    assert "secret" not in answer.text
    assert "redis://web:…@host:1/0?password=…&x=…" in {
        one["value"] for one in answer.get_json()["settings"]
    }
    store_of(app).close()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://web@corp:secret@db/digits",  # as some clouds name their users
        "postgresql://we/b:secret@db/digits",
        "postgresql://web:se\ncret@db/digits",
    ],
)
def test_whatever_the_users_name_is_the_password_is_left_out(address: str) -> None:
    assert "cret" not in hide_secrets(address)
    assert hide_secrets(address).endswith(":…@db/digits")
