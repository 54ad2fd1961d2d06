"""One Chromium and few servers for all tests of the pages, each of which has a window of its own;
one application for tests that change nothing in it.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browsers import TIMEOUT_MS, Site, chromium, why_no_chromium
from described import Description
from fakes import FixedClassifier, FixedDetector
from flask.testing import FlaskClient
from operators import make_app
from playwright.sync_api import Browser, BrowserContext, Page
from werkzeug.test import TestResponse

from flaskapi import create_app

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def description(tmp_path_factory: pytest.TempPathFactory) -> Description:
    return Description(make_app(tmp_path_factory.mktemp("described"), STORE="off"))


@pytest.fixture(autouse=True)
def _answers_are_as_described(
    monkeypatch: pytest.MonkeyPatch, description: Description
) -> Iterator[None]:
    """The rule that every answer which a test here is given is one that `/openapi.json` has."""
    faults = list[str]()
    ask = FlaskClient.open

    def watch(client: FlaskClient, *args: Any, **options: Any) -> TestResponse:
        answer = ask(client, *args, **options)
        request = answer.request
        if fault := description.find_fault(
            client.application, request.method, request.path, answer
        ):
            faults.append(f"{request.method} {request.path}: {fault}")
        return answer

    monkeypatch.setattr(FlaskClient, "open", watch)
    yield
    assert [] == faults


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> tuple[FlaskClient, FixedClassifier]:
    """A client of the application of the fixture `app`, and its classifier, for all tests of a file
    that name it in place of theirs.
    """
    classifier = FixedClassifier()
    app = create_app(
        {"INSTANCE_PATH": tmp_path_factory.mktemp("instance"), "UNCERTAIN_BELOW": 0.5},
        classifier=classifier,
        detector=FixedDetector(),
    )
    return app.test_client(), classifier


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if reason := why_no_chromium():
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Gives a server of some settings; the same to all tests that ask for the same ones, and by the
    same name.
    """
    sites: dict[Any, Site] = {}

    def find(name: str = "shared", **settings: Any) -> Site:
        key = (name, *sorted(settings.items()))
        if key not in sites:
            sites[key] = Site(tmp_path_factory.mktemp("site"), **settings)
        return sites[key]

    yield find
    for one in sites.values():
        one.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens an address in a window of its own, light, English and wide unless told otherwise.

    No page may run into its own policy, or raise what nobody catches.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def note(message: Any) -> None:
        if "Content Security Policy" in message.text:
            wrong.append(message.text)

    def open_(address: str, **options: Any) -> Page:
        window = {"viewport": {"width": 1200, "height": 850}, "locale": "en-GB"}
        window["service_workers"] = "block"  # what passes through one, no test can hold up
        context = browser.new_context(**(window | options))
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        page.locator("html[data-ready]").wait_for()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [] == wrong
