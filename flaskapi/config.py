"""Every setting: its name, default, type and meaning in one table, and the one place that reads the
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
    """Make what parses a whole number, and says in its docstring what it expects.

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
    """Make what takes one of some names, and says in its docstring which."""

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
    """off, or a rate as '60 per minute' or '5 per 10 seconds'"""
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
    """Beside the package in a checkout, inside it where it was installed."""
    checkout = PACKAGE.parent / "models" / name
    return checkout if checkout.parent.is_dir() else PACKAGE / "models" / name


def _versions() -> Path:
    """Beside the shipped model in a checkout; where the package was installed, in the instance
    folder.
    """
    models = PACKAGE.parent / "models"
    return models / "versions" if models.is_dir() else Path("versions")


MIB = 1024 * 1024
# Werkzeug holds its 64 KiB read buffer, with whatever file is in it, against this limit.
LEAST_FORM_FIELD_BYTES = 131_072

SETTINGS = (
    Setting(
        "INSTANCE_PATH",
        None,
        path,
        "folder for all that the service writes but versions, and for `config.toml`; by default "
        "Flask's `instance/`",
    ),
    Setting(
        "MODEL_PATH",
        shipped_model("my_model.h5"),
        path,
        "the model file; its compiled form is looked for beside it; a relative path counts from "
        "the folder of the checkout",
    ),
    Setting(
        "DETECTOR_PATH",
        shipped_model("detector.h5"),
        path,
        "the model that finds the digits of a number, in the same way",
    ),
    Setting(
        "VERSIONS_PATH",
        _versions(),
        path,
        "folder of the versions, the same for all instances of a checkout; a relative path counts "
        "from the instance folder, "
        "as `versions` does, the default after `pip install .`",
    ),
    Setting(
        "MNIST_PATH",
        None,
        path,
        "where `retrain` finds MNIST: a folder with its four files, or an `.npz`; unset: Keras "
        "downloads it",
    ),
    Setting(
        "CACHE_PATH",
        Path("cache"),
        path,
        "folder, in the instance folder, for the compiled form if the model's own is read-only",
    ),
    Setting(
        "METRICS_PATH",
        None,
        path,
        "folder, in the instance folder, in which processes share their metrics; unset: each has "
        "its own",
    ),
    Setting(
        "MAX_REQUEST_BYTES",
        16 * MIB,
        at_least(1),
        "largest request body, and largest image of many, in bytes",
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
        "most parts in one multipart body; `/predict/batch` takes `MAX_BATCH_IMAGES` more",
    ),
    Setting(
        "MAX_BATCH_BYTES",
        256 * MIB,
        at_least(1),
        "largest body of `/predict/batch`, and the most that it may unpack to, in bytes",
    ),
    Setting(
        "MAX_BATCH_IMAGES", 100_000, at_least(1), "most images in one request to `/predict/batch`"
    ),
    Setting(
        "COMPUTING_AT_ONCE",
        3,
        at_least(1),
        "how many requests one process works on at once; others wait for their turn, at most 10 s, "
        "and those that still send wait outside",
    ),
    Setting(
        "MAX_BATCHES",
        8,
        at_least(1),
        "how many requests to `/predict/batch` one process takes in at once; more are answered 503",
    ),
    Setting(
        "PROCESS_MEMORY_BYTES",
        800 * MIB,
        at_least(256 * MIB),
        "under Apache a process that has more memory than this, in bytes, finishes what it does, "
        "and another takes its place",
    ),
    Setting(
        "MAX_IMAGE_PIXELS",
        25_000_000,
        at_least(1),
        "most pixels of an image, by its header, before it is decoded",
    ),
    Setting(
        "MAX_IMAGE_CPU_S",
        0.6,
        seconds,
        "most seconds of computing that decoding one image takes; an image that needs more is "
        "answered 413",
    ),
    Setting(
        "MAX_IMAGE_MEMORY_BYTES",
        176 * MIB,
        at_least(16 * MIB),
        "most memory that decoding one image takes, in bytes; an image that needs more is "
        "answered 413",
    ),
    Setting(
        "UNCERTAIN_BELOW",
        0.95,
        share,
        "an answer with less confidence than this is marked `uncertain`",
    ),
    Setting(
        "STORE",
        "on",
        one_of("on", "required", "off"),
        "`on` keeps every image with its answer, and answers without it where that cannot be; "
        "`required` answers only what it has kept; "
        "`off` keeps nothing",
    ),
    Setting(
        "DATABASE_URL",
        None,
        database_url,
        "where they are kept, such as `postgresql://user:password@host/name`; unset: SQLite, in "
        "`submissions.db` in the instance folder",
    ),
    Setting(
        "STORE_DURABILITY",
        "process",
        one_of("process", "power"),
        "what SQLite's commits survive: the end of any `process`, or a cut of `power` too",
    ),
    Setting(
        "PREDICT_KEY_REQUIRED",
        False,
        switch,
        "`true`: `/predict` and what is below it answer only who has a key of the scope `predict` "
        "or `operate`; keys need a store",
    ),
    Setting(
        "LABEL_RATE_LIMIT",
        "60 per minute",
        rate,
        "how many labels one client may send, operators excepted; `off`: any number",
    ),
    Setting(
        "PREDICT_RATE_LIMIT",
        "off",
        rate,
        "how many requests one client may send to `/predict` and what is below it; one to "
        "`/predict/batch` is one",
    ),
    Setting(
        "RATE_LIMIT_STORAGE",
        "memory",
        rate_limit_storage,
        "where requests are counted: in the `memory` of each process, which knows of its own only, "
        "or for all in `redis://host:6379/0`",
    ),
    Setting(
        "CORS_ORIGINS",
        None,
        origins,
        "pages of which other origins may ask and be kept, as `https://example.org`, with commas "
        "between them; `*`: of all; unset: none",
    ),
    Setting(
        "TRUSTED_PROXIES",
        0,
        at_least(0),
        "how many proxies stand before the service, each adding to `X-Forwarded-For` who asked it; "
        "0: that header is not believed",
    ),
    Setting(
        "CLIENT_IPV6_BITS",
        64,
        ipv6_bits,
        "how many bits of an IPv6 address tell one client from another; 56 counts together what "
        "many providers give one household",
    ),
    Setting(
        "KEEP_DAYS",
        None,
        days,
        "erase what was received before so many days, as 90 or 0.5; unset: what is kept stays",
    ),
    Setting(
        "KEEP_SUBMISSIONS",
        None,
        at_least(1),
        "most submissions that are kept; of more the oldest are erased, but none that an operator "
        "has labelled",
    ),
    Setting(
        "KEEP_BYTES",
        None,
        at_least(1),
        "most bytes of images that are kept, each image once, in the same way",
    ),
    Setting(
        "KEEP_DISK_SHARE",
        0.5,
        share,
        "most of the disk that SQLite's database may take, of what is free there and its own; of "
        "more the oldest are erased, what operators have labelled last; 1: no such bound",
    ),
    Setting(
        "KEEP_FREE_BYTES",
        None,
        at_least(0),
        "while less is free on SQLite's disk, nothing more is kept; unset: 5 % of the disk, 1 GiB "
        "at most",
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
        "least severe message that is logged: DEBUG, INFO, WARNING or ERROR",
    ),
)


def find_instance_path(overrides: Mapping[str, Any] | None = None) -> str | None:
    """The folder for what the service writes, where `INSTANCE_PATH` names one; None leaves it to
    Flask's rule.
    """
    given = (overrides or {}).get("INSTANCE_PATH") or os.environ.get(PREFIX + "INSTANCE_PATH")
    return str(Path(given).absolute()) if given else None


def load_config(instance_path: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Put the settings together: defaults < `config.toml` in the instance folder < `FLASKAPI_*` <
    overrides.

    Unknown keys among the overrides pass, for Flask has its own. `SETTING_SOURCES` says where the
    value of each setting comes from: `default`, `config.toml`, `environment` or `create_app`.

    Raises:
        SettingError: an unknown key in the file or the environment, or a value of the wrong form.
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
                    f"{name} in {source}: no such setting. There are: {', '.join(values)}."
                )
            if name == "INSTANCE_PATH" and source.endswith("config.toml"):
                raise SettingError(
                    f"{name} in {source}: this file lies in the folder that it would name; set it "
                    f"in the environment."
                )
            values[name] = _convert(name, value, source)
    if values["PREDICT_KEY_REQUIRED"] and values["STORE"] == "off":
        raise SettingError(
            "PREDICT_KEY_REQUIRED needs keys, and STORE is off, in which they would be kept: "
            "nobody could predict."
        )
    for name in ("VERSIONS_PATH", "CACHE_PATH", "METRICS_PATH"):
        if values[name] is not None:
            values[name] = instance / values[name]
    for name in ("MODEL_PATH", "DETECTOR_PATH", "MNIST_PATH"):
        if values[name] is not None:
            values[name] = PACKAGE.parent / values[name]
    values["MAX_CONTENT_LENGTH"] = values["MAX_REQUEST_BYTES"]
    values["MAX_FORM_MEMORY_SIZE"] = values["MAX_FORM_FIELD_BYTES"]
    values["SETTING_SOURCES"] = sources
    return values


_PASSWORD = re.compile(r"^(\w[\w+.-]*://[^:]*):.*@", re.DOTALL)  # a user's name may have an @
_ARGUMENT = re.compile(r"(?<=[?&])([^=&]*)=[^&]*")


def hide_secrets(value: Any) -> Any:
    """What may be shown of a setting's value: of an address no password, and nothing of its query.

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
    """The settings of the environment, by their names without `FLASKAPI_`."""
    return {
        key.removeprefix(PREFIX): value
        for key, value in os.environ.items()
        if key.startswith(PREFIX)
    }


def _convert(name: str, value: Any, source: str) -> Any:
    setting = next((row for row in SETTINGS if row.name == name), None)
    if setting is None or value is None:
        return value  # Flask's own keys, such as TESTING, pass through create_app
    try:
        return setting.parse(value)
    except (TypeError, ValueError):
        # A password is not for the log.
        found = "something else" if name in ("DATABASE_URL", "RATE_LIMIT_STORAGE") else repr(value)
        raise SettingError(
            f"{name} in {source}: expected {setting.parse.__doc__}, found {found}."
        ) from None
