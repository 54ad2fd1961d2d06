"""One task after the other: images in, parts of rows out."""

import io
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from flaskapi.commands.predict.workers import load_reader
from flaskapi.commands.score import plan
from flaskapi.commands.score.places import ListedFile, Storage, find_place
from flaskapi.commands.score.plan import ScoreTask
from flaskapi.commands.score.tables import MAGIC, encode_rows, make_schemas, read_images
from flaskapi.contract.answers import to_result
from flaskapi.errors import FlaskapiError, MissingImageError
from flaskapi.reading.many import Route, split_items
from flaskapi.reading.reader import Reader
from flaskapi.sources import Allowance, Item
from flaskapi.sources.archives import read_file
from flaskapi.sources.paths import SUFFIXES, name_members, readable

Result = dict[str, Any]
PREDICTIONS, FAILED = "predictions", "failed"  # the folders of a target


class ScoreWork(NamedTuple):
    """What all tasks have in common. `model` is the version that is to answer."""

    source: str
    target: str
    route: Route
    model: str
    settings: str  # that change answers, as text


class Counts(NamedTuple):
    """Images that were read, and those of them without an answer."""

    images: int
    failed: int


class Scorer:
    """Reads the images of tasks with one model, which is loaded once."""

    def __init__(self, work: ScoreWork, reader: Reader | None = None, image_bytes: int = 0) -> None:
        """Load the model and the settings of a web process, unless they are given.

        Raises:
            ModelUnavailableError: there is no model.
            FlaskapiError: another version of it serves here, or other settings are in force.
        """
        if reader is None:
            reader, config = load_reader(work.route)
            image_bytes = config["MAX_REQUEST_BYTES"]
        if reader.classifier.version != work.model:
            raise FlaskapiError(
                f"The model {reader.classifier.version} serves here, not {work.model}, with which "
                f"{work.target} was begun. Let that one serve, or name another target."
            )
        if tell_settings(reader, image_bytes) != work.settings:
            raise FlaskapiError(
                "The settings here differ from those of the command: FLASKAPI_* or config.toml."
            )
        self._work, self._reader, self._image_bytes = work, reader, image_bytes
        self._source, self._target = find_place(work.source), find_place(work.target)
        self._schemas = make_schemas(work.route)

    def score(self, task: ScoreTask, done: int = 0) -> Iterator[Counts]:
        """Do a task but for its first parts, which are `done`, and count each part."""
        items = split_items(self._read(task), self._reader.limits.max_pixels)
        answers = self._reader.many(
            islice(items, done * plan.ROWS, None), self._work.route, split=False
        )
        for place, (rows, is_last) in enumerate(_cut(map(to_result, answers)), done):
            failed = [_as_failed(row) for row in rows if "error" in row]
            name = task.part_name(place, is_last=is_last)
            if failed:
                self._write(FAILED, name, failed, self._schemas[1])
            # After this one the part is done.
            read = [row for row in rows if "error" not in row]
            self._write(PREDICTIONS, name, read, self._schemas[0])
            yield Counts(len(rows), len(failed))

    def _write(self, folder: str, name: str, rows: list[Result], schema: Any) -> None:
        self._target.write(f"{self._work.target}/{folder}/{name}", encode_rows(rows, schema))

    def _read(self, task: ScoreTask) -> Iterator[Item]:
        allowance = Allowance(self._image_bytes)
        if task.is_of_many:
            yield from _read_many(self._source, task, allowance)
            return
        for file, content in zip(task.files, self._source.read(task.files, allowance), strict=True):
            yield from _read_one(file, content, allowance)


def tell_settings(reader: Reader, image_bytes: int) -> str:
    """The settings that change answers, as text, to compare those of two machines."""
    return repr((reader.limits, image_bytes))


def _read_one(
    file: ListedFile, content: bytes | FlaskapiError, allowance: Allowance
) -> Iterator[Item]:
    """The image of a file; without an image's suffix it may be an archive."""
    name = readable(file.path)
    if isinstance(content, FlaskapiError) or file.suffix in SUFFIXES:
        yield Item(name, content)
        return
    try:
        yield from name_members(read_file(io.BytesIO(content), name, allowance), name)
    except FlaskapiError as error:
        yield Item(name, error)


def _read_many(place: Storage, task: ScoreTask, allowance: Allowance) -> Iterator[Item]:
    path = task.files[0].path
    name = readable(path)
    try:
        with place.open(path) as file:
            is_table = file.read(len(MAGIC)) == MAGIC
            file.seek(0)
            read = read_images if is_table else read_file
            yield from name_members(read(file, name, allowance, task.piece), name)
    except FlaskapiError as error:
        if task.piece.number == 0:
            yield Item(name, error)
    except OSError as error:
        yield Item(name, MissingImageError(f"It cannot be read: {error.strerror or error}."))


def _cut(rows: Iterator[Result]) -> Iterator[tuple[list[Result], bool]]:
    """Parts of `ROWS`, and whether it is the last, which may have fewer."""
    part = list[Result]()
    for row in rows:
        if len(part) == plan.ROWS:
            yield part, False
            part = []
        part.append(row)
    yield part, True


def _as_failed(row: Result) -> Result:
    error = row["error"]
    return {
        "name": row["name"],
        "error": error["type"].rpartition("/")[2],
        "detail": error["detail"],
    }
