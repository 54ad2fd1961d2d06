"""Keras's own format, `.keras`: a ZIP of the configuration and the weights."""

import json
import zipfile
from pathlib import Path
from typing import Any

from flaskapi.errors import ModelFileError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LARGEST_TEXT, _LARGEST_WEIGHTS = 16 << 20, 2 << 30


def is_archive(path: Path) -> bool:
    """Is this a file in that format, whatever its suffix?"""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\3\4"
    except OSError:
        return False


def read_archive_config(path: Path) -> tuple[dict[str, Any], str]:
    """Read the configuration of a model, and the version of Keras that saved it.

    Raises:
        ModelFileError: it is no such file, or contains more than a model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            _check_members(path, sizes)
            config = json.loads(archive.read(CONFIG))
            metadata = json.loads(archive.read(METADATA))
    except ModelFileError:
        raise
    except Exception as error:  # zipfile, zlib and json each have several kinds
        raise ModelFileError(
            f"{path.name}: a ZIP archive, and not a Keras model file, or damaged."
        ) from error
    if not isinstance(config, dict) or not {"class_name", "config"} <= config.keys():
        raise ModelFileError(f"{path.name}: does not contain a whole model.")
    version = metadata.get("keras_version", "unknown") if isinstance(metadata, dict) else "unknown"
    return config, str(version)


def _check_members(path: Path, sizes: dict[str, int]) -> None:
    if missing := {CONFIG, METADATA, WEIGHTS} - sizes.keys():
        raise ModelFileError(
            f"{path.name}: a ZIP archive, and not a Keras model file: it has no "
            f"{', '.join(sorted(missing))}."
        )
    if more := [name for name in sizes if name not in (CONFIG, METADATA, WEIGHTS)]:
        raise ModelFileError(
            f"{path.name}: contains more than a model: {more[0][:60]!r}. Only layers without files "
            f"of their own are read."
        )
    if sizes[WEIGHTS] > _LARGEST_WEIGHTS or max(sizes[CONFIG], sizes[METADATA]) > _LARGEST_TEXT:
        raise ModelFileError(f"{path.name}: unpacks to more than a model for digits can have.")
