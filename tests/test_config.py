from pathlib import Path
from typing import Any

import pytest

from flaskapi.config import SETTINGS, Setting, find_instance_path, load_config
from flaskapi.errors import SettingError


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(f"FLASKAPI_{setting.name}", raising=False)


def test_each_source_goes_before_the_one_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Default < config.toml in the instance folder < FLASKAPI_* < mapping."""

    def found(overrides: dict[str, Any] | None = None) -> Any:
        return load_config(str(tmp_path), overrides)["MAX_FORM_PARTS"]

    assert (
        next(setting.default for setting in SETTINGS if setting.name == "MAX_FORM_PARTS") == found()
    )
    (tmp_path / "config.toml").write_text("MAX_FORM_PARTS = 11")
    assert 11 == found()
    monkeypatch.setenv("FLASKAPI_MAX_FORM_PARTS", "12")
    assert 12 == found()
    assert 13 == found({"MAX_FORM_PARTS": 13})


def test_without_a_file_or_a_variable_every_setting_has_its_default(tmp_path: Path) -> None:
    config = load_config(str(tmp_path))
    defaults = {setting.name: setting.default for setting in SETTINGS} | {
        "CACHE_PATH": tmp_path / "cache"
    }
    assert defaults == {name: config[name] for name in defaults}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_help_and_a_default_that_would_be_accepted(setting: Setting) -> None:
    assert len(setting.help) > 20
    assert setting.default is None or setting.default == setting.parse(setting.default)


def test_flask_and_werkzeug_keep_the_limits(tmp_path: Path) -> None:
    config = load_config(
        str(tmp_path), {"MAX_REQUEST_BYTES": 1000, "MAX_FORM_FIELD_BYTES": 200_000}
    )
    assert (1000, 200_000) == (config["MAX_CONTENT_LENGTH"], config["MAX_FORM_MEMORY_SIZE"])


def test_an_unknown_key_in_the_file_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("MAX_FORM_PART = 11")
    with pytest.raises(
        SettingError, match=r"MAX_FORM_PART in .*config\.toml: no such setting.*MAX_FORM_PARTS"
    ):
        load_config(str(tmp_path))


def test_flasks_own_keys_pass_through_the_mapping(tmp_path: Path) -> None:
    assert load_config(str(tmp_path), {"TESTING": True})["TESTING"]


WHOLE = "a whole number of at least 1"
SHARE = "a number from 0 to 1"


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("MAX_REQUEST_BYTES", ["many", "0", "-1", "1.5", "", "1e6"], WHOLE),
        ("UNCERTAIN_BELOW", ["half", "-0.1", "1.1", "nan", "inf", ""], SHARE),
        ("LOG_LEVEL", ["LOUD", "10", ""], "DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_bad_value_in_the_environment_names_its_key_and_what_was_expected(
    name: str, values: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in values:
        monkeypatch.setenv(f"FLASKAPI_{name}", value)
        with pytest.raises(
            SettingError,
            match=f"^{name} in the environment: expected {expected}, found '{value}'.$",
        ):
            load_config(str(tmp_path))


@pytest.mark.parametrize("line", ["= true", "= [1]", "= 1.5", "= 2026-01-01", ".a = 1"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MAX_FORM_PARTS", WHOLE),
        ("MODEL_PATH", "a path"),
        ("UNCERTAIN_BELOW", SHARE),
        ("LOG_LEVEL", "DEBUG"),
    ],
)
def test_a_value_of_another_type_in_the_file_is_refused(
    name: str, line: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(name + line)
    with pytest.raises(SettingError, match=rf"{name} in .*config\.toml: expected {expected}"):
        load_config(str(tmp_path))


@pytest.mark.parametrize("content", [b"MAX_FORM_PARTS", b"= 3", b"LOG_LEVEL = 'INFO", b"\xff\xfe"])
def test_a_malformed_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(SettingError, match=r"config\.toml: cannot be read as TOML"):
        load_config(str(tmp_path))


def test_folders_that_the_service_writes_lie_in_the_instance_folder(tmp_path: Path) -> None:
    config = load_config(str(tmp_path), {"CACHE_PATH": "c", "METRICS_PATH": "m"})
    assert (tmp_path / "c", tmp_path / "m") == (config["CACHE_PATH"], config["METRICS_PATH"])
    assert (
        tmp_path.parent == load_config(str(tmp_path), {"CACHE_PATH": tmp_path.parent})["CACHE_PATH"]
    )


def test_the_instance_folder_comes_from_the_mapping_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_instance_path() is None
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path / "a"))
    assert str(tmp_path / "a") == find_instance_path({})
    assert str(tmp_path / "b") == find_instance_path({"INSTANCE_PATH": tmp_path / "b"})


@pytest.mark.parametrize(
    "value",
    ["postgres://me:secret@host/name", "mysql://me:secret@host/name", "sqlite:///", "secret"],
)
def test_a_bad_address_of_a_database_is_refused_without_its_password(
    tmp_path: Path, value: str
) -> None:
    with pytest.raises(
        SettingError, match=r"DATABASE_URL in create_app: expected postgresql://"
    ) as caught:
        load_config(str(tmp_path), {"DATABASE_URL": value})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://a.example", ("https://a.example",)),
        (
            "http://A.example:80, http://localhost:3000",
            ("http://a.example", "http://localhost:3000"),
        ),
        (
            ["https://a.example:443", "http://[::1]:8080"],
            ("https://a.example", "http://[::1]:8080"),
        ),
        ("*", ("*",)),
    ],
)
def test_origins_are_read_as_browsers_write_them(
    tmp_path: Path, value: Any, expected: tuple[str, ...]
) -> None:
    assert expected == load_config(str(tmp_path), {"CORS_ORIGINS": value})["CORS_ORIGINS"]


@pytest.mark.parametrize(
    "value",
    ["", "a.example", "https://a.example/", "https://*.example", "null", "*, https://a", 5, [None]],
)
def test_what_is_no_origin_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(SettingError, match="CORS_ORIGINS in create_app: expected origins as"):
        load_config(str(tmp_path), {"CORS_ORIGINS": value})
