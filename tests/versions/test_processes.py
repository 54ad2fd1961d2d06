import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flaskapi.versions.processes import Processes

TELL = """
import sys
from pathlib import Path
from flaskapi.versions.processes import Processes
Processes(Path(sys.argv[1])).publish(version="v2", generation=2)
print("told", flush=True)
sys.stdin.read()
"""


@pytest.mark.process
def test_each_process_tells_what_it_serves_and_any_tells_of_all(tmp_path: Path) -> None:
    """Those of one parent, until they are gone: killed, or replaced by another process of the same
    id.
    """
    here = Processes(tmp_path)
    here.publish(version="v1", generation=1)
    mine = {"pid": os.getpid(), "version": "v1", "generation": 1}
    assert [mine] == here.all()
    # A child of this process has another parent than this process has: a link puts its folder in
    # the same place.
    (tmp_path / str(os.getpid())).symlink_to(tmp_path / str(os.getppid()))
    child = subprocess.Popen(
        [sys.executable, "-c", TELL, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    theirs = {"pid": child.pid, "version": "v2", "generation": 2}
    assert sorted([mine, theirs], key=lambda one: one["pid"]) == here.all()
    child.kill()
    child.communicate()
    assert [mine] == here.all()
    assert [f"{os.getpid()}.json"] == [
        path.name for path in (tmp_path / str(os.getppid())).iterdir()
    ]


def test_a_later_process_of_the_same_id_is_not_taken_for_it(tmp_path: Path) -> None:
    folder = tmp_path / str(os.getppid())
    folder.mkdir()
    (folder / f"{os.getppid()}.json").write_text(
        json.dumps({"pid": os.getppid(), "started": "1", "version": "v", "generation": 9})
    )
    (folder / "damaged.json").write_text("{")
    assert [] == Processes(tmp_path).all()


def test_where_nothing_can_be_written_a_process_tells_of_itself(tmp_path: Path) -> None:
    (tmp_path / "processes").write_text("a file, where a folder should be")
    here = Processes(tmp_path / "processes")
    try:
        here.publish(version="v1", generation=1)
    except OSError:
        pass
    else:
        raise AssertionError("it could be written")
    assert [{"pid": os.getpid(), "version": "v1", "generation": 1}] == here.all()


def test_what_dead_servers_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "999999999").mkdir()
    here = Processes(tmp_path)
    here.publish(version="v1", generation=1)
    here.forget_servers()
    assert [str(os.getppid())] == [path.name for path in tmp_path.iterdir()]
