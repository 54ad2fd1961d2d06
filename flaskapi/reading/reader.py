"""`Reader` reads images without HTTP. Routes, commands and callers in Python share it."""

from collections.abc import Iterable, Iterator

from flaskapi.config import shipped_model
from flaskapi.digits import Digit
from flaskapi.errors import FlaskapiError, InvalidRequestError
from flaskapi.reading.checks import Check
from flaskapi.reading.digit import predict_digit, predict_digits
from flaskapi.reading.many import Answer, Route, answer_items, each, split_items
from flaskapi.reading.number import NumberQuery, cut_number, predict_number
from flaskapi.reading.predictions import DigitReading, NumberPrediction
from flaskapi.reading.protocols import Classifier, Detector, Limits
from flaskapi.reading.readings import ANY
from flaskapi.sources import Item

DEFAULTS = Limits()


class Reader:
    """Reads digits and numbers with the given models.

    >>> from flaskapi import Reader
    >>> reader = Reader()
    >>> with open("examples/7.png", "rb") as file:
    ...     reader.digit(file.read()).prediction.digit
    7
    """

    def __init__(
        self,
        classifier: Classifier | None = None,
        detector: Detector | None = None,
        limits: Limits = DEFAULTS,
    ) -> None:
        """Keep the models; load the included one in place of a missing one.

        Raises:
            ModelUnavailableError: an included model cannot be loaded; the text says why.
        """
        if classifier is None or detector is None:
            # Not at the top: a caller with other models does not need ONNX Runtime.
            from flaskapi.serving.classifier import load_classifier
            from flaskapi.serving.detector import load_detector

            folder = shipped_model("my_model.h5").parent
            classifier = classifier or load_classifier(folder / "my_model.h5", folder)
            detector = detector or load_detector(folder / "detector.h5", folder)
        self.classifier, self.detector, self.limits = classifier, detector, limits

    def digit(self, image: bytes) -> DigitReading:
        """Read the one digit in an image file; see `predict_digit`."""
        return predict_digit(image, self.classifier, self.limits, self.detector)

    def number(
        self,
        image: bytes,
        pattern: str | None = None,
        length: int | None = None,
        alternatives: int = 0,
        check: Check | None = None,
    ) -> NumberPrediction:
        """Read the number in an image file; see `predict_number`.

        Args:
            image: a whole image file.
            pattern: a character for each digit, `d` for any, such as `05dddddddd`.
            length: the number of digits; the same as a pattern of so many `d`.
            alternatives: how many other readings to give, the likeliest first.
            check: the rule of the number's check digit; see `passes`.

        Raises:
            InvalidRequestError: pattern and length do not agree.
            FlaskapiError: one of the kinds that `predict_digit` names.
        """
        if pattern is not None and length is not None and length != len(pattern):
            raise InvalidRequestError(
                f"The 'length' is {length}, but the 'pattern' has {len(pattern)} characters."
            )
        if pattern is None and length is not None:
            pattern = ANY * length
        wanted = NumberQuery(pattern, alternatives, check)
        return predict_number(image, self.classifier, self.detector, self.limits, wanted)

    def cut_number(self, image: bytes, number: str) -> list[Digit] | None:
        """Cut out the digits of a number that is known; see `cut_number`."""
        return cut_number(image, number, self.classifier, self.detector, self.limits)

    def many(
        self, items: Iterable[Item], route: Route = "digit", *, split: bool = True
    ) -> Iterator[Answer]:
        """Read one digit, or one number, in each of many images, in order.

        Args:
            items: named image files; an item that is an error is answered with it.
            route: what each image shows, a digit or a number.
            split: read each page of a TIFF or PDF, not only the first.

        Raises:
            ModelUnavailableError: there is no model.
        """
        if split:
            items = split_items(items, self.limits.max_pixels)
        return answer_items(items, each(self.number) if route == "number" else self._digits)

    def _digits(
        self, images: Iterable[bytes | FlaskapiError]
    ) -> Iterator[DigitReading | Exception]:
        return predict_digits(images, self.classifier, self.limits, self.detector)

    def check(self, route: Route = "digit") -> None:
        """Fail early if a model is missing.

        Raises:
            ModelUnavailableError: a model is missing; the text says why.
        """
        for model in (self.classifier, self.detector) if route == "number" else (self.classifier,):
            _ = model.card
