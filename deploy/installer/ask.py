"""Questions to a service that runs: is it ready, and does it read pictures as it is told to?"""

import csv
import http.client
import json
import mimetypes
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

EXPECTED = "expected.csv"  # in a folder with pictures: route, file and what is read there
TIMEOUT_S, PATIENCE_S = 30, 180


class Address(NamedTuple):
    """Where a service listens on this machine, and the name that it is asked by."""

    port: int
    name: str = "127.0.0.1"
    host: str = "127.0.0.1"


class Answer(NamedTuple):
    """The status, and what the body says."""

    status: int
    body: Any


def ask(address: Address, path: str, picture: Path | None = None) -> Answer:
    """Send one request; where the answer sends it on to HTTPS, there.

    Raises:
        OSError: nobody answers.
    """
    answer, location = _ask(
        http.client.HTTPConnection(address.host, address.port), address, path, picture
    )
    if answer.status in (301, 302, 307, 308) and location.startswith("https:"):
        # Of this machine itself, whose certificate is for its name.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        secure = http.client.HTTPSConnection(address.name, 443, context=context)
        secure.sock = context.wrap_socket(
            socket.create_connection((address.host, 443), TIMEOUT_S), server_hostname=address.name
        )
        answer, _ = _ask(secure, address, path, picture)
    return answer


def _ask(
    connection: http.client.HTTPConnection, address: Address, path: str, picture: Path | None
) -> tuple[Answer, str]:
    connection.timeout = TIMEOUT_S
    kind = mimetypes.guess_type(picture or "x.png")[0] or "application/octet-stream"
    body = picture.read_bytes() if picture else None
    headers = {"Host": address.name} | ({"Content-Type": kind} if picture else {})
    try:
        connection.request("POST" if picture else "GET", path, body, headers)
        response = connection.getresponse()
        text = response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"no answer of HTTP: {error!r}") from error
    finally:
        connection.close()
    try:
        said = json.loads(text)
    except ValueError:
        said = text.decode(errors="replace")[:200]
    return Answer(response.status, said), response.getheader("Location", "")


def wait_until_ready(
    address: Address, goes_on: Callable[[], bool] = lambda: True, within_s: float = PATIENCE_S
) -> str:
    """Ask until it is ready. Gives why it is not, in the end, or nothing."""
    deadline_s, why = time.monotonic() + within_s, "nobody answers"
    while goes_on() and time.monotonic() < deadline_s:
        try:
            answer = ask(address, "/health/ready")
        except OSError as error:
            why = f"{error}"
        else:
            if answer.status == 200:
                return ""
            why = f"/health/ready answers {answer.status}: {answer.body}"
        time.sleep(0.2)
    return why


def find_differences(address: Address, folder: Path) -> list[str]:
    """Send the pictures of a folder that have a row in its table, and compare what is read.

    Raises:
        OSError: nobody answers, or a file is missing.
    """
    different = []
    with (folder / EXPECTED).open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            answer = ask(address, f"{row['route']}?keep=false", folder / row["file"])
            said = answer.body if isinstance(answer.body, dict) else {}
            if answer.status == 401:
                continue  # only who has a key may ask; before it served, it was asked without one
            found = said.get("number", said.get("digit"))
            if answer.status != 200 or str(found) != row["answer"]:
                what = said.get("type", found) if said else answer.body
                different.append(
                    f"{row['file']} is {row['answer']}, and {row['route']} says "
                    f"{answer.status} {what}"
                )
    return different


def find_free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
