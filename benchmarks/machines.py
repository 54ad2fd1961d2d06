"""A Debian is installed into a folder, and in it the service: installed, used, upgraded under load
twice, broken and back, rolled back, backed up, restored into a second Debian, moved to PostgreSQL,
removed. As root; each tree has namespaces of its own, and its Apache listens on loopback alone.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from benchmarks.moving import PAUSE_S
from flaskapi.submissions.tables import REVISION
from tests.databases import Postgres, why_no_postgres
from tests.servers import free_port

ROOT = Path(__file__).parents[1]
SENDERS = 2
# What holds a tree's namespaces open, as a machine's first process does.
HOLD = """
mount --bind "$0" "$0"; mount --make-private "$0"; mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"; mount -t tmpfs -o mode=755 tmpfs "$0/run"; mkdir -m 1777 "$0/run/lock"
exec chroot "$0" sleep 86400
"""
CLEAN = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8"
# A release that is ready and reads well by itself, and under Apache answers 500 to the installer's
# own questions alone; its tables are of another version.
BROKEN = f"""
cp flaskapi/web/predict.py /srv/predict.py
cat >> flaskapi/web/predict.py <<'END'


_init_app = init_app


def init_app(app: Flask) -> None:
    _init_app(app)
    if app.config["METRICS_PATH"]:
        app.before_request(lambda: ("broken", 500) if request.args.get("keep") else None)
END
sed -i 's/^from flask import /from flask import request, /' flaskapi/web/predict.py
sed -i 's/^metadata = /REVISION = "r9999"\\nmetadata = /' flaskapi/submissions/tables.py
cat > flaskapi/submissions/migrations/versions/r9999_shown.py <<'END'
import sqlalchemy as sa
from alembic import op

revision, down_revision = "r9999", "{REVISION}"


def upgrade() -> None:
    op.add_column("keys", sa.Column("shown", sa.String))


def downgrade() -> None:
    op.drop_column("keys", "shown")
END
"""


class Tree:
    """A Debian in a folder, with this checkout in /srv/flaskapi."""

    def __init__(self, folder: Path, suite: str, certificates: Path | None) -> None:
        self.path, self.port = folder / suite, free_port()
        if not (self.path / "etc").is_dir():
            _run("debootstrap", "--variant=minbase", suite, self.path)
        policy = self.path / "usr/sbin/policy-rc.d"  # Debian's packages start nothing here
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        shutil.copy("/etc/resolv.conf", self.path / "etc/resolv.conf")
        if certificates:
            shutil.copy(certificates, self.path / "etc/certificates.pem")
            (self.path / "etc/pip.conf").write_text("[global]\ncert = /etc/certificates.pem\n")
        self._copy_checkout()
        namespaces = ("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child")
        self._holder = subprocess.Popen([*namespaces, "sh", "-ec", HOLD, self.path])
        self._pid = ""
        while not self._pid:
            time.sleep(PAUSE_S)
            children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
            self._pid = children.read_text().strip()
        while not Path("/proc", self._pid, "root", "run", "lock").is_dir():
            time.sleep(PAUSE_S)
        time.sleep(1)

    def _copy_checkout(self) -> None:
        target = self.path / "srv/flaskapi"
        shutil.rmtree(target, ignore_errors=True)
        listed = _run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT)
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target / name)

    def run(self, command: str, status: int = 0) -> str:
        """Run a shell's command in it, in the checkout, and give what it printed."""
        inside = ("nsenter", "--target", self._pid, "--mount", "--pid", "--uts", "--ipc")
        full = f"cd /srv/flaskapi && {command}"
        done = subprocess.run(
            [*inside, "env", "-i", *CLEAN.split(), "chroot", self.path, "bash", "-ec", full],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != status:
            sys.exit(f"error: {command}: status {done.returncode}\n{done.stdout}")
        return done.stdout

    def flaskapi(self, command: str) -> str:
        """Run one of the service's commands as its user."""
        return self.python(f"-m flaskapi {command}")

    def python(self, arguments: str) -> str:
        """Run Python as the service's user, in the release that serves."""
        as_user = "runuser -u www-data -- .venv/bin/python"
        return self.run(f"cd /var/www/flaskapi/current && {as_user} {arguments}")

    def halt(self) -> None:
        """End all that runs in it."""
        self._holder.kill()
        self._holder.wait()


class Load:
    """Clients that send a digit again and again, and what they got."""

    def __init__(self, port: int) -> None:
        self._port, self._over = port, threading.Event()
        self.answered, self.lost, self.without_id = 0, list[str](), 0
        self.ids = list[str]()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        picture = (ROOT / "examples" / "7.png").read_bytes()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._over.wait(PAUSE_S * 5):
            try:
                connection.request("POST", "/predict", picture, {"Content-Type": "image/png"})
                response = connection.getresponse()
                body = response.read()
            except (OSError, HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
                continue
            said = json.loads(body) if response.status == 200 else {}
            if said.get("digit") != 7:
                self.lost.append(f"{response.status} {body[:200]!r}")
                continue
            self.answered += 1
            if said["id"]:
                self.ids.append(said["id"])
            else:
                self.without_id += 1


def main(folder: Path, certificates: Path | None = None) -> None:
    """Do all of it, and print a line for each step."""
    if missing := why_no_postgres():
        sys.exit(f"error: {missing}")
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        sys.exit("error: this needs root, and debootstrap: apt install debootstrap")
    folder.mkdir(parents=True, exist_ok=True)
    trees = [
        _time(f"a Debian, {suite}", lambda s=suite: Tree(folder, s, certificates))
        for suite in ("bookworm", "trixie")
    ]
    (folder / "postgres").mkdir(exist_ok=True)
    shutil.chown(folder, "postgres")
    postgres = Postgres(folder / "postgres")
    try:
        _show(*trees, postgres.make_database())
    finally:
        postgres.stop()
        shutil.rmtree(folder / "postgres")
        for tree in trees:
            tree.halt()


def _show(first: Tree, second: Tree, url: str) -> None:
    listen = f"digits.example --listen 127.0.0.1:{first.port}"
    _time("install", lambda: first.run(f"deploy/install {listen}"))
    _time("install, again", lambda: first.run(f"deploy/install {listen}"))
    ids = list[str]()

    def under_load(title: str, work: Callable[[], str]) -> str:
        with Load(first.port) as load:
            said = _time(title, work)
        print(
            f"            {load.answered:,} answered, {len(load.lost)} lost, {load.without_id} "
            f"without an id; {load.lost[:3]}",
            flush=True,
        )
        ids.extend(load.ids)
        return said

    for time_of in ("first", "second"):
        first.run(f"echo '# {time_of}' >> README.md")
        under_load(f"upgrade, the {time_of}", lambda: first.run("deploy/install --upgrade"))
    before = first.run("readlink /var/www/flaskapi/current")
    first.run(BROKEN)
    under_load("a broken upgrade", lambda: first.run("deploy/install --upgrade", status=1))
    assert before == first.run("readlink /var/www/flaskapi/current")
    first.run("cp /srv/predict.py flaskapi/web/predict.py")
    under_load("upgrade with new tables", lambda: first.run("deploy/install --upgrade"))
    under_load("rollback with its tables", lambda: first.run("deploy/install --rollback"))
    assert before == first.run("readlink /var/www/flaskapi/current")

    _time("backup", lambda: first.flaskapi("backup /var/backups/flaskapi --keep 3"))
    name = first.run("ls /var/backups/flaskapi | grep Z$ | tail -1").strip()
    listen = f"other.example --listen 127.0.0.1:{second.port}"
    _time("install the second", lambda: second.run(f"deploy/install {listen}"))
    shutil.copytree(first.path / "var/backups/flaskapi" / name, second.path / "var/tmp/backup")
    second.run(
        "cp -r /var/tmp/backup /var/backups/flaskapi/b; chown -R www-data: /var/backups/flaskapi/b"
    )
    _time("restore there", lambda: second.flaskapi("restore --overwrite /var/backups/flaskapi/b"))
    second.run("/var/www/flaskapi/current/deploy/roll")
    _find_all(second, ids)

    move = f"deploy/install {listen} --postgresql {url}"
    _time("move the second to PostgreSQL", lambda: second.run(move))
    _find_all(second, ids)
    _time("uninstall", lambda: second.run("deploy/install --uninstall"))
    kept = second.run("ls /var/www/flaskapi")
    assert kept.split() == ["instance", "versions"], kept
    second.run("deploy/install --uninstall --purge")
    assert "flaskapi" not in second.run("ls /var/www /var/log /var/backups /etc/apache2/sites-*")


def _find_all(tree: Tree, ids: list[str]) -> None:
    """See that a service has each of these submissions: of an own one nothing is missing."""
    code = (
        "import sys; from uuid import UUID; from flaskapi.commands import open_store; "
        "from flaskapi.submissions.listing import get_submission\n"
        "with open_store() as store: print(sum(get_submission(store, UUID(id)) is None "
        "for id in open('/srv/ids').read().split()))"
    )
    (tree.path / "srv/ids").write_text("\n".join(ids))
    (tree.path / "srv/find.py").write_text(code)
    missing = tree.python("/srv/find.py").strip()
    print(f"            of {len(ids):,} submissions {missing} are missing", flush=True)


def _time(title: str, work: Callable[[], Any]) -> Any:
    began_s, before = time.monotonic(), os.times()
    result = work()
    after = os.times()
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    print(
        f"{(time.monotonic() - began_s) / 60:6.1f} min  {cpu_s:4.0f} s of CPU  {title}", flush=True
    )
    return result


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout
