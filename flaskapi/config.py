"""Every setting in one table: its name, default, type and meaning. Only this module reads the
environment.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flaskapi.errors import SettingError

PACKAGE = Path(__file__).parent
PREFIX = "FLASKAPI_"


class Setting(NamedTuple):
    """One row of the table. `parse` makes the value from text or from TOML, or raises ValueError or
    TypeError.
    """

    name: str
    default: Any
    parse: Callable[[Any], Any]
    help: str


def at_least(least: int) -> Callable[[Any], int]:
    """Make a parser of whole numbers whose docstring says what it expects.

    >>> parse = at_least(1)
    >>> parse("20"), parse.__doc__
    (20, 'a whole number of at least 1')
    """

    def parse(value: Any) -> int:
        if isinstance(value, bool | float) or int(value) < least:
            raise ValueError
        return int(value)

    parse.__doc__ = f"a whole number of at least {least}"
    return parse


def one_of(*names: str) -> Callable[[Any], str]:
    """Make a parser that accepts one of some names, and says so in its docstring."""

    def parse(value: Any) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    parse.__doc__ = f"{', '.join(names[:-1])} or {names[-1]}"
    return parse


def share(value: Any) -> float:
    """a number from 0 to 1"""
    if isinstance(value, bool) or not 0 <= float(value) <= 1:
        raise ValueError
    return float(value)


def switch(value: Any) -> bool:
    """true or false"""
    if str(value).lower() not in ("true", "false"):
        raise ValueError
    return str(value).lower() == "true"


RATE_FORM = r"[1-9]\d{0,8} per ([1-9]\d{0,3} )?(second|minute|hour|day)s?"
_RATE = re.compile(f"off|{RATE_FORM}", re.ASCII)


def rate(value: Any) -> str:
    """off, or a rate such as '60 per minute' or '5 per 10 seconds'"""
    if not _RATE.fullmatch(str(value)):
        raise ValueError
    return str(value)


_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?", re.ASCII)
_USUAL_PORTS = {"http": ":80", "https": ":443"}


def origins(value: Any) -> tuple[str, ...]:
    """origins as https://example.org or http://localhost:3000, with commas between them, or *"""
    named = value.split(",") if isinstance(value, str) else list(value)
    found = tuple(str(one).strip().lower() for one in named)
    if found == ("*",):
        return found
    if not all(_ORIGIN.fullmatch(one) for one in found):
        raise ValueError
    return tuple(one.removesuffix(_USUAL_PORTS[one.partition(":")[0]]) for one in found)


def rate_limit_storage(value: Any) -> str:
    """memory, or redis://HOST:PORT/NUMBER"""
    if value != "memory" and not str(value).startswith(("redis://", "rediss://")):
        raise ValueError
    return str(value)


def days(value: Any) -> float:
    """a number of days, above 0 and at most 36500"""
    if isinstance(value, bool) or not 0 < float(value) <= 36_500:
        raise ValueError
    return float(value)


def ipv6_bits(value: Any) -> int:
    """a whole number from 32 to 128"""
    if isinstance(value, bool | float) or not 32 <= int(value) <= 128:
        raise ValueError
    return int(value)


def database_url(value: Any) -> str:
    """postgresql://USER:PASSWORD@HOST/NAME, or sqlite:/// and a path"""
    if not str(value).startswith(("postgresql://", "sqlite:///")) or str(value) == "sqlite:///":
        raise ValueError
    return str(value)


def place(value: Any) -> str:
    """the path of a folder, or an address such as s3://bucket/folder or gs://bucket/folder"""
    if not isinstance(value, str | Path) or not re.fullmatch(r"(\w+://)?[^:]+", str(value)):
        raise ValueError
    return str(value)


def seconds(value: Any) -> float:
    """a number of seconds, above 0 and at most 3600"""
    if isinstance(value, bool) or not 0 < float(value) <= 3600:
        raise ValueError
    return float(value)


def path(value: Any) -> Path:
    """a path"""
    if not value:
        raise ValueError
    return Path(value)


def shipped_model(name: str) -> Path:
    """The path of an included model: beside the package in a checkout, inside it if installed."""
    checkout = PACKAGE.parent / "models" / name
    return checkout if checkout.parent.is_dir() else PACKAGE / "models" / name


def _versions() -> Path:
    """Beside the included model in a checkout; in the instance folder of an installed package."""
    models = PACKAGE.parent / "models"
    return models / "versions" if models.is_dir() else Path("versions")


MIB = 1024 * 1024
# Werkzeug counts its 64 KiB read buffer, and any part of a file in it, against this limit.
LEAST_FORM_FIELD_BYTES = 131_072

SETTINGS = (
    Setting(
        "INSTANCE_PATH",
        None,
        path,
        "folder for `config.toml` and all files that the service writes, except versions; by "
        "default Flask's `instance/`",
    ),
    Setting(
        "MODEL_PATH",
        shipped_model("my_model.h5"),
        path,
        "the model file; the compiled form is beside it; a relative path starts at the folder of "
        "the checkout",
    ),
    Setting(
        "DETECTOR_PATH",
        shipped_model("detector.h5"),
        path,
        "the model file of the detector, which finds the digits of a number; as `MODEL_PATH`",
    ),
    Setting(
        "VERSIONS_PATH",
        _versions(),
        path,
        "folder of the versions, which all instances of a checkout share; a relative path starts "
        "at the instance folder; after `pip install .` "
        "the default is `versions`",
    ),
    Setting(
        "VERSIONS_STORE",
        "folder",
        one_of("folder", "database"),
        "`folder`: the versions are in `VERSIONS_PATH`; `database`: they and the pointer to the "
        "serving one are in the database, for several instances, and each has copies in "
        "`CACHE_PATH`",
    ),
    Setting(
        "MNIST_PATH",
        None,
        path,
        "where `retrain` finds MNIST: a folder with its four files, or an `.npz`; if unset, Keras "
        "downloads it",
    ),
    Setting(
        "CACHE_PATH",
        Path("cache"),
        path,
        "folder for the compiled form if the model's folder is read-only; in the instance folder",
    ),
    Setting(
        "METRICS_PATH",
        None,
        path,
        "folder in which all processes share their metrics; in the instance folder; if unset, each "
        "process has its own metrics",
    ),
    Setting(
        "MAX_REQUEST_BYTES",
        16 * MIB,
        at_least(1),
        "largest request body, and largest single image of a batch, in bytes",
    ),
    Setting(
        "MAX_FORM_FIELD_BYTES",
        MIB,
        at_least(LEAST_FORM_FIELD_BYTES),
        "largest form field that is not a file, in bytes; at least 131072",
    ),
    Setting(
        "MAX_FORM_PARTS",
        100,
        at_least(1),
        "most parts in one multipart body; `/predict/batch` allows `MAX_BATCH_IMAGES` more",
    ),
    Setting(
        "MAX_BATCH_BYTES",
        256 * MIB,
        at_least(1),
        "largest body of `/predict/batch`, packed and unpacked, in bytes",
    ),
    Setting(
        "MAX_BATCH_IMAGES", 100_000, at_least(1), "most images in one request to `/predict/batch`"
    ),
    Setting(
        "COMPUTING_AT_ONCE",
        3,
        at_least(1),
        "how many requests one process computes at once; others wait for their turn, at most 10 s; "
        "requests that are still being sent do not count",
    ),
    Setting(
        "MAX_BATCHES",
        8,
        at_least(1),
        "how many requests to `/predict/batch` one process accepts at once; more are answered 503",
    ),
    Setting(
        "PROCESS_MEMORY_BYTES",
        800 * MIB,
        at_least(256 * MIB),
        "if a process under Apache has more memory than this, in bytes, it finishes its requests "
        "and a new process replaces it",
    ),
    Setting(
        "MAX_IMAGE_PIXELS",
        25_000_000,
        at_least(1),
        "most pixels of an image, checked in its header before it is decoded",
    ),
    Setting(
        "MAX_IMAGE_CPU_S",
        0.6,
        seconds,
        "most seconds of CPU that decoding one image may take; an image that needs more is "
        "answered 413",
    ),
    Setting(
        "MAX_IMAGE_MEMORY_BYTES",
        176 * MIB,
        at_least(16 * MIB),
        "most memory that decoding one image may take, in bytes; an image that needs more is "
        "answered 413",
    ),
    Setting(
        "UNCERTAIN_BELOW",
        0.95,
        share,
        "an answer with a lower confidence than this is marked `uncertain`",
    ),
    Setting(
        "STORE",
        "on",
        one_of("on", "required", "off"),
        "`on` keeps every image with its answer, and also answers if it cannot be kept; "
        "`required` refuses images that cannot be kept; "
        "`off` keeps nothing",
    ),
    Setting(
        "DATABASE_URL",
        None,
        database_url,
        "the database, such as `postgresql://user:password@host/name`; if unset, SQLite's file "
        "`submissions.db` in the instance folder",
    ),
    Setting(
        "STORE_DURABILITY",
        "process",
        one_of("process", "power"),
        "what SQLite's commits survive: the end of any `process`, or a `power` cut too",
    ),
    Setting(
        "PICTURES",
        None,
        place,
        "where images above `PICTURES_ABOVE_BYTES` lie: a folder, `s3://bucket/folder` or "
        "`gs://bucket/folder`; if unset, in the database; a relative path starts at the instance "
        "folder",
    ),
    Setting(
        "PICTURES_ABOVE_BYTES",
        65_536,
        at_least(0),
        "larger images than this, in bytes, lie where `PICTURES` says",
    ),
    Setting(
        "PREDICT_KEY_REQUIRED",
        False,
        switch,
        "`true`: `/predict` and the routes below it need a key with the scope `predict` or "
        "`operate`; keys need a store",
    ),
    Setting(
        "LABEL_RATE_LIMIT",
        "60 per minute",
        rate,
        "how many labels one client may send; operators are exempt; `off`: any number",
    ),
    Setting(
        "PREDICT_RATE_LIMIT",
        "off",
        rate,
        "how many requests one client may send to `/predict` and the routes below it; a batch is "
        "one request",
    ),
    Setting(
        "RATE_LIMIT_STORAGE",
        "memory",
        rate_limit_storage,
        "where requests are counted: in the `memory` of each process separately, or for all "
        "processes in `redis://host:6379/0`",
    ),
    Setting(
        "CORS_ORIGINS",
        None,
        origins,
        "origins whose pages may send requests that are kept, such as `https://example.org`, "
        "separated by commas; `*`: all; if unset, none",
    ),
    Setting(
        "TRUSTED_PROXIES",
        0,
        at_least(0),
        "how many proxies are in front of the service, each of which appends an address to "
        "`X-Forwarded-For`; 0: the header is ignored",
    ),
    Setting(
        "CLIENT_IPV6_BITS",
        64,
        ipv6_bits,
        "how many bits of an IPv6 address identify a client; 56 counts the addresses that many "
        "providers give a household as one client",
    ),
    Setting(
        "KEEP_DAYS",
        None,
        days,
        "erase submissions that are older than this number of days, such as 90 or 0.5; if unset, "
        "none",
    ),
    Setting(
        "KEEP_SUBMISSIONS",
        None,
        at_least(1),
        "most submissions that are kept; beyond it the oldest are erased, except those that an "
        "operator has labelled",
    ),
    Setting(
        "KEEP_BYTES",
        None,
        at_least(1),
        "most bytes of images that are kept, identical images counted once; as `KEEP_SUBMISSIONS`",
    ),
    Setting(
        "KEEP_DISK_SHARE",
        0.5,
        share,
        "largest share of the disk for SQLite's database, of the free space and its own; beyond it "
        "the oldest are erased, those that operators have labelled last; 1: no limit",
    ),
    Setting(
        "KEEP_FREE_BYTES",
        None,
        at_least(0),
        "if less is free on SQLite's disk, in bytes, nothing more is kept; if unset, 5 % of the "
        "disk, at most 1 GiB",
    ),
    Setting(
        "KEEP_BATCH_DAYS",
        1,
        days,
        "for how many days the answers of an asynchronous batch are kept after its end, and one "
        "that no worker takes",
    ),
    Setting(
        "MAX_ASYNC_BATCHES",
        10,
        at_least(1),
        "most asynchronous batches of one key that are kept at once, or of one client without a "
        "key; more are answered 429",
    ),
    Setting(
        "MAX_ASYNC_BYTES",
        1024 * MIB,
        at_least(1),
        "most bytes of the bodies and answers of these batches together",
    ),
    Setting(
        "HOUSEKEEPING",
        "on",
        one_of("on", "off"),
        "`on`: the service applies these limits about every ten minutes; `off`: only "
        "`.venv/bin/python -m flaskapi housekeeping` does",
    ),
    Setting(
        "LOG_LEVEL",
        "INFO",
        one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        "lowest severity that is logged: DEBUG, INFO, WARNING or ERROR",
    ),
    Setting(
        "LOG_FORMAT",
        "text",
        one_of("text", "requests", "json"),
        "`text`: messages that do not belong to a request; `requests`: short lines for a person, "
        "one for each request too, which `make run` sets; `json`: the same as a JSON object in "
        "each line",
    ),
    Setting(
        "LOG_FILE",
        None,
        path,
        "file for the log, in the instance folder; it may be moved away at any time; if unset, "
        "standard error",
    ),
)


def find_instance_path(overrides: Mapping[str, Any] | None = None) -> str | None:
    """The folder for the service's files, if `INSTANCE_PATH` names one; None leaves it to Flask."""
    given = (overrides or {}).get("INSTANCE_PATH") or os.environ.get(PREFIX + "INSTANCE_PATH")
    return str(Path(given).absolute()) if given else None


def load_config(instance_path: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Load the settings: defaults < `config.toml` in the instance folder < `FLASKAPI_*` <
    overrides.

    Overrides may have unknown keys, because Flask has its own. `SETTING_SOURCES` has the source of
    each setting: `default`, `config.toml`, `environment` or `create_app`.

    Raises:
        SettingError: an unknown key in the file or the environment, or an invalid value.
    """
    instance = Path(instance_path)
    values = {setting.name: setting.default for setting in SETTINGS}
    sources = dict.fromkeys(values, "default")
    for source, kind, given in (
        (str(instance / "config.toml"), "config.toml", _read_file(instance / "config.toml")),
        ("the environment", "environment", read_environment()),
        ("create_app", "create_app", dict(overrides or {})),
    ):
        sources |= {name: kind for name in given if name in sources}
        for name, value in given.items():
            if name not in values and source != "create_app":
                raise SettingError(
                    f"{name} in {source}: no such setting. The settings are: {', '.join(values)}."
                )
            if name == "INSTANCE_PATH" and source.endswith("config.toml"):
                raise SettingError(
                    f"{name} in {source}: this file is in the folder that the setting would name; "
                    f"set it in the environment."
                )
            values[name] = _convert(name, value, source)
    if values["PREDICT_KEY_REQUIRED"] and values["STORE"] == "off":
        raise SettingError(
            "PREDICT_KEY_REQUIRED needs keys, which are kept in the store, but STORE is off: set "
            "STORE to on or required."
        )
    if values["VERSIONS_STORE"] == "database" and values["STORE"] == "off":
        raise SettingError(
            "VERSIONS_STORE = database needs the store, but STORE is off: set STORE to on or "
            "required."
        )
    for name in ("VERSIONS_PATH", "CACHE_PATH", "METRICS_PATH", "LOG_FILE"):
        if values[name] is not None:
            values[name] = instance / values[name]
    for name in ("MODEL_PATH", "DETECTOR_PATH", "MNIST_PATH"):
        if values[name] is not None:
            values[name] = PACKAGE.parent / values[name]
    if values["PICTURES"] is not None and "://" not in values["PICTURES"]:
        values["PICTURES"] = str(instance / values["PICTURES"])
    values["MAX_CONTENT_LENGTH"] = values["MAX_REQUEST_BYTES"]
    values["MAX_FORM_MEMORY_SIZE"] = values["MAX_FORM_FIELD_BYTES"]
    values["SETTING_SOURCES"] = sources
    return values


_PASSWORD = re.compile(r"^(\w[\w+.-]*://[^:]*):.*@", re.DOTALL)  # a user name may contain an @
_ARGUMENT = re.compile(r"(?<=[?&])([^=&]*)=[^&]*")


def hide_secrets(value: Any) -> Any:
    """A setting's value without passwords: those of an address, and the values of its query.

    >>> hide_secrets("postgresql://web:pass@word/@db/digits?sslpassword=x&host=y")
    'postgresql://web:…@db/digits?sslpassword=…&host=…'
    >>> hide_secrets("redis://:secret@localhost:6379/0"), hide_secrets("sqlite:////srv/a.db")
    ('redis://:…@localhost:6379/0', 'sqlite:////srv/a.db')
    """
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, str) or "://" not in value:
        return value
    return _ARGUMENT.sub(r"\1=…", _PASSWORD.sub(r"\1:…@", value))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingError(f"{path}: cannot be read as TOML: {error}") from error


def read_environment() -> dict[str, str]:
    """The settings in the environment, by their names without `FLASKAPI_`."""
    return {
        key.removeprefix(PREFIX): value
        for key, value in os.environ.items()
        if key.startswith(PREFIX)
    }


def wants_color(is_terminal: bool) -> bool:
    """Whether lines are coloured: on a terminal, unless the environment says otherwise by NO_COLOR
    or FORCE_COLOR, as many programs have it.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return is_terminal or bool(os.environ.get("FORCE_COLOR"))


def _convert(name: str, value: Any, source: str) -> Any:
    setting = next((row for row in SETTINGS if row.name == name), None)
    if setting is None or value is None:
        return value  # Flask's own keys, such as TESTING, pass through create_app
    try:
        return setting.parse(value)
    except (TypeError, ValueError):
        # A password must not reach the log.
        found = "something else" if name in ("DATABASE_URL", "RATE_LIMIT_STORAGE") else repr(value)
        raise SettingError(
            f"{name} in {source}: expected {setting.parse.__doc__}, found {found}."
        ) from None
