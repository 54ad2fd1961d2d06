"""Few requests compute at once; those that wait for a client take nothing from them."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import FixedClassifier, draw_digit, encode
from flask import Flask, Request
from problems import read_problem
from waiting import pass_time, until
from werkzeug.exceptions import RequestTimeout
from werkzeug.test import EnvironBuilder

from flaskapi import create_app
from flaskapi.errors import OverloadedError
from flaskapi.web.gate import SMALL_BYTES, Gate, copy_body, receive

LARGE = SMALL_BYTES + 1  # a body that takes no turn
SEVEN = encode(draw_digit(7, side=28))


class Trickle(io.RawIOBase):
    """Gives a byte at each read, and tells what was read of it."""

    def __init__(self, content: bytes, pause_s: float = 0.0) -> None:
        self._content, self._pause_s = io.BytesIO(content), pause_s

    def read(self, size: int = -1) -> bytes:
        pass_time(self._pause_s)
        return self._content.read(min(size, 1) if size > 0 else size)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def test_so_many_compute_at_once_and_not_one_more() -> None:
    gate, at_once, most = Gate(2, 1), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with gate.computing(LARGE):
            with lock:
                at_once += 1
                most = max(most, at_once)
            pass_time(0.01)
            with lock:
                at_once -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 2 == most


def test_small_work_is_done_one_after_the_other_and_large_work_beside_it() -> None:
    """What holds its turn for long is no small work: others go on beside it."""
    gate, order = Gate(3, 1), list[str]()

    def work(name: str, body_bytes: int) -> None:
        with gate.computing(body_bytes):
            order.append(name)

    def start(name: str, body_bytes: int) -> threading.Thread:
        thread = threading.Thread(target=work, args=(name, body_bytes), daemon=True)
        thread.start()
        return thread

    with gate.computing(SMALL_BYTES):
        small = start("small", SMALL_BYTES)
        start("large", SMALL_BYTES + 1).join(5)
        small.join(5)
        assert ["large", "small"] == order
    with gate.computing(SMALL_BYTES):
        pass  # the turn is free again


def test_who_waits_too_long_or_in_too_long_a_queue_is_refused() -> None:
    gate = Gate(1, 1, wait_s=0.05)
    full = Gate(1, 1, wait_s=9, most_waiting=0)
    with (
        gate.computing(LARGE),
        pytest.raises(OverloadedError, match=r"0\.05 s"),
        gate.computing(LARGE),
    ):
        pass
    with (
        full.computing(LARGE),
        pytest.raises(OverloadedError, match="Too many"),
        full.computing(LARGE),
    ):
        pass
    with gate.computing(LARGE), full.computing(LARGE):
        pass  # what was refused left nothing taken


def test_many_images_never_take_the_last_slot() -> None:
    gate = Gate(2, 9, wait_s=0.05)
    with gate.computing_one_of_many():
        other = threading.Thread(target=_work_on_many, args=(gate,), daemon=True)
        other.start()
        for _ in range(20):
            with gate.computing(LARGE):
                pass_time(0.001)
        assert other.is_alive()  # it waits for the one slot of those with many
    other.join(5)
    assert not other.is_alive()


def _work_on_many(gate: Gate) -> None:
    with gate.computing_one_of_many():
        pass


@pytest.mark.parametrize("size", [0, 10, 300_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_whole_before_the_work_begins(size: int, chunked: bool) -> None:
    """However it comes; a large one lies in a file."""
    body = bytes(range(250)) * (size // 250) + bytes(size % 250)
    builder = EnvironBuilder(method="POST", input_stream=io.BytesIO(body))
    environ = builder.get_environ()
    if chunked:
        del environ["CONTENT_LENGTH"]
        environ |= {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    else:
        environ["CONTENT_LENGTH"] = str(size)
    app = Flask("receiving")
    with app.request_context(environ):
        request = Request(environ)
        receive(request)
        assert environ["wsgi.input"] is not builder.input_stream
        assert body == request.get_data()
        if file := environ.get("flaskapi.body"):
            file.close()


def test_a_body_has_its_time() -> None:
    with pytest.raises(RequestTimeout):
        copy_body(Trickle(b"slowly", pause_s=0.02), io.BytesIO(), within_s=0.03)
    assert 6 == copy_body(Trickle(b"slowly"), io.BytesIO(), within_s=9)


@pytest.mark.parametrize("size", [6, 1 << 19])
def test_a_body_of_any_size_has_its_time(size: int) -> None:
    environ = EnvironBuilder(method="POST").get_environ()
    environ |= {"wsgi.input": Trickle(bytes(size), pause_s=0.02), "CONTENT_LENGTH": str(size)}
    with Flask("receiving").request_context(environ), pytest.raises(RequestTimeout):
        receive(Request(environ), within_s=0.03)
    if file := environ.get("flaskapi.body"):
        file.close()


def test_a_slow_sender_waits_outside(tmp_path: Path) -> None:
    """With one slot, somebody else is answered while it still sends."""
    app = create_app(
        {"INSTANCE_PATH": tmp_path, "COMPUTING_AT_ONCE": 1}, classifier=FixedClassifier()
    )
    begun, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            begun.set()
            assert go_on.wait(20)
            return super().readinto(buffer)

    slow = threading.Thread(
        target=lambda: answers.append(
            app.test_client().post(
                "/predict",
                input_stream=Slow(SEVEN),
                content_length=len(SEVEN),
                content_type="image/png",
            )
        )
    )
    answers = list[object]()
    slow.start()
    try:
        assert begun.wait(20)
        honest = app.test_client().post("/predict", data=SEVEN, content_type="image/png")
        assert 200 == honest.status_code
        assert not answers
    finally:
        go_on.set()
        slow.join(20)
    assert [200] == [answer.status_code for answer in answers]  # type: ignore[attr-defined]


def test_overload_is_a_problem_that_says_when_to_come_back(app: Flask) -> None:
    gate = Gate(1, 1, wait_s=0.01)
    app.extensions["flaskapi-gate"] = gate
    with gate.computing(LARGE):
        answer = app.test_client().post("/predict", data=SEVEN, content_type="image/png")
    assert (503, "5") == (answer.status_code, answer.headers["Retry-After"])
    assert (503, "overloaded") == read_problem(answer)


def test_batches_over_their_number_are_refused_and_each_makes_room(app: Flask) -> None:
    gate = Gate(2, 1)
    app.extensions["flaskapi-gate"] = gate
    client = app.test_client()
    sent = {"data": SEVEN, "content_type": "image/png"}
    gate.admit_batch()
    assert 503 == client.post("/predict/batch", **sent).status_code
    gate.dismiss_batch()
    for _ in range(3):
        assert 200 == client.post("/predict/batch", buffered=True, **sent).status_code
        assert 400 == client.post("/predict/batch", data=b"").status_code


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    until(lambda: threading.active_count() <= before)
