import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import draw_digit, encode
from flask.testing import FlaskClient
from prometheus_client.mmap_dict import MmapedDict

import flaskapi
from flaskapi.web import metrics_files

PNG = encode(draw_digit(7, side=28))
SERVER = """
import sys, flaskapi
settings = {"INSTANCE_PATH": sys.argv[1], "MODEL_PATH": "none.h5", "METRICS_PATH": "shared"}
client = flaskapi.create_app(settings).test_client()
client.get("/health/live")
print(client.get("/metrics").text)
"""


def scrape(client: FlaskClient) -> list[str]:
    response = client.get("/metrics")
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (
        response.status_code,
        response.content_type,
    )
    return response.text.splitlines()


def test_requests_are_counted_by_route_and_status(client: FlaskClient) -> None:
    for _ in range(2):
        client.post("/predict", data=PNG)
    client.post("/predict", data=b"words")
    lines = scrape(client)
    assert 'flaskapi_requests_total{route="/predict",status="200"} 2.0' in lines
    assert 'flaskapi_requests_total{route="/predict",status="415"} 1.0' in lines
    assert 'flaskapi_request_duration_seconds_count{route="/predict"} 3.0' in lines


def test_addresses_that_do_not_exist_are_counted_as_one_so_that_nobody_fills_the_memory(
    client: FlaskClient,
) -> None:
    for path in ("/a", "/b", "/problems/a", "/problems/b"):
        client.get(path)
    routes = [line for line in scrape(client) if line.startswith("flaskapi_requests_total{")]
    assert ['{route="none",status="404"} 2.0', '{route="/problems/<name>",status="404"} 2.0'] == [
        line[23:] for line in routes
    ]


def test_answers_are_counted_by_digit(client: FlaskClient) -> None:
    client.post("/predict", data=PNG)
    client.post("/predict", data=b"words")
    assert 'flaskapi_predictions_total{digit="7",uncertain="false"} 1.0' in scrape(client)


@pytest.mark.parametrize("unit", [1, 1_000_000], ids=["seconds", "microseconds"])
def test_the_wait_for_apache_is_measured_in_either_unit(client: FlaskClient, unit: int) -> None:
    client.get(
        "/health/live", environ_overrides={"mod_wsgi.queue_start": str((time.time() - 100) * unit)}
    )
    # A clock set back.
    client.get(
        "/health/live", environ_overrides={"mod_wsgi.queue_start": str((time.time() + 100) * unit)}
    )
    client.get("/health/live")  # not through Apache
    lines = scrape(client)
    assert 'flaskapi_request_queue_seconds_bucket{le="0.001"} 1.0' in lines
    assert 'flaskapi_request_queue_seconds_bucket{le="10.0"} 1.0' in lines
    assert "flaskapi_request_queue_seconds_count 2.0" in lines


def test_names_and_units_are_those_of_prometheus(client: FlaskClient) -> None:
    kinds = {
        line.split()[2]: line.split()[3]
        for line in scrape(client)
        if line.startswith("# TYPE flaskapi_")
    }
    assert {name for name, kind in kinds.items() if kind == "counter"} == {
        name for name in kinds if name.endswith("_total")
    }
    assert {name for name, kind in kinds.items() if kind == "histogram"} == {
        name for name in kinds if name.endswith("_seconds")
    }


def serve(instance: Path) -> list[str]:
    """Answer a request in a process of its own, a child of this one, and give its metrics."""
    root = Path(flaskapi.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SERVER, instance],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.process
def test_processes_of_one_server_share_their_values_and_clear_up_after_dead_ones(
    tmp_path: Path,
) -> None:
    """One folder for each parent; those of parents that are no more go, whatever else lies there
    stays.
    """
    # One more than Linux's largest process id.
    dead, other = (tmp_path / "shared" / "4194305", tmp_path / "shared" / "notes")
    for folder in (dead, other):
        folder.mkdir(parents=True)
    count = 'flaskapi_requests_total{route="/health/live",status="200"} '
    assert count + "1.0" in serve(tmp_path)
    assert count + "2.0" in serve(tmp_path)
    assert {str(os.getpid()), "notes"} == {
        folder.name for folder in (tmp_path / "shared").iterdir()
    }


@pytest.mark.process
def test_the_room_that_is_taken_beforehand_is_enough_for_all_that_is_counted(
    tmp_path: Path,
) -> None:
    """A file that grows later has no room of its own on a full disk."""
    count = """
import sys, flaskapi
settings = {"INSTANCE_PATH": sys.argv[1], "MODEL_PATH": "none.h5", "METRICS_PATH": "shared"}
app = flaskapi.create_app(settings)
metrics = app.extensions["flaskapi"].metrics
for rule in app.url_map.iter_rules():
    for status in range(400, 430):
        metrics.count_request(rule.rule, status, 0.1)
for digit in range(10):
    for flag in ("true", "false"):
        metrics.predictions.labels(digit, flag).inc()
"""
    subprocess.run([sys.executable, "-c", count, tmp_path], check=True, capture_output=True)
    files = [*tmp_path.glob("shared/*/*.db")]
    assert 2 == len(files)
    for file in files:
        assert 2**18 == file.stat().st_size == file.stat().st_blocks * 512


@pytest.mark.process
def test_what_ended_processes_counted_is_in_one_file_and_none_of_it_is_lost(
    tmp_path: Path,
) -> None:
    """After as many rolls as there may be, a scrape reads few files."""
    count = 'flaskapi_requests_total{route="/health/live",status="200"} '
    for number in range(1, 5):
        assert f"{count}{number}.0" in serve(tmp_path)
    names = sorted(file.name for file in tmp_path.glob("shared/*/counter_*.db"))
    assert 2 == len(names)
    assert "counter_0.db" == names[0]


def test_files_of_running_processes_are_left_alone_and_a_full_disk_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = [4194305, 4194306]  # more than Linux's largest process id
    for process, value in zip([os.getpid(), *dead], (1.0, 10.0, 100.0), strict=True):
        values = MmapedDict(str(tmp_path / f"counter_{process}.db"))
        values.write_value("key", value, 0.0)
        values.close()

    def read(name: str) -> list[float]:
        found = MmapedDict.read_all_values_from_file(str(tmp_path / name))
        return [value for _, value, *_ in found]

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(metrics_files.os, "posix_fallocate", fail)
        with pytest.raises(OSError, match="No space"):
            metrics_files.merge_ended(tmp_path)
    assert [[10.0], [100.0]] == [read(f"counter_{process}.db") for process in dead]
    metrics_files.merge_ended(tmp_path)
    assert [1.0] == read(f"counter_{os.getpid()}.db")
    assert [110.0] == read("counter_0.db")
    assert {".lock", "counter_0.db", f"counter_{os.getpid()}.db"} == {
        file.name for file in tmp_path.iterdir()
    }
