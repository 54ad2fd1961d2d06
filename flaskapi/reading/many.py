"""Answer many named images, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from flaskapi.digits import NormalizedDigit
from flaskapi.digits.pages import split_pages
from flaskapi.errors import FlaskapiError, MissingImageError, ModelUnavailableError
from flaskapi.reading.predictions import DigitReading, NumberPrediction, Prediction
from flaskapi.sources import Item

Route = Literal["digit", "number"]
Outcome = Prediction | NumberPrediction | Exception
ReadAll = Callable[
    [Iterable[bytes | FlaskapiError]], Iterator[DigitReading | NumberPrediction | Exception]
]


class Answer(NamedTuple):
    """The answer for one image of many: a prediction, or the image's error.

    An error that is no `FlaskapiError` is a bug of this project.
    """

    name: str
    outcome: Outcome
    image: bytes = b""  # the file
    normalized: NormalizedDigit | None = None  # the network's input, for a digit


def split_items(items: Iterable[Item], max_pixels: int) -> Iterator[Item]:
    """Give each page of a TIFF or PDF as a separate item, named by its number, `scan.pdf#2`; other
    items stay as they are.

    Args:
        items: named image files.
        max_pixels: see `decode_image`.
    """
    for item in items:
        if not isinstance(item.content, bytes):
            yield item
            continue
        try:
            for number, page in enumerate(split_pages(item.content, max_pixels=max_pixels), 1):
                is_whole = page is item.content
                yield item if is_whole else Item(f"{item.name}#{number}", page)
        except FlaskapiError as error:
            yield item._replace(content=error)


def answer_items(items: Iterable[Item], read_all: ReadAll) -> Iterator[Answer]:
    """Answer each item under its name, in order, and hold no more of them than `read_all` does.

    Raises:
        ModelUnavailableError: there is no model.
    """
    waiting: deque[Item] = deque()

    def contents() -> Iterator[bytes | FlaskapiError]:
        for item in items:
            waiting.append(item)
            yield item.content or MissingImageError("The image is empty.")

    for outcome in read_all(contents()):
        name, content = waiting.popleft()
        image = content if isinstance(content, bytes) else b""
        if isinstance(outcome, DigitReading):
            yield Answer(name, outcome.prediction, image, outcome.normalized)
        else:
            yield Answer(name, outcome, image)


def each(
    read: Callable[[bytes], NumberPrediction],
) -> Callable[[Iterable[bytes | FlaskapiError]], Iterator[NumberPrediction | Exception]]:
    """Turn a function for one image into one for many; an image's error becomes its answer."""

    def read_one(image: bytes | FlaskapiError) -> NumberPrediction | Exception:
        if isinstance(image, FlaskapiError):
            return image
        try:
            return read(image)
        except ModelUnavailableError:  # the service's error, not the image's
            raise
        except Exception as error:
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None) if isinstance(error, FlaskapiError) else error

    return lambda images: map(read_one, images)
