"""The operators' page in a real browser: whoever has a key labels by keyboard, and looks."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import TIMEOUT_MS, Site
from fakes import draw_digit, encode, make_submission
from operators import store_of
from playwright.sync_api import Page, expect

from flaskapi.submissions.keys import make_key
from flaskapi.submissions.labels import Said, say
from flaskapi.submissions.listing import Filters, find_page

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
Find = Callable[..., Site]
MANY = 22


def fill(site: Site, name: str) -> str:
    """Keep uncertain digits, the first the least sure, each answered one too high; a key."""
    store_of(site.app).record(
        [
            make_submission(
                image=encode(draw_digit(place % 10, side=60 + place)),
                prediction=str((place + 1) % 10),
                confidence=0.4 + place / 100,
                uncertain=True,
            )
            for place in range(MANY)
        ]
    )
    return make_key(store_of(site.app), name)


def enter(page: Page, key: str) -> None:
    page.locator("#key").fill(key)
    page.keyboard.press("Enter")


def labels(site: Site) -> dict[int, str | None]:
    """The label of each, by its place."""
    rows = find_page(store_of(site.app), Filters(), 200).rows
    return {round(100 * row["confidence"]) - 40: row["label"] for row in rows}


def wait_for(site: Site, expected: dict[int, str | None]) -> None:
    deadline_s = time.monotonic() + TIMEOUT_MS / 1000
    while (found := labels(site)) != expected:
        assert time.monotonic() < deadline_s, found
        time.sleep(0.05)


def check_axe(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [] == [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]


def test_twenty_pictures_are_labelled_by_keyboard_the_least_sure_first(
    open_page: Open, site: Find
) -> None:
    """0 to 9 label and go on, space agrees, x is none, s leaves it, backspace goes back."""
    one = site("labelling")
    key = fill(one, "ada")
    page = open_page(one.address + "operations")
    enter(page, "fk_wrong")
    expect(page.locator("#key-note")).to_have_text("This key is unknown, or was revoked.")
    enter(page, key)
    expect(page.locator("#progress")).to_contain_text(f"Uncertain and not labelled: {MANY}")
    expect(page.locator("#about")).to_have_text("confidence 40%")
    expect(page.locator("#picture")).to_be_visible()
    check_axe(page)
    began_s = time.monotonic()
    for place in range(20):
        page.keyboard.press(str(place % 10))
    took_s = time.monotonic() - began_s
    assert took_s < 10, "two pictures a second"
    said: dict[int, str | None] = {place: str(place % 10) for place in range(20)}
    wait_for(one, said | {20: None, 21: None})
    expect(page.locator("#progress")).to_contain_text("Labels kept: 20")
    page.keyboard.press("Space")
    page.keyboard.press("x")
    wait_for(one, said | {20: "1", 21: "none"})
    expect(page.locator("#about")).to_have_text("Nothing uncertain is left without a label.")
    page.keyboard.press("Backspace")
    expect(page.locator("#about")).to_have_text("confidence 61%")
    wait_for(one, said | {20: "1", 21: None})
    page.keyboard.press("s")
    expect(page.locator("#about")).to_have_text("Nothing uncertain is left without a label.")
    assert (
        "operator" == find_page(store_of(one.app), Filters(label="any"), 1).rows[0]["label_source"]
    )
    assert key == page.evaluate("sessionStorage.getItem('flaskapi-key')")


def test_labels_that_cannot_be_sent_wait_and_are_sent_later(open_page: Open, site: Find) -> None:
    one = site("waiting")
    key = fill(one, "ada")
    page = open_page(one.address + "operations")
    enter(page, key)
    expect(page.locator("#picture")).to_be_visible()
    page.route("**/labels", lambda route: route.abort())
    page.keyboard.press("0")
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached.")
    expect(page.locator("#progress")).to_contain_text("Labels that wait: 1")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    wait_for(one, {place: "0" if place == 0 else None for place in range(MANY)})


def test_a_number_is_typed_and_its_digits_are_in_boxes(open_page: Open, site: Find) -> None:
    one = site("numbers")
    key = make_key(store_of(one.app), "ada")
    box = {"x": 5, "y": 5, "width": 20, "height": 40}
    digit: dict[str, Any] = {"digit": 7, "confidence": 0.5, "uncertain": True, "box": box}
    number = make_submission(
        image=encode(draw_digit(7)),
        prediction="77",
        lines=["77"],
        digits=[digit, digit],
        normalized=None,
        probabilities=None,
        uncertain=True,
        route="/predict/number",
    )
    store_of(one.app).record([number])
    page = open_page(one.address + "operations")
    enter(page, key)
    expect(page.locator(".box")).to_have_count(2)
    check_axe(page)
    page.keyboard.type("71")
    page.keyboard.press("Enter")
    expect(page.locator("#progress")).to_contain_text("Labels kept: 1")
    assert "71" == find_page(store_of(one.app), Filters(), 1).rows[0]["label"]


def test_the_gallery_has_filters_and_the_matrix_opens_its_pictures(
    open_page: Open, site: Find
) -> None:
    one = site("gallery")
    key = fill(one, "ada")
    rows = find_page(store_of(one.app), Filters(), 200).rows
    ids: dict[str, UUID] = {row["prediction"]: row["id"] for row in rows}
    say(store_of(one.app), ids["3"], Said("2", "operator", "digit"))
    page = open_page(one.address + "operations#look")
    enter(page, key)
    expect(page.locator("#found")).to_have_text(f"Pictures: {MANY}")
    expect(page.locator("figure img").first).to_have_js_property("naturalWidth", 28)
    check_axe(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert 320 >= page.evaluate("document.documentElement.scrollWidth")
    page.locator("[name=digit]").select_option("3")
    expect(page.locator("#found")).to_have_text("Pictures: 2")
    expect(page.locator("#figures svg")).to_have_count(2)  # by day, and calibration
    page.get_by_role("button", name="1 labelled 2 and answered 3").click()
    expect(page.locator("#found")).to_have_text("Pictures: 1")
    expect(page.locator("#gallery figcaption")).to_contain_text("3 → 2")
    page.locator("[name=label]").select_option("9")
    expect(page.locator("#found")).to_have_text("There is no such picture.")
