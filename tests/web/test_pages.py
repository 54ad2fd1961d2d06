"""The page's files: what they may take from where, how large they are, and in which languages they
speak. What they do, `test_page.py` tries in a browser.
"""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from problems import read_problem

from flaskapi.config import SETTINGS
from flaskapi.drift import ADVICE
from flaskapi.web.pages import FOLDER, TYPES

FILES = sorted(path.name for path in FOLDER.iterdir())
TEXTS = {name: (FOLDER / name).read_text("utf-8") for name in FILES}
SCRIPTS = "\n".join(TEXTS[name] for name in FILES if name.endswith(".js") and name != "german.js")
MOST_BYTES = 60 * 1024  # that a browser loads
REFERENCE = re.compile(r'(?:from|import|import\() ?"\./([\w.-]+)"')


@pytest.mark.parametrize(("address", "name"), [("/", "index"), ("/operations", "operations")])
def test_a_page_is_sent_with_a_policy_that_runs_nothing_but_its_files(
    client: FlaskClient, address: str, name: str
) -> None:
    response = client.get(address)
    policy = response.headers["Content-Security-Policy"]
    assert (200, "text/html; charset=utf-8") == (response.status_code, response.content_type)
    assert {"default-src 'none'", "script-src 'self'"} <= set(policy.split("; "))
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<script(?! type=\"module\" src=)|\son\w+=|style=", TEXTS[f"{name}.html"])


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_sent_as_what_it_is_and_not_twice(client: FlaskClient, name: str) -> None:
    """A browser that has it asks whether it is still the same, and is told so without it."""
    address = {"index.html": "/", "operations.html": "/operations"}.get(name, f"/page/{name}")
    response = client.get(address)
    assert (200, "no-cache") == (response.status_code, response.headers["Cache-Control"])
    assert TYPES[Path(name).suffix] == response.mimetype
    assert "nosniff" == response.headers["X-Content-Type-Options"]
    again = client.get(address, headers={"If-None-Match": response.headers["ETag"]})
    assert (304, b"") == (again.status_code, again.data)


@pytest.mark.parametrize("name", ["none.js", "..", "%2e%2e%2fpages.py", "pages.py", "x" * 999, ""])
def test_nothing_else_is_sent(client: FlaskClient, name: str) -> None:
    assert (404, "not-found") == read_problem(client.get(f"/page/{name}"))


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_nothing_outside(name: str) -> None:
    outside = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", TEXTS[name])
    names = {"http://www.w3.org/2000/svg", "https://example.org`,"}
    assert set(outside) <= names, "which nothing asks for"
    for found in REFERENCE.findall(TEXTS[name]):
        assert found in FILES


def test_all_that_the_page_needs_is_small_and_kept_for_when_there_is_no_network() -> None:
    parts, new = set[str](), {"page.js"}
    while new:
        parts |= new
        new = {other for part in new for other in REFERENCE.findall(TEXTS[part])} - parts
    head = set(re.findall(r'"page/([\w.-]+)"', TEXTS["index.html"]))
    (listed,) = re.findall(r"const PARTS = \[([^]]*)\]", TEXTS["service-worker.js"])
    assert parts | head | {"icon.svg"} == set(re.findall(r'"([^"]+)"', listed))
    needed = (parts | head | {"index.html", "service-worker.js"}) - {"german.js"}
    assert sum(len(TEXTS[name].encode()) for name in needed) < MOST_BYTES


def test_every_text_has_its_german_with_the_same_places() -> None:
    german = dict(re.findall(r'^  "(.*)": "(.*)",$', TEXTS["german.js"], re.M))
    html = re.sub(r"<noscript>.*</noscript>", "", TEXTS["index.html"]) + TEXTS["operations.html"]
    shown = [" ".join(text.split()) for text in re.findall(r">([^<>]+)<", html)]
    shown += re.findall(r'(?:aria-label|title)="([^"]+)"', html)
    shown += re.findall(r'\bt\(\s*"([^"]+)"', SCRIPTS)
    shown += [one for pair in re.findall(r'\? "([^"]+)" : "([^"]+)"', SCRIPTS) for one in pair]
    shown += re.findall(r'^  "[a-z-]+": "([^"]+)",$', TEXTS["words.js"], re.M)
    texts = {text for text in shown if re.search(r"[A-Za-z]{2}", text) and " " in text}
    assert len(texts) > 50
    # What the service says and the page shows in the language of the browser.
    texts |= {setting.help for setting in SETTINGS} | set(ADVICE.values())
    assert set() == texts - set(german)
    for text, translated in german.items():
        assert sorted(re.findall(r"\{\d\}", text)) == sorted(re.findall(r"\{\d\}", translated))
