"""From many named images to as many answers, in order; which reading is done on each is a matter of
its route.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from flaskapi.digits import NormalizedDigit
from flaskapi.errors import FlaskapiError, MissingImageError, ModelUnavailableError
from flaskapi.reading.digit import Classifier, Prediction, Reading, predict_digits
from flaskapi.reading.number import Detector, NumberPrediction, predict_number
from flaskapi.sources import Item

Route = Literal["digit", "number"]
Outcome = Prediction | NumberPrediction | Exception
Reader = Callable[
    [Iterable[bytes | FlaskapiError]], Iterator[Reading | NumberPrediction | Exception]
]


class Answer(NamedTuple):
    """The answer for one image of many: a prediction, or what was wrong; what is no `FlaskapiError`
    is a fault of ours.

    `image` is the file, and `normalized` what the network saw of a digit.
    """

    name: str
    outcome: Outcome
    image: bytes = b""
    normalized: NormalizedDigit | None = None


def choose_reader(
    route: Route,
    classifier: Classifier,
    detector: Detector,
    *,
    max_pixels: int,
    uncertain_below: float,
) -> Reader:
    """Choose what is read in each image: one digit, or a number."""

    def read_digits(images: Iterable[bytes | FlaskapiError]) -> Iterator[Reading | Exception]:
        return predict_digits(
            images, classifier, max_pixels=max_pixels, uncertain_below=uncertain_below
        )

    if route == "digit":
        return read_digits

    def read_number(image: bytes | FlaskapiError) -> NumberPrediction | Exception:
        if isinstance(image, FlaskapiError):
            return image
        try:
            return predict_number(
                image, classifier, detector, max_pixels=max_pixels, uncertain_below=uncertain_below
            )
        except ModelUnavailableError:  # the service's error, not the image's
            raise
        except Exception as error:
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None) if isinstance(error, FlaskapiError) else error

    return lambda images: map(read_number, images)


def answer_items(items: Iterable[Item], read: Reader) -> Iterator[Answer]:
    """Answer each item under its name, in order, without holding more of them than `read` does.

    Raises:
        ModelUnavailableError: there is no model.
    """
    waiting: deque[Item] = deque()

    def contents() -> Iterator[bytes | FlaskapiError]:
        for item in items:
            waiting.append(item)
            yield item.content or MissingImageError("The image is empty.")

    for outcome in read(contents()):
        name, content = waiting.popleft()
        image = content if isinstance(content, bytes) else b""
        if isinstance(outcome, Reading):
            yield Answer(name, outcome.prediction, image, outcome.normalized)
        else:
            yield Answer(name, outcome, image)
