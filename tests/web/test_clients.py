"""docs/clients.md: the client that is generated and the examples do what the document says."""

import base64
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from browsers import Site
from operators import store_of
from playwright.sync_api import Browser

from flaskapi.submissions.keys import make_key
from flaskapi.submissions.listing import Filters, find_page

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "clients.md").read_text("utf-8")
BIN = Path(sys.executable).parent
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def served(site: Callable[..., Site]) -> Site:
    """The service with the shipped models."""
    return site("clients")


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
    served: Site, tmp_path: Path
) -> None:
    """By `openapi-python-client`, as the document says; it works with its types alone."""
    shown = code_behind("A typed client in Python")
    settings = re.search(r"\$ cat client.yaml\n(.*?)\$", shown, re.S)
    (command,) = re.findall(r"\$ \.venv/bin/(openapi-python-client .*)", shown)
    assert settings
    (tmp_path / "client.yaml").write_text(settings[1])
    program, *arguments = command.replace(f"{ADDRESS}/", served.address).split()
    run(BIN / program, *arguments, cwd=tmp_path)
    example = code_behind("Then, in Python:").replace(ADDRESS, served.address.rstrip("/"))
    example = example.replace("examples/", f"{ROOT}/examples/")
    token = make_key(store_of(served.app), "reader", scopes=["label"])
    more = f"""
from digits import AuthenticatedClient
from digits.api.submissions import get_submissions, put_submissions_id_label
from digits.models import PutSubmissionsIdLabelBodyType0 as Label, Problem
import io
client = Client({served.address.rstrip("/")!r})
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


def test_the_example_in_python_reads_and_labels(served: Site) -> None:
    example = code_behind("In Python, with `requests`:").replace(
        ADDRESS, served.address.rstrip("/")
    )
    assert ["7", "1.0"] == run(sys.executable, "-c", example, cwd=ROOT).split()
    assert "7" == newest_label(served)


def test_the_example_in_a_shell_reads_digits_numbers_and_tables(served: Site) -> None:
    example = code_behind("In a shell, with").replace(ADDRESS, served.address.rstrip("/"))
    digit, number, head, *rows, label = run("sh", "-ec", example, cwd=ROOT).splitlines()
    assert ("7", "0551234678") == (digit, number)
    assert head.startswith("name,digit,confidence")
    assert ["7.png,7", "photo.jpg,5"] == [",".join(row.split(",")[:2]) for row in rows]
    assert '"label":"7"' in label


@pytest.mark.browser
def test_the_example_in_javascript_reads_and_labels(served: Site, browser: Browser) -> None:
    """In a page of the service, as Chromium runs it."""
    example = code_behind("In JavaScript, in a page").replace(ADDRESS, served.address.rstrip("/"))
    page, said = browser.new_page(), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.goto(served.address)
    picture = base64.b64encode((ROOT / "examples" / "7.png").read_bytes()).decode()
    page.evaluate(
        f"""async (picture) => {{
            const bytes = Uint8Array.from(atob(picture), (sign) => sign.charCodeAt(0));
            const file = new Blob([bytes], {{ type: "image/png" }});
            {example}
        }}""",
        picture,
    )
    page.close()
    assert ["7 1"] == said
    assert "7" == newest_label(served)


def newest_label(served: Site) -> str | None:
    (row,) = find_page(store_of(served.app), Filters(), 1).rows
    label: str | None = row["label"]
    return label


def test_the_examples_are_short_and_of_five_languages() -> None:
    examples = [
        code_behind(words)
        for words in ("In Python,", "In a shell,", "In JavaScript,", "In C#,", "In PowerShell,")
    ]
    for example in examples:
        assert ADDRESS in example
        assert "/predict" in example
        assert "/label" in example
        assert 5 < len([line for line in example.splitlines() if line.strip()]) < 13
