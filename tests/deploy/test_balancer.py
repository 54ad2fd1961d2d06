"""Three instances under real Apaches, behind `deploy/balancer.conf`: what ends, freezes or is cut
off costs no upload and no receipt.
"""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from instances import (
    SEVEN,
    Cluster,
    Outcome,
    balancer,
    count_receipts,
    count_wrong,
    instances,
    watch,
    why_no_namespaces,
)
from model_files import MODELS, make_artifact
from servers import Server
from waiting import until

from flaskapi.submissions.database import Database
from flaskapi.versions.shared import SharedRegistry

pytestmark = [pytest.mark.apache, pytest.mark.postgres, pytest.mark.redis]


@pytest.fixture(scope="module")
def cluster(apache_available: None) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-instances-"))
    folder.chmod(0o755)
    with instances(folder, LABEL_RATE_LIMIT='"6 per hour"') as made:
        yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def front(cluster: Cluster) -> Iterator[Server]:
    with balancer(cluster.members[0].folder.parent / "balancer", cluster.members) as server:
        yield server


@pytest.fixture
def _empty(cluster: Cluster) -> None:
    """No submission of another test."""
    import psycopg

    with psycopg.connect(cluster.url) as connection:
        connection.execute("TRUNCATE submissions CASCADE")


def hold(cluster: Cluster, seen: Outcome) -> None:
    """Nothing was lost, and every receipt is kept once."""
    assert 0 == seen.lost, seen.reasons
    assert 0 == count_wrong(seen.asked)
    receipts = count_receipts(cluster.url, seen.asked)
    assert (0, 0) == (receipts.missing, receipts.twice)
    assert receipts.answered > 10


def ask(server: Server, n: int) -> str:
    answer = server.ask("/predict", SEVEN, Content_Type="image/png", Idempotency_Key=f"key-{n}")
    assert 200 == answer.status, answer.body
    found: str = answer.json["id"]
    return found


@pytest.mark.usefixtures("_empty")
def test_an_upload_that_is_repeated_at_another_instance_is_the_same(
    cluster: Cluster, front: Server
) -> None:
    ids = {ask(front, 1) for _ in range(6)}
    assert 1 == len(ids)
    with_log = [one for one in cluster.members if "/predict" in one.server.log("access")]  # type: ignore[union-attr]
    assert len(with_log) > 1, "the balancer asks more than one"


@pytest.mark.usefixtures("_empty")
def test_a_client_has_one_limit_at_all_instances_and_cannot_write_another_address(
    front: Server,
) -> None:
    """The address is the one that the balancer saw."""
    identifier = ask(front, 2)
    statuses = []
    for n in range(9):
        done = subprocess.run(
            [
                *("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"),
                *("-X", "PUT", "--json", '{"digit": 7}', "-H", f"X-Forwarded-For: 192.0.2.{n}"),
                f"http://127.0.0.1:{front.port}/submissions/{identifier}/label",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        statuses.append(int(done.stdout))
    assert [6, 3] == [statuses.count(200), statuses.count(429)], statuses


def test_what_is_open_to_the_machine_itself_is_not_open_through_the_balancer(
    front: Server,
) -> None:
    assert 404 == front.ask("/metrics").status
    assert "problem+json" in front.ask("/nothing").headers["Content-Type"]


@pytest.mark.parametrize("how", ["killed", "frozen", "cut off"])
@pytest.mark.usefixtures("_empty")
def test_without_one_instance_no_upload_and_no_receipt_is_lost(
    cluster: Cluster, front: Server, how: str
) -> None:
    one = cluster.members[0]
    if how == "cut off" and (reason := why_no_namespaces()):
        pytest.skip(reason)
    do, undo = {
        "killed": (lambda: one.send(signal.SIGKILL), one.start),
        "frozen": (lambda: one.send(signal.SIGSTOP), lambda: one.send(signal.SIGCONT)),
        "cut off": (one.wire.cut, one.wire.mend),
    }[how]
    hold(cluster, watch(front, do, undo, lasts_s=4, after_s=2))


@pytest.mark.usefixtures("_empty")
def test_a_promotion_reaches_all_instances_and_a_restart_of_each_loses_nothing(
    cluster: Cluster, front: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "flaskapi.versions.version.run_command",
        lambda *command: subprocess.CompletedProcess(command, 1),
    )
    folder = cluster.members[0].folder.parent / "operator"
    store = Database(cluster.url, "process", patience_s=20)
    registry = SharedRegistry(folder / "versions", MODELS / "my_model.h5", folder, store)
    names = [registry.add(make_artifact(folder / str(mark), mark)).name for mark in range(2)]

    def roll() -> None:
        for n in range(4):
            pointer = registry.promote(names[n % 2], "ann")
            until(lambda at=pointer.generation: all_serve(registry, at))
        for one in cluster.members:
            one.stop()
            one.start()

    seen = watch(front, roll, lasts_s=1, after_s=1)
    store.close()
    hold(cluster, seen)
    assert {*names} <= {one.answer["model"] for one in seen.asked if one.is_upload and one.answer}


def all_serve(registry: SharedRegistry, generation: int) -> bool:
    found = registry.reports()
    return len(found) >= 6 and {generation} == {one.generation for one in found}
