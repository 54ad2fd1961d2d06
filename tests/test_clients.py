"""docs/clients.md: the client that is generated and the examples do what the document says."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import Site
from operators import store_of

from flaskapi.submissions.keys import make_key

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "clients.md").read_text("utf-8")
BIN = Path(sys.executable).parent
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service with the shipped models."""
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


def code_behind(words: str) -> str:
    """The first example behind some words of the document."""
    _, _, rest = TEXT.partition(words)
    found = re.search(r"\n\n((?: {4}[^\n]*\n|\n)+)", rest)
    assert found, words
    return textwrap.dedent(found[1])


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_a_client_that_is_generated_reads_labels_and_is_told_what_is_wrong(
    site: Site, tmp_path: Path
) -> None:
    """By `openapi-python-client`, as the document says; it works with its types alone."""
    shown = code_behind("A typed client in Python")
    settings = re.search(r"\$ cat client.yaml\n(.*?)\$", shown, re.S)
    (command,) = re.findall(r"\$ \.venv/bin/(openapi-python-client .*)", shown)
    assert settings
    (tmp_path / "client.yaml").write_text(settings[1])
    program, *arguments = command.replace(f"{ADDRESS}/", site.address).split()
    run(BIN / program, *arguments, cwd=tmp_path)
    example = code_behind("Then, in Python:").replace(ADDRESS, site.address.rstrip("/"))
    example = example.replace("examples/", f"{ROOT}/examples/")
    token = make_key(store_of(site.app), "reader", scopes=["label"])
    more = f"""
from digits import AuthenticatedClient
from digits.api.submissions import get_submissions, put_submissions_id_label
from digits.models import PutSubmissionsIdLabelBodyType0 as Label, Problem
import io
client = Client({site.address.rstrip("/")!r})
label = put_submissions_id_label.sync(answer.id, client=client, body=Label(answer.digit))
print(label.label, label.label_source)
wrong = post_predict.sync(client=client, body=File(io.BytesIO(b"text"), mime_type="image/png"))
print(type(wrong).__name__, wrong.status)
key = AuthenticatedClient(client._base_url, {token!r})
found = get_submissions.sync(client=key, limit=1)
print(found.submissions[0].id == answer.id, found.submissions[0].received_at.year > 2000)
"""
    printed = run(sys.executable, "-c", example + more, cwd=tmp_path).splitlines()
    assert ["7 1.0", "7 sender", "Problem 415", "True True"] == printed
