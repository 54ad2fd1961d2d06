"""Versions are promoted and rolled back under a real Apache with its three processes, while it is
asked.
"""

import concurrent.futures
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from archives import make_zip
from fakes import draw_digit, encode
from model_files import MODELS, make_other
from servers import Server, apache
from waiting import command_line, until

from flaskapi.submissions.database import Database
from flaskapi.submissions.keys import make_key
from flaskapi.versions.registry import Registry

pytestmark = [pytest.mark.apache, pytest.mark.train]

SEVEN = encode(draw_digit(7, side=28))
MANY = make_zip([(f"{place}.png", SEVEN) for place in range(30)])
BLOT = encode(np.pad(np.zeros((60, 60), np.uint8), 20, constant_values=255))
PROMOTIONS = 50


def main(arguments: list[str]) -> int:
    """Run a command in a process of its own: where root runs it, it becomes the owner of the
    instance folder, for good.
    """
    command = [sys.executable, "-m", "flaskapi", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


class Place(NamedTuple):
    """A server, its versions by the digit that each answers to a 7, and one that breaks at much
    ink.
    """

    server: Server
    registry: Registry
    names: dict[int, str]
    breaking: str

    def processes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.ask("/health/ready").json["processes"]
        return found

    def all_serve(self, generation: int) -> Callable[[], bool]:
        return lambda: {generation} == {one["generation"] for one in self.processes()}


@pytest.fixture(scope="module")
def place(folder: Path) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch, apache(folder / "versions") as server:
        # Cards are written as where the extra `train` is missing, which takes no second each.
        patch.setattr(
            "flaskapi.versions.version.run_command",
            lambda *command: subprocess.CompletedProcess(command, 1),
        )
        patch.setenv("FLASKAPI_INSTANCE_PATH", str(server.folder / "instance"))
        registry = Registry(
            server.folder / "instance" / "versions",
            MODELS / "my_model.h5",
            server.folder / "instance" / "cache",
        )
        names = {
            7 + shift: registry.add(make_other(folder / str(shift), shift=shift)).name
            for shift in range(2)
        }
        yield Place(
            server,
            registry,
            names,
            registry.add(make_other(folder / "breaking", most_ink=250)).name,
        )


def load(
    server: Server, done: threading.Event, route: str, body: bytes
) -> list[tuple[int, list[dict[str, Any]]]]:
    """Send the same again and again, over one connection; gives each status, and the results that
    came with it.
    """
    answers = []
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    while not done.is_set():
        connection.request("POST", route, body, {"Content-Type": "application/octet-stream"})
        response = connection.getresponse()
        document = json.loads(response.read())
        answers.append((response.status, document.get("results", [document])))
    connection.close()
    return answers


def test_50_promotions_under_load_fail_no_request_and_none_is_answered_by_two_versions(
    place: Place,
) -> None:
    """Every process serves each within 2 s, the idle ones included; none is replaced."""
    server, registry = place.server, place.registry
    before, done = server.daemons(), threading.Event()
    digits, by_generation = {name: digit for digit, name in place.names.items()}, {}
    sent = [("/predict", SEVEN), ("/predict", SEVEN), ("/predict/batch", MANY)]
    registry.promote(place.names[7], "ann")
    assert (
        main(["models", "promote", place.names[8], "--wait", f"http://127.0.0.1:{server.port}"])
        == 0
    )
    by_generation[registry.read().generation] = place.names[8]
    with concurrent.futures.ThreadPoolExecutor(len(sent)) as senders:
        sending = [senders.submit(load, server, done, route, body) for route, body in sent]
        try:
            for count in range(PROMOTIONS):
                name = place.names[7 + count % 2]
                generation, begun_s = registry.promote(name, "ann").generation, time.monotonic()
                by_generation[generation] = name
                until(place.all_serve(generation), 2 - (time.monotonic() - begun_s))
        finally:
            done.set()
    answers = [answer for sender in sending for answer in sender.result()]
    assert {200} == {status for status, _ in answers}
    named = [
        {(one["digit"], one["model"], one["generation"]) for one in results}
        for _, results in answers
    ]
    assert {1} == {len(one) for one in named}, "an answer to many images is of one version too"
    expected = {(digits[name], name, generation) for generation, name in by_generation.items()}
    assert expected == set().union(*named), (
        "each version that was promoted answered, and no answer names another than it has"
    )
    assert PROMOTIONS + 1 == len(expected)
    assert (
        sorted(before)
        == sorted(server.daemons())
        == sorted(one["pid"] for one in place.processes())
    )


def test_it_is_rolled_back_as_quickly(place: Place) -> None:
    for digit in (7, 8):
        place.registry.promote(place.names[digit], "ann")
    begun_s = time.monotonic()
    assert main(["models", "rollback", "--wait", f"http://127.0.0.1:{place.server.port}"]) == 0
    assert time.monotonic() - begun_s < 3
    assert place.server.ask("/predict", SEVEN, content_type="image/png").json["digit"] == 7


def test_an_operator_promotes_over_http_and_apaches_user_owns_what_is_written(
    place: Place,
) -> None:
    """No command has to be run as root for it, and the commands go on from there."""
    place.registry.promote(place.names[7], "ann")
    store = Database(f"sqlite:///{place.server.folder}/instance/submissions.db", "process")
    key = make_key(store, "operator")
    store.close()
    connection = http.client.HTTPConnection("127.0.0.1", place.server.port, timeout=30)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"version": place.names[8]})
    begun_s = time.monotonic()
    connection.request("PUT", "/models/serving", body, headers)
    answer = connection.getresponse()
    serving = json.loads(answer.read())["serving"]
    connection.close()
    assert (200, place.names[8], "operator") == (answer.status, serving["version"], serving["by"])
    assert time.monotonic() - begun_s < 2  # an idle machine needs a tenth of it
    until(place.all_serve(serving["generation"]), 2)
    assert 8 == place.server.ask("/predict", SEVEN, content_type="image/png").json["digit"]
    written = place.registry.path / "serving.json"
    assert place.registry.path.stat().st_uid == written.stat().st_uid
    assert main(["models", "rollback", "--wait", f"http://127.0.0.1:{place.server.port}"]) == 0


def test_a_version_that_breaks_while_it_serves_is_rolled_back_in_every_process_and_no_request_fails(
    place: Place,
) -> None:
    """Apache's user does it, which is not the one that promoted it."""
    server = place.server
    place.registry.promote(place.names[7], "ann")
    assert (
        main(["models", "promote", place.breaking, "--wait", f"http://127.0.0.1:{server.port}"])
        == 0
    )
    broken = place.registry.read().generation
    assert place.breaking == server.ask("/predict", SEVEN, content_type="image/png").json["model"]
    answer = server.ask("/predict", BLOT, content_type="image/png")
    assert (200, place.names[7], broken + 1) == (
        answer.status,
        answer.json["model"],
        answer.json["generation"],
    )
    until(place.all_serve(broken + 1), 2)
    assert [place.breaking] == list(server.ask("/health/ready").json["checks"]["model"]["broken"])
    assert f"model {place.breaking}, generation {broken}, broke" in server.log("*")
    assert main(["models", "promote", place.breaking]) == 1


def test_promote_says_which_process_does_not_follow(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    (idle,) = [pid for pid in place.server.daemons() if b"(wsgi:flaskapi-" in command_line(pid)]
    os.kill(idle, signal.SIGSTOP)
    try:
        place.registry.promote(place.names[7], "ann")
        command = [
            "models",
            "promote",
            place.names[8],
            "--wait",
            f"http://127.0.0.1:{place.server.port}",
            "--timeout",
            "2",
        ]
        assert main(command) == 1
        said = capsys.readouterr().err
    finally:
        os.kill(idle, signal.SIGCONT)
    assert f"error: process {idle} serves " in said
    assert "1 of 3 processes do not serve it after 2 s." in said


def test_a_process_that_takes_the_place_of_a_killed_one_serves_what_was_promoted(
    place: Place,
) -> None:
    place.registry.promote(place.names[7], "ann")
    generation = place.registry.promote(place.names[8], "ann").generation
    killed = min(place.server.daemons())
    os.kill(killed, signal.SIGKILL)

    def replaced() -> set[int]:
        pids = {one["pid"] for one in place.processes()}
        return pids if killed not in pids and len(pids) == 3 else set()

    pids = until(replaced)
    assert set(place.server.daemons()) == pids
    assert (
        main(
            ["models", "promote", place.names[8], "--wait", f"http://127.0.0.1:{place.server.port}"]
        )
        == 0
    )
    assert {generation} == {one["generation"] for one in place.processes()}
