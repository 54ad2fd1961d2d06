"""The service does what `/openapi.json` says, for all that Schemathesis thinks of."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browsers import Serving
from operators import make_app, operator, store_of

from flaskapi.web.openapi import routes_of

HERE = Path(__file__).parent
# Before, two threads that parse Python may fail (https://github.com/python/cpython/issues/106905).
WORKERS = "1" if sys.version_info < (3, 11, 5) else "2"


@pytest.mark.process
def test_no_check_of_schemathesis_finds_anything_that_is_not_excused(tmp_path: Path) -> None:
    """All its checks and phases, against a live server; `schemathesis.toml` excuses by name."""
    app = make_app(tmp_path, LABEL_RATE_LIMIT="off", LOG_LEVEL="ERROR")
    key = operator(app, "schemathesis")
    server = Serving(app)
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli"),
                *("--config-file", str(HERE / "schemathesis.toml"), "run"),
                *(f"{server.address}openapi.json", "--checks", "all", "--max-examples", "3"),
                *("--header", f"Authorization: {key['Authorization']}", "--seed", "1"),
                *("--workers", WORKERS, "--suppress-health-check", "all"),
            ],
            cwd=tmp_path,
            env=os.environ
            | {
                "SCHEMATHESIS_HOOKS": "sent_by_schemathesis",
                "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        server.close()
    assert 0 == done.returncode, done.stdout + done.stderr
    (tested,) = re.findall(r"Tested: (\d+)", done.stdout)
    left_out = (HERE / "schemathesis.toml").read_text().count("enabled = false")
    assert len(routes_of(app)) - 1 - left_out == int(tested), "/openapi.json it has read"
    answer = app.test_client().get("/keys?limit=1", headers=key)
    assert 200 == answer.status_code, "the key was good to the end"
    store_of(app).close()
