"""`/docs` shows the description offline, from files of this service, under a policy of its own."""

from collections.abc import Callable

import pytest
from browsers import Site
from fakes import draw_digit, encode
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect
from problems import read_problem

from flaskapi.web.docs import POLICY, SHIPPED


@pytest.mark.parametrize("name", ["", *(f"/{one}" for one in ("start.js", *SHIPPED))])
def test_each_file_is_sent_with_the_looser_policy_and_not_twice(
    client: FlaskClient, name: str
) -> None:
    answer = client.get(f"/docs{name}")
    assert (200, "no-cache") == (answer.status_code, answer.headers["Cache-Control"])
    assert POLICY == answer.headers["Content-Security-Policy"]
    again = client.get(f"/docs{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert 304 == again.status_code
    assert "unsafe-inline" not in client.get("/").headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["index.html", "swagger-ui.js", "..", "../docs.py", "x"])
def test_nothing_else_is_sent(client: FlaskClient, name: str) -> None:
    assert (404, "not-found") == read_problem(client.get(f"/docs/{name}"))


@pytest.mark.browser
def test_a_person_reads_it_and_tries_it_and_nothing_is_asked_of_others(
    open_page: Callable[..., Page], site: Callable[..., Site]
) -> None:
    asked = list[str]()
    place = site()
    page = open_page(place.address)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{place.address}docs")
    page.locator("html[data-ready]").wait_for()
    page.locator(
        "#operations-predict-post_predict summary, #operations-predict-post_predict button"
    ).first.click()
    page.get_by_role("button", name="Try it out").click()
    picture = {"name": "7.png", "mimeType": "image/png", "buffer": encode(draw_digit(7))}
    page.locator("input[type=file]").set_input_files(picture)  # type: ignore[arg-type]
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").nth(1)).to_contain_text("200")
    expect(page.locator(".live-responses-table")).to_contain_text('"digit": 7')
    assert any(url.endswith("/predict") for url in asked)
    assert all(url.startswith((place.address, "data:", "blob:")) for url in asked)
