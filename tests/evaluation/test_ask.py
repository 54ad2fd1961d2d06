"""The classifier in this process and a service over HTTP give the same answers; what is no such
service is named.
"""

import contextlib
import http.server
import io
import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from flask import Flask
from PIL import Image as Pillow
from werkzeug import Response
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from flaskapi import create_app
from flaskapi.digits import Box
from flaskapi.errors import (
    InvalidImageError,
    ModelUnavailableError,
    NoDigitFoundError,
    ServiceUnreachableError,
)
from flaskapi.evaluation.ask import Answered, ask_digits, ask_numbers, ask_service
from flaskapi.evaluation.labelled import LabelledImage
from flaskapi.evaluation.measures import Outcome
from flaskapi.reading.predictions import NumberDigit, NumberPrediction
from flaskapi.reading.protocols import Limits
from flaskapi.reading.reader import Reader
from flaskapi.serving.classifier import NoClassifier

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PNG = encode(draw_digit(7))
FILES = {
    "digit.png": PNG,
    "digit.jpg": encode(draw_digit(7), "JPEG"),
    "blank.png": encode(np.full((50, 50), 255, np.uint8)),
    "cut-off.png": PNG[: len(PNG) // 2],
    "text.txt": b"I am no image.",
    "large.png": encode(np.zeros((200, 600), np.uint8)),
}
LIMITS = {"MAX_IMAGE_PIXELS": 100_000, "UNCERTAIN_BELOW": 0.8}


def ask_here(classifier: Any) -> Any:
    return ask_digits(Reader(classifier, FixedDetector(presence=-9.0), Limits(*LIMITS.values())))


def labelled(name: str, label: str | None = "7") -> LabelledImage:
    return LabelledImage(name, label, lambda: FILES[name])


@contextlib.contextmanager
def running(server: socketserver.BaseServer) -> Iterator[str]:
    """A server in a thread, and its address."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield "http://127.0.0.1:{1}".format(*server.server_address)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def serving(app: "WSGIApplication") -> contextlib.AbstractContextManager[str]:
    return running(make_server("127.0.0.1", 0, app))


class SpeaksNoHttp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
        with contextlib.suppress(ConnectionError):
            while self.request.recv(4096):
                pass


@pytest.mark.parametrize(("confidence", "uncertain"), [(0.9, False), (0.7, True)])
def test_an_answer_is_the_outcome_and_the_28x28_picture_that_the_network_saw(
    confidence: float, uncertain: bool
) -> None:
    classifier = FixedClassifier(7, confidence)
    outcome, normalized, boxes = ask_here(classifier)(labelled("digit.png", "1"))
    assert Outcome("digit.png", "1", "7", confidence, uncertain) == outcome
    assert () == boxes
    seen = np.asarray(Pillow.open(io.BytesIO(normalized), formats=["PNG"]))
    np.testing.assert_array_equal(seen, np.rint(classifier.batches[0][0, :, :, 0] * 255))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("blank.png", "blank"),
        ("cut-off.png", "truncated"),
        ("text.txt", "not an image"),
        ("large.png", "100,000 pixels"),
    ],
)
def test_a_file_in_which_nothing_can_be_read_is_an_answer_too(name: str, problem: str) -> None:
    answered = ask_here(FixedClassifier())(labelled(name))
    refused = name != "blank.png"
    assert (
        Answered(Outcome(name, "7", None, problem=answered.outcome.problem, refused=refused))
        == answered
    )
    assert problem in answered.outcome.problem


def test_a_service_answers_as_the_classifier_in_this_process(tmp_path: Path) -> None:
    images = [labelled(name, label) for name in FILES for label in ("7", None)]
    app = create_app(LIMITS | {"INSTANCE_PATH": tmp_path}, classifier=FixedClassifier())
    with serving(app) as url:
        assert list(map(ask_here(FixedClassifier()), images)) == list(map(ask_service(url), images))


@pytest.mark.parametrize("path", ["", "/", "/digits", "/digits/"])
def test_a_service_may_lie_below_the_root_and_its_address_may_end_in_a_slash(
    app: Flask, path: str
) -> None:
    with serving(DispatcherMiddleware(app, {"/digits": app})) as url:
        assert "7" == ask_service(url + path)(labelled("digit.png")).outcome.said


def test_without_a_model_nothing_is_asked_further(tmp_path: Path) -> None:
    """No count of wrong answers comes from a service that gives none."""
    classifier = NoClassifier("my_model.h5 is gone.")
    with pytest.raises(ModelUnavailableError, match=r"my_model\.h5 is gone"):
        ask_here(classifier)(labelled("digit.png"))
    with serving(create_app({"INSTANCE_PATH": tmp_path}, classifier=classifier)) as url:
        ask = ask_service(url)
        with pytest.raises(
            ServiceUnreachableError, match=r"answered 503 to digit\.png: my_model\.h5 is gone"
        ):
            ask(labelled("digit.png"))


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "file:///etc", "127.0.0.1:8000", "localhost", "http://["]
)
def test_what_is_no_address_of_a_service_is_named_before_anything_is_asked(url: str) -> None:
    with pytest.raises(
        ServiceUnreachableError, match=f"^{re.escape(url)}: expected the address of a service"
    ):
        ask_service(url)


def test_an_address_without_a_number_for_its_port_is_named() -> None:
    with pytest.raises(ServiceUnreachableError, match=r"http://127\.0\.0\.1:x"):
        ask_service("http://127.0.0.1:x")(labelled("digit.png"))


def test_where_nothing_listens_the_address_is_named() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ServiceUnreachableError, match=f"{url}.* Connection refused"):
            ask_service(url)(labelled("digit.png"))


@pytest.mark.parametrize("handler", [http.server.BaseHTTPRequestHandler, SpeaksNoHttp])
def test_a_server_of_another_kind_is_no_such_service(
    handler: type[socketserver.BaseRequestHandler],
) -> None:
    with (
        running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)) as url,
        pytest.raises(ServiceUnreachableError, match=url),
    ):
        ask_service(url)(labelled("digit.png"))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>Welcome</html>"),
        (200, '{"ok": true}'),
        (200, "[7]"),
        (404, '{"detail": "Not Found"}'),
        (422, '"no"'),
    ],
)
def test_a_server_of_other_answers_is_no_such_service(status: int, body: str) -> None:
    with serving(Response(body, status)) as url, pytest.raises(ServiceUnreachableError, match=url):
        ask_service(url)(labelled("digit.png"))


def test_a_wrong_path_of_a_service_is_no_such_service(app: Flask) -> None:
    """Else each image would count as one in which no digit was found."""
    with serving(app) as url, pytest.raises(ServiceUnreachableError, match=f"{url}/predict"):
        ask_service(f"{url}/predict")(labelled("digit.png"))


NUMBER = {
    "number": "12345",
    "confidence": 0.81,
    "uncertain": False,
    "lines": ["12", "345"],
    "digits": [
        {
            "digit": 1,
            "confidence": 0.9,
            "uncertain": False,
            "box": {"x": 3, "y": 4, "width": 20, "height": 30},
        }
    ],
    "model": "2026-01-01-00000000",
}
PREDICTED = NumberPrediction(
    "12345",
    0.81,
    False,
    ["12", "345"],
    [NumberDigit(1, 0.9, False, Box(3, 4, 20, 30))],
    "2026-01-01-00000000",
    0,
    [],
)
READ = Answered(Outcome("digit.png", "12|345", "12|345", 0.81, False), boxes=(Box(3, 4, 20, 30),))


def test_numbers_are_read_in_this_process_by_what_the_service_reads_them_with() -> None:
    """It gets what a reader reads; lines are kept apart in what it said."""
    asked: list[bytes] = []

    class Reads:
        def number(self, image: bytes) -> NumberPrediction:
            asked.append(image)
            return PREDICTED

    assert READ == ask_numbers(Reads())(labelled("digit.png", "12|345"))  # type: ignore[arg-type]
    assert [PNG] == asked


@pytest.mark.parametrize(
    "error",
    [NoDigitFoundError("Blank."), InvalidImageError("Damaged."), ModelUnavailableError("Gone.")],
)
def test_what_is_wrong_with_a_picture_of_a_number_is_an_answer_and_a_missing_model_is_none(
    error: Exception,
) -> None:
    class Fails:
        def number(self, image: bytes) -> NumberPrediction:
            raise error

    ask = ask_numbers(Fails())  # type: ignore[arg-type]
    if isinstance(error, ModelUnavailableError):
        with pytest.raises(ModelUnavailableError):
            ask(labelled("digit.png"))
    else:
        refused = isinstance(error, InvalidImageError)
        assert Answered(
            Outcome("digit.png", "12", None, problem=str(error), refused=refused)
        ) == ask(labelled("digit.png", "12"))


def test_a_service_is_asked_for_numbers_where_it_reads_them() -> None:
    paths = []

    def app(environ: Any, start_response: Any) -> Any:
        paths.append(environ["PATH_INFO"] + environ["QUERY_STRING"])
        return Response(json.dumps(NUMBER))(environ, start_response)

    with serving(app) as url:
        assert READ == ask_service(url, numbers=True)(labelled("digit.png", "12|345"))
    assert ["/predict/number"] == paths


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "1234"},
        {"lines": None},
        {"lines": [12, 345]},
        {"digits": [{"digit": 1}]},
        {"digits": None},
    ],
)
def test_a_number_of_another_form_comes_from_no_such_service(wrong: dict[str, Any]) -> None:
    with (
        serving(Response(json.dumps(NUMBER | wrong))) as url,
        pytest.raises(ServiceUnreachableError, match="is not one of this service"),
    ):
        ask_service(url, numbers=True)(labelled("digit.png"))
