"""Every setting: its name, default, type and meaning in one table, and the one place that reads the environment."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flaskapi.errors import SettingError

PACKAGE = Path(__file__).parent
PREFIX = "FLASKAPI_"


class Setting(NamedTuple):
    """One row of the table. `type` makes the value from text; `least` bounds numbers from below."""

    name: str
    default: Any
    type: type[Any]
    help: str
    least: float | None = None


def _shipped_model() -> Path:
    """Beside the package in a checkout, inside it where it was installed."""
    checkout = PACKAGE.parent / "models" / "my_model.h5"
    return checkout if checkout.parent.is_dir() else PACKAGE / "models" / "my_model.h5"


MIB = 1024 * 1024

SETTINGS = (
    Setting("INSTANCE_PATH", None, Path, "folder for all that the service writes, and for `config.toml`; by default Flask's `instance/`"),
    Setting("MODEL_PATH", _shipped_model(), Path, "the model file, `my_model.h5`; its compiled form is looked for beside it"),
    Setting("CACHE_PATH", Path("cache"), Path, "where the compiled form goes if the model's folder is read-only; relative to the instance folder"),
    Setting("METRICS_PATH", None, Path, "folder in which several processes share their metrics; unset: each process keeps its own"),
    Setting("MAX_REQUEST_BYTES", 16 * MIB, int, "largest request body, in bytes", 1),
    Setting("MAX_FORM_FIELD_BYTES", MIB, int, "largest form field that is not a file, in bytes", 1),
    Setting("MAX_FORM_PARTS", 100, int, "most parts in one multipart body", 1),
    Setting("MAX_IMAGE_PIXELS", 25_000_000, int, "most pixels of an image, by its header, before it is decoded", 1),
    Setting("UNCERTAIN_BELOW", 0.8, float, "an answer with less confidence than this is marked `uncertain`", 0),
    Setting("LOG_LEVEL", "INFO", str, "least severe message that is logged: DEBUG, INFO, WARNING or ERROR"),
)


def find_instance_path(overrides: Mapping[str, Any] | None = None) -> str | None:
    """The folder for what the service writes, where `INSTANCE_PATH` names one; None leaves it to Flask's rule."""
    given = (overrides or {}).get("INSTANCE_PATH") or os.environ.get(PREFIX + "INSTANCE_PATH")
    return str(Path(given).absolute()) if given else None


def load_config(instance_path: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Put the settings together: defaults < `config.toml` in the instance folder < `FLASKAPI_*` < overrides.

    Raises:
        SettingError: an unknown key in the file or among the overrides, or a value of the wrong form.
    """
    instance = Path(instance_path)
    values = {setting.name: setting.default for setting in SETTINGS}
    for source, given in (
        (str(instance / "config.toml"), _read_file(instance / "config.toml")),
        ("the environment", _read_environment()),
        ("create_app", dict(overrides or {})),
    ):
        for name, value in given.items():
            if name not in values and source != "create_app":
                raise SettingError(f"{name} in {source}: no such setting. There are: {', '.join(values)}.")
            values[name] = _convert(name, value, source)
    for name in ("CACHE_PATH", "METRICS_PATH"):
        if values[name] is not None:
            values[name] = instance / values[name]
    values["MAX_CONTENT_LENGTH"] = values["MAX_REQUEST_BYTES"]
    values["MAX_FORM_MEMORY_SIZE"] = values["MAX_FORM_FIELD_BYTES"]
    return values


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingError(f"{path}: cannot be read as TOML: {error}") from error


def _read_environment() -> dict[str, str]:
    names = {PREFIX + setting.name: setting.name for setting in SETTINGS}
    return {name: os.environ[key] for key, name in names.items() if key in os.environ}


def _convert(name: str, value: Any, source: str) -> Any:
    setting = next((row for row in SETTINGS if row.name == name), None)
    if setting is None or value is None:
        return value  # Flask's own keys, such as TESTING, pass through create_app
    try:
        if isinstance(value, bool):
            raise ValueError
        converted = setting.type(value)
        if setting.least is not None and not converted >= setting.least:
            raise ValueError
    except (TypeError, ValueError):
        least = "" if setting.least is None else f" of at least {setting.least:g}"
        kind = {int: "a whole number", float: "a number", Path: "a path", str: "text"}[setting.type]
        raise SettingError(f"{name} in {source}: expected {kind}{least}, found {value!r}.") from None
    return converted
