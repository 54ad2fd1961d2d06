"""Pages of other origins: none may read an answer or have something kept unless CORS_ORIGINS names
it.
"""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browsers import TIMEOUT_MS, Site
from fakes import draw_digit, encode
from flask import Flask
from operators import make_app, store_of
from playwright.sync_api import Browser, Page
from problems import read_problem

from flaskapi.submissions.keys import make_key
from flaskapi.submissions.listing import Filters, find_page

PNG = encode(draw_digit(7))
SHOP = "https://shop.example"


@pytest.fixture
def allowing(tmp_path: Path) -> Iterator[Flask]:
    app = make_app(tmp_path, CORS_ORIGINS=f"{SHOP}, http://localhost:3000")
    yield app
    store_of(app).close()


def count_kept(app: Flask) -> int:
    return len(find_page(store_of(app), Filters(), 200).rows)


def test_nothing_is_allowed_unless_the_setting_says_so(keeping: Flask) -> None:
    client = keeping.test_client()
    for method in ("GET", "OPTIONS"):
        answer = client.open("/model", method=method, headers={"Origin": SHOP})
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert "Origin" not in answer.headers.get("Vary", "")


def test_a_preflight_says_what_the_route_takes_and_needs_no_key(tmp_path: Path) -> None:
    app = make_app(tmp_path, CORS_ORIGINS=SHOP, PREDICT_KEY_REQUIRED=True)
    asked = {
        "Origin": SHOP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    answer = app.test_client().options("/predict", headers=asked)
    assert 200 == answer.status_code
    assert SHOP == answer.headers["Access-Control-Allow-Origin"]
    assert {"POST", "OPTIONS"} == set(answer.access_control_allow_methods or ())
    assert {"authorization", "content-type", "idempotency-key"} == set(
        answer.access_control_allow_headers or ()
    )
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Origin" in answer.headers["Vary"]
    store_of(app).close()


@pytest.mark.parametrize(
    "path", ["/model", "/nothing", "/submissions", "/predict", "/health/ready", "/openapi.json"]
)
def test_every_answer_can_be_read_by_who_is_allowed_errors_too(allowing: Flask, path: str) -> None:
    answer = allowing.test_client().get(path, headers={"Origin": SHOP})
    assert SHOP == answer.headers["Access-Control-Allow-Origin"]
    assert "X-Request-ID" in (answer.access_control_expose_headers or ())
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example.evil",
        "http://shop.example",
        "https://shop.example:1",
        "null",
        "",
        "https://[",
        "ÿ",
    ],
)
def test_another_origin_is_none_that_is_allowed(allowing: Flask, origin: str) -> None:
    headers = {"Origin": origin}
    answer = allowing.test_client().post("/predict", data=PNG, headers=headers)
    assert (200, None) == (answer.status_code, answer.get_json()["id"])
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.headers["Vary"], "a cache must not give it to who is allowed"
    assert 0 == count_kept(allowing)


def test_all_may_be_allowed(tmp_path: Path) -> None:
    app = make_app(tmp_path, CORS_ORIGINS="*")
    answer = app.test_client().post("/predict", data=PNG, headers={"Origin": SHOP})
    assert "*" == answer.headers["Access-Control-Allow-Origin"]
    assert answer.get_json()["id"]
    store_of(app).close()


@pytest.mark.parametrize("path", ["/predict", "/predict/number", "/predict/batch"])
@pytest.mark.parametrize(
    ("headers", "is_kept"),
    [
        ({}, True),  # no browser
        ({"Origin": "http://localhost"}, True),  # the service's own page, over plain HTTP
        ({"Origin": "https://localhost"}, True),  # the same, behind a proxy that ends TLS
        ({"Origin": "https://digits.example", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://localhost:3000"}, False),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": SHOP, "Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_what_a_foreign_page_sends_is_answered_and_not_kept(
    keeping: Flask, path: str, headers: dict[str, str], is_kept: bool
) -> None:
    answer = (
        keeping.test_client()
        .post(path, data=PNG, content_type="image/png", headers=headers)
        .get_json()
    )
    (one,) = answer.get("results", [answer])
    assert is_kept == (one["id"] is not None)
    assert is_kept == count_kept(keeping)


def test_where_only_what_is_kept_is_answered_a_foreign_page_is_told_why(tmp_path: Path) -> None:
    app = make_app(tmp_path, STORE="required")
    refused = app.test_client().post("/predict", data=PNG, headers={"Origin": SHOP})
    assert (403, "forbidden") == read_problem(refused)
    assert "CORS_ORIGINS" in refused.get_json()["detail"]
    store_of(app).close()


class _Blank(BaseHTTPRequestHandler):
    """A page of another origin, on which there is a form."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(
            b"<form method=post enctype=multipart/form-data><input name=file type=file></form>"
        )

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def other_origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


ASK = """async ([address, token, picture]) => {
    const form = new FormData();
    const bytes = Uint8Array.from(atob(picture), (sign) => sign.charCodeAt(0));
    form.append("file", new Blob([bytes]), "7.png");
    const own = { Authorization: `Bearer ${token}` };
    const answered = await fetch(`${address}predict`, { method: "POST", body: form, headers: own });
    const { digit, id } = await answered.json();
    const labelled = await fetch(`${address}submissions/${id}/label`, {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ digit }),
    });
    const wrong = await fetch(`${address}predict`, { method: "POST", body: "text" });
    return {
        digit,
        id,
        request: answered.headers.get("X-Request-ID"),
        label: (await labelled.json()).label,
        error: (await wrong.json()).type,
    };
}"""


def post_form(page: Page, address: str) -> str:
    """Send the form of the page, as a person does."""
    picture: Any = {"name": "7.png", "mimeType": "image/png", "buffer": PNG}
    page.locator("input").set_input_files(picture)
    page.evaluate("(address) => { document.forms[0].action = `${address}predict`; }", address)
    with page.expect_navigation():
        page.evaluate("() => document.forms[0].submit()")
    return page.inner_text("body")


@pytest.mark.browser
def test_a_real_browser_lets_a_page_ask_where_it_is_allowed_and_else_not(
    browser: Browser, site: Callable[..., Site]
) -> None:
    """It reads answers and errors, labels what it sent, and its form is kept; or nothing of it."""
    with other_origin() as origin:
        closed, opened = site("closed"), site("opened", CORS_ORIGINS=origin)
        token = make_key(store_of(opened.app), "shop", scopes=["predict"])
        arguments = [token, base64.b64encode(PNG).decode()]
        context = browser.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        page.goto(origin)
        for preflighted in (True, False):
            refused = page.evaluate(
                """async ([address, preflighted]) => {
                    const headers = preflighted ? { "X-Other": "1" } : {};
                    const asked = { method: "POST", body: "x", headers };
                    return fetch(`${address}predict`, asked).then(() => "read", String);
                }""",
                [closed.address, preflighted],
            )
            assert "TypeError: Failed to fetch" == refused
        assert '"id":null' in post_form(page, closed.address)
        assert 0 == count_kept(closed.app)
        page.goto(origin)
        said = page.evaluate(ASK, [opened.address, *arguments])
        assert (7, "7") == (said["digit"], said["label"])
        assert said["id"]
        assert said["request"]
        assert said["error"].startswith("/problems/")
        assert '"id":null' not in post_form(page, opened.address)
        assert 2 == count_kept(opened.app)
        context.close()
