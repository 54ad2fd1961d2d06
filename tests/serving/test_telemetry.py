"""ONNX Runtime tells nobody that it runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOOK = """
import os, sys, time
import flaskapi
app = flaskapi.create_app({"INSTANCE_PATH": sys.argv[1]})
import onnxruntime
image = open("examples/7.png", "rb").read()
assert app.test_client().post("/predict", data=image).get_json()["digit"] == 7
time.sleep(2)
held = [os.readlink(f"/proc/self/fd/{name}") for name in sorted(os.listdir("/proc/self/fd"))[:-1]]
print(*[path for path in held if path.startswith(("socket:", sys.argv[2]))])
"""


@pytest.mark.process
@pytest.mark.parametrize("given", [None, "0"])
def test_it_opens_no_socket_and_keeps_no_mark_of_this_machine(
    tmp_path: Path, given: str | None
) -> None:
    """Without the setting it makes a device's id and a database of events under the home folder.

    It says nothing under CI by itself; a process of the service knows of no CI.
    """
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "FLASKAPI_STORE": "off"}
    if given is not None:
        environment["ORT_DISABLE_TELEMETRY"] = given
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(tmp_path / "instance"), str(home)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "\n") == (done.returncode, done.stdout), done.stderr
    assert [] == list(home.rglob("*"))
