"""Ask for each image, either the classifier in this process or a service over HTTP. An error is an
answer too.
"""

import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple

from flaskapi.digits import Box
from flaskapi.digits.encode import encode_png
from flaskapi.errors import (
    FlaskapiError,
    ModelUnavailableError,
    NoDigitFoundError,
    ServiceUnreachableError,
)
from flaskapi.evaluation.labelled import LabelledImage
from flaskapi.evaluation.measures import LINE_END, Outcome
from flaskapi.reading.reader import Reader

TIMEOUT_S = 60


class Answered(NamedTuple):
    """An outcome with its picture: what the network saw of a digit (a 28x28 PNG), or the boxes of a
    number's digits.
    """

    outcome: Outcome
    normalized: bytes = b""
    boxes: tuple[Box, ...] = ()


Ask = Callable[[LabelledImage], Answered]


def ask_digits(reader: Reader) -> Ask:
    """Read digits in this process, as `/predict` does.

    The returned function raises ModelUnavailableError.
    """

    def read(image: LabelledImage) -> Answered:
        prediction, normalized = reader.digit(image.read())
        outcome = Outcome(
            image.name,
            image.label,
            str(prediction.digit),
            prediction.confidence,
            prediction.uncertain,
        )
        return Answered(outcome, encode_png(normalized.pixels))

    return _refusing(read)


def ask_numbers(reader: Reader) -> Ask:
    """Read numbers in this process, as `/predict/number` does.

    The returned function raises ModelUnavailableError.
    """

    def read(image: LabelledImage) -> Answered:
        prediction = reader.number(image.read())
        said = LINE_END.join(prediction.lines)
        outcome = Outcome(
            image.name, image.label, said, prediction.confidence, prediction.uncertain
        )
        return Answered(outcome, boxes=tuple(digit.box for digit in prediction.digits))

    return _refusing(read)


def _refusing(read: Ask) -> Ask:
    """Turn the error of an image into an outcome."""

    def ask(image: LabelledImage) -> Answered:
        try:
            return read(image)
        except ModelUnavailableError:
            raise
        except FlaskapiError as error:
            refused = not isinstance(error, NoDigitFoundError)
            return Answered(
                Outcome(image.name, image.label, None, problem=str(error), refused=refused)
            )

    return ask


def ask_service(url: str, *, numbers: bool = False) -> Ask:
    """Send images to a running service.

    The returned function raises ServiceUnreachableError if nothing answers, if something else
    answers, or if the service is not ready.

    Args:
        url: where it is, such as `http://127.0.0.1:8000`.
        numbers: send them to `/predict/number`, not to `/predict`.
    """
    try:
        endpoint = urllib.parse.urljoin(
            url.rstrip("/") + "/", "predict/number" if numbers else "predict?include=normalized"
        )
        scheme = urllib.parse.urlsplit(endpoint).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        raise ServiceUnreachableError(
            f"{url}: expected the address of a service, such as http://127.0.0.1:8000."
        )
    understand = _number_of if numbers else _digit_of

    def ask(image: LabelledImage) -> Answered:
        status, answer = _post(endpoint, image.read())
        if status == 200:
            try:
                return understand(image, answer)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise ServiceUnreachableError(
                    f"{url}: the answer to {image.name} is not one of this service."
                ) from error
        if status in (400, 413, 415, 422):
            refused = not str(answer["type"]).endswith("/no-digit-found")
            return Answered(
                Outcome(
                    image.name, image.label, None, problem=str(answer["detail"]), refused=refused
                )
            )
        raise ServiceUnreachableError(
            f"{url}: answered {status} to {image.name}: {answer['detail']}"
        )

    return ask


def _digit_of(image: LabelledImage, answer: dict[str, Any]) -> Answered:
    outcome = Outcome(
        image.name,
        image.label,
        str(int(answer["digit"])),
        float(answer["confidence"]),
        answer["uncertain"],
    )
    return Answered(outcome, base64.b64decode(answer["normalized"].partition(",")[2]))


def _number_of(image: LabelledImage, answer: dict[str, Any]) -> Answered:
    lines = answer["lines"]
    if "".join(lines) != answer["number"]:
        raise ValueError("the lines are not the number's")
    boxes = tuple(
        Box(*(int(digit["box"][side]) for side in Box._fields)) for digit in answer["digits"]
    )
    return Answered(
        Outcome(
            image.name,
            image.label,
            LINE_END.join(lines),
            float(answer["confidence"]),
            answer["uncertain"],
        ),
        boxes=boxes,
    )


def _post(endpoint: str, data: bytes) -> tuple[int, dict[str, Any]]:
    if not endpoint.startswith(("http://", "https://")):
        raise ServiceUnreachableError(f"{endpoint}: expected http:// or https://.")
    request = urllib.request.Request(  # noqa: S310 checked above
        endpoint, data, {"Content-Type": "application/octet-stream"}
    )
    try:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 as above
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                answer = json.load(error)
                return error.code, {"detail": answer["detail"], "type": answer["type"]}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise ServiceUnreachableError(
            f"{endpoint}: this service does not answer there: {error}"
        ) from error
