"""Ask for each image: the classifier in this process, or a service over HTTP. Either way an error is an answer too."""

import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple

from flaskapi.digits.encode import encode_png
from flaskapi.errors import FlaskapiError, ModelUnavailableError, NoDigitFoundError, ServiceUnreachableError
from flaskapi.evaluation.labelled import LabelledImage
from flaskapi.evaluation.measures import Outcome
from flaskapi.recognition import Classifier, predict_digit

TIMEOUT_S = 60


class Answered(NamedTuple):
    """An outcome with what the network saw, a 28x28 PNG; empty where it saw nothing."""

    outcome: Outcome
    normalized: bytes


Ask = Callable[[LabelledImage], Answered]


def ask_classifier(classifier: Classifier, *, max_pixels: int, uncertain_below: float) -> Ask:
    """Read images in this process, as `/predict` does.

    The function that is given raises ModelUnavailableError.
    """

    def ask(image: LabelledImage) -> Answered:
        try:
            prediction, normalized = predict_digit(image.read(), classifier, max_pixels=max_pixels, uncertain_below=uncertain_below)
        except ModelUnavailableError:
            raise
        except FlaskapiError as error:
            refused = not isinstance(error, NoDigitFoundError)
            return Answered(Outcome(image.name, image.label, None, problem=str(error), refused=refused), b"")
        said = prediction.digit, prediction.confidence, prediction.uncertain
        return Answered(Outcome(image.name, image.label, *said), encode_png(normalized.pixels))

    return ask


def ask_service(url: str) -> Ask:
    """Send images to a running service.

    Args:
        url: where it is, such as `http://127.0.0.1:8000`.

    The function that is given raises ServiceUnreachableError where nothing, or something else, answers, or it is not ready.
    """
    try:
        endpoint = urllib.parse.urljoin(url.rstrip("/") + "/", "predict?include=normalized")
        scheme = urllib.parse.urlsplit(endpoint).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        raise ServiceUnreachableError(f"{url}: expected the address of a service, such as http://127.0.0.1:8000.")

    def ask(image: LabelledImage) -> Answered:
        status, answer = _post(endpoint, image.read())
        if status == 200:
            try:
                outcome = Outcome(image.name, image.label, answer["digit"], answer["confidence"], answer["uncertain"])
                return Answered(outcome, base64.b64decode(answer["normalized"].partition(",")[2]))
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise ServiceUnreachableError(f"{url}: answered {image.name} as no such service does.") from error
        if status in (400, 413, 415, 422):
            refused = not str(answer["type"]).endswith("/no-digit-found")
            return Answered(Outcome(image.name, image.label, None, problem=str(answer["detail"]), refused=refused), b"")
        raise ServiceUnreachableError(f"{url}: answered {status} to {image.name}: {answer['detail']}")

    return ask


def _post(endpoint: str, data: bytes) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(endpoint, data, {"Content-Type": "application/octet-stream"})
    try:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                answer = json.load(error)
                return error.code, {"detail": answer["detail"], "type": answer["type"]}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise ServiceUnreachableError(f"{endpoint}: no such service answers there: {error}") from error
