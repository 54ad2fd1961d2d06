"""What is backed up in tests, and a machine that has nothing yet."""

import json
from pathlib import Path

import psycopg
import pytest

VERSION = "2026-01-01-00000000"
POINTER = json.dumps({"version": VERSION, "generation": 3})


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(folder))
    monkeypatch.setenv("FLASKAPI_STORE", "on")


def address(instance: Path) -> str:
    (line,) = [
        line for line in (instance / "config.toml").read_text().splitlines() if "DATABASE" in line
    ]
    return line.split('"')[1]


def empty_again(url: str) -> None:
    """What a new machine has."""
    if url.startswith("sqlite"):
        for path in Path(url.removeprefix("sqlite:///")).parent.glob("submissions.db*"):
            path.unlink()
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
