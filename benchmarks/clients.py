"""Clients that ask a server under stress: honest ones, slow ones, and too many."""

import contextlib
import http.client
import json
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from tests.fakes import draw_digit, encode
from tests.servers import Server

SLOW = 200
SEVEN = encode(draw_digit(7, side=28))
PAGE = encode(draw_digit(8, side=1200))


class Asked(NamedTuple):
    """One request: its status, or the name of what went wrong, when it was sent and how long it
    took, in seconds, and the receipt.
    """

    status: int | str
    sent_s: float
    took_s: float
    id: str | None = None


class Clients:
    """Honest clients, each of which asks again and again until it is told to end."""

    def __init__(self, server: Server, count: int, *, pause_s: float = 0.0) -> None:
        self.asked: list[Asked] = []
        self._port, self._pause_s = server.port, pause_s
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._end.is_set():
            begun_s = time.monotonic()
            identifier = None
            status: int | str
            try:
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=60
                )
                connection.request("POST", "/predict", SEVEN, {"Content-Type": "image/png"})
                response = connection.getresponse()
                body = response.read()
                status = response.status
                if status == 200:
                    identifier = json.loads(body)["id"]
                if status == 503 and not response.getheader("Retry-After"):
                    status = "503 without Retry-After"
                if response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
                connection = None
            self.asked.append(Asked(status, begun_s, time.monotonic() - begun_s, identifier))
            self._end.wait(self._pause_s)

    def failed(self) -> str:
        """How many were not answered 200, and how."""
        counts = Counter(str(one.status) for one in self.asked if one.status != 200)
        told = ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))
        return f"{sum(counts.values())} of {len(self.asked)} failed" + (
            f" ({told})" if told else ""
        )

    def unkept(self) -> int:
        """How many were answered without a receipt."""
        return sum(one.id is None for one in self.asked if one.status == 200)

    def p99_ms(self) -> float:
        took = sorted(one.took_s for one in self.asked)
        return took[int(len(took) * 0.99)] * 1000 if took else 0.0


def send_slowly(server: Server, kind: str, until_s: float) -> int:
    """Keep slow clients at it, a piece each second, and give how many were held at the end."""

    def begin() -> socket.socket:
        client = socket.socket()
        if kind == "answers":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(10)
        client.connect(("127.0.0.1", server.port))
        client.sendall(heads[kind])
        client.setblocking(False)
        return client

    head = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
    body = head + b"Content-Type: image/png\r\nContent-Length: 5000000\r\n\r\n"
    ask = b"GET /problems/ HTTP/1.1\r\nHost: x\r\n\r\n"
    heads = {"headers": head, "bodies": body, "large bodies": body, "answers": ask * 20}
    pieces = {"headers": b"X: a\r\n", "bodies": b"a" * 10, "large bodies": b"a" * 12_000}
    clients = [begin() for _ in range(SLOW)]
    while time.monotonic() < until_s:
        begun_s = time.monotonic()
        for place, client in enumerate(clients):
            try:
                if kind == "answers":
                    client.recv(16)
                else:
                    client.send(pieces[kind])
            except BlockingIOError:
                pass
            except OSError:  # refused, or told to come back faster: another takes its place
                client.close()
                clients[place] = begin()
        time.sleep(max(0.0, 1 - (time.monotonic() - begun_s)))
    for client in clients:
        client.close()
    return len(clients)


def flood(port: int, seconds: float, count: int) -> None:
    """Print what becomes of so many clients that send pages for so many seconds."""
    counts: Counter[str] = Counter()
    until_s = time.monotonic() + seconds

    def ask() -> None:
        while time.monotonic() < until_s:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request("POST", "/predict/number", PAGE, {"Content-Type": "image/png"})
                response = connection.getresponse()
                response.read()
                retry = response.getheader("Retry-After")
                counts[f"{response.status}{' with Retry-After' if retry else ''}"] += 1
                if retry:
                    time.sleep(min(1.0, float(retry)))
            except (OSError, http.client.HTTPException) as error:
                counts[type(error).__name__] += 1
            finally:
                connection.close()

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = ", ".join(f"{number} x {status}" for status, number in sorted(counts.items()))
    print(f"{count} clients for {seconds:.0f} s: {told}")


def wait_for_receipt(server: Server) -> float:
    """How many seconds it takes until an answer has a receipt; a minute at most."""
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < 60:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            if server.ask("/predict", SEVEN, content_type="image/png").json.get("id"):
                break
        time.sleep(0.1)
    return time.monotonic() - begun_s


def count_lost(asked: Iterable[Asked], server: Server) -> str:
    """How many receipts are not in SQLite's file."""
    ids = [one.id.replace("-", "") for one in asked if one.id]
    with contextlib.closing(sqlite3.connect(server.folder / "instance/submissions.db")) as database:
        kept = {row[0] for row in database.execute("SELECT id FROM submissions")}
    return f"{sum(one not in kept for one in ids)} of {len(ids)} receipts lost"
