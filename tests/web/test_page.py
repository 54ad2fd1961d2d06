"""The page in a real browser: whoever opens it can draw, send, see and label."""

import base64
import csv
import io
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import make_zip
from axe_playwright_python.sync_playwright import Axe
from browsers import TIMEOUT_MS, Site
from fakes import draw_digit, encode
from flask import Flask
from operators import store_of
from PIL import Image
from playwright.sync_api import Page, Request, Route, expect
from waiting import until

from flaskapi.submissions.keys import make_key
from flaskapi.submissions.listing import Filters, find_page, get_submission

pytestmark = pytest.mark.browser
EXAMPLES = Path(__file__).parents[2] / "examples"
SEVEN = [[(0.38, 0.25), (0.62, 0.25), (0.48, 0.8)]]
ONE = [[(0.5, 0.2), (0.5, 0.8)]]
SEVENTEEN = [[(0.3, 0.25), (0.3, 0.75)], [(0.5, 0.25), (0.7, 0.25), (0.6, 0.75)]]
Open = Callable[..., Page]
Find = Callable[..., Site]
Strokes = list[list[tuple[float, float]]]


def draw(page: Page, strokes: Strokes) -> None:
    """Draw with the mouse; places are shares of the paper."""
    paper = page.locator("#paper").bounding_box()
    assert paper
    for first, *rest in strokes:
        places = [
            (paper["x"] + paper["width"] * x, paper["y"] + paper["height"] * y)
            for x, y in (first, *rest)
        ]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=6)
        page.mouse.up()


def touch(page: Page, strokes: Strokes) -> None:
    """The same with a finger."""
    paper = page.locator("#paper").bounding_box()
    assert paper
    session = page.context.new_cdp_session(page)
    for stroke in strokes:
        pairs = itertools.pairwise(stroke)
        path = [
            (a[0] + (b[0] - a[0]) * step / 6, a[1] + (b[1] - a[1]) * step / 6)
            for a, b in pairs
            for step in range(7)
        ]
        for number, (x, y) in enumerate(path):
            point = {"x": paper["x"] + paper["width"] * x, "y": paper["y"] + paper["height"] * y}
            kind = "touchMove" if number else "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def send(page: Page, kind: str, files: dict[str, bytes]) -> None:
    """Drop or paste files, as the browser says it to the page."""
    content = {name: base64.b64encode(data).decode() for name, data in files.items()}
    page.evaluate(
        """([kind, content]) => {
            const data = new DataTransfer();
            for (const [name, text] of Object.entries(content)) {
                const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
                data.items.add(new File([bytes], name, { type: "image/png" }));
            }
            const event = kind === "paste"
                ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
                : new DragEvent("drop", { dataTransfer: data, bubbles: true });
            document.body.dispatchEvent(event);
        }""",
        [kind, content],
    )


def digit_png(digit: int, **options: Any) -> bytes:
    return encode(draw_digit(digit, **options))


def kept(app: Flask) -> list[dict[str, Any]]:
    return find_page(store_of(app), Filters(), 200).rows


def wait_until_kept(app: Flask, *answers: str) -> list[dict[str, Any]]:
    """Wait until these answers are kept, the newest first; tell what is kept of them."""

    def found() -> list[str]:
        return [row["prediction"] for row in kept(app)]

    until(lambda: found() == list(answers), TIMEOUT_MS / 1000, why=found)
    return kept(app)


def picture_of(app: Flask, row: dict[str, Any]) -> Image.Image:
    """The picture as it arrived."""
    submission = get_submission(store_of(app), row["id"])
    assert submission
    return Image.open(io.BytesIO(submission.image))


def is_question(asked: str | Request) -> bool:
    return "/predict" in (asked if isinstance(asked, str) else asked.url)


def read(page: Page) -> Any:
    return expect(page.locator("#read strong, #read .signs"))


def check_axe(page: Page) -> None:
    """Nothing that axe knows of keeps people out."""
    found = Axe().run(page).response["violations"]
    assert [] == [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]


@pytest.mark.parametrize("by", [draw, touch])
def test_a_drawn_7_is_read_as_7_with_its_bars_and_what_the_network_saw(
    open_page: Open, site: Find, by: Callable[[Page, Strokes], None]
) -> None:
    page = open_page(site().address, has_touch=by is touch)
    by(page, SEVEN)
    read(page).to_have_text("7")
    expect(page.locator("#status")).to_contain_text("This is a 7")
    expect(page.locator(".bars li")).to_have_count(10)
    expect(page.locator(".bars .on b")).to_have_text("7")
    expect(page.locator(".seen img")).to_be_visible()
    assert 0 == page.evaluate("scrollY")


@pytest.mark.parametrize("uncertain", [False, True])
def test_an_8_is_an_8_and_of_a_drawing_it_is_not_said_that_its_ink_is_dark(
    open_page: Open, site: Find, uncertain: bool
) -> None:
    answer: dict[str, Any] = {
        "digit": 8,
        "confidence": 0.7,
        "probabilities": [0.1] * 10,
        "uncertain": uncertain,
        "noticed": ["inverted", "small"],
        "normalized": "data:,",
        "model": "some",
    }
    page = open_page(site().address)
    page.route(is_question, lambda route: route.fulfill(json=answer))
    page.locator("[name=mode][value=digit]").check(force=True)
    draw(page, SEVEN)
    words = "Perhaps an 8: better look yourself" if uncertain else "This is an 8"
    expect(page.locator("#status")).to_contain_text(words)
    expect(page.locator("#label-title")).to_have_text("It was …")
    expect(page.locator(".seen")).to_contain_text("The digit is very small")
    expect(page.locator(".seen")).not_to_contain_text("The ink was darker")


def test_a_drawn_number_is_found_by_itself(open_page: Open, site: Find) -> None:
    page = open_page(site().address)
    draw(page, SEVENTEEN)
    read(page).to_have_text("17")
    expect(page.locator(".box")).to_have_count(2)


def test_of_strokes_in_quick_succession_the_last_answer_is_shown(
    open_page: Open, site: Find
) -> None:
    """An answer to an earlier drawing that comes late is not shown."""
    page = open_page(site().address)
    held: list[Route] = []

    def hold(route: Route) -> None:
        if not held:
            held.append(route)  # the answer to the 1 waits until that to the 7 is there
        else:
            route.continue_()

    page.route(is_question, hold)
    with page.expect_request(is_question):
        draw(page, ONE)
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "true")
    page.locator("#undo").click()
    draw(page, SEVEN)
    read(page).to_have_text("7")
    held[0].continue_()
    page.wait_for_timeout(200)
    read(page).to_have_text("7")


def test_clear_and_undo_by_button_and_keys_leave_nothing_of_the_old_answer(
    open_page: Open, site: Find
) -> None:
    page = open_page(site().address)
    for again in range(2):
        draw(page, SEVEN)
        read(page).to_have_text("7")
        if again:
            page.locator("#clear").click()
        else:
            page.keyboard.press("Escape")
        for name in ("#read", "#label", "#same"):
            expect(page.locator(name)).to_be_hidden()
        expect(page.locator("#status")).to_have_text("")
        expect(page.locator(".bars, .seen, .box")).to_have_count(0)
    page.keyboard.press("Control+z")
    read(page).to_have_text("7")


def test_a_drawing_is_kept_once_when_it_is_finished(open_page: Open, site: Find) -> None:
    """However many strokes it has, and however often it was read before."""
    one = site("drawings")
    page = open_page(one.address)
    draw(page, SEVENTEEN[:1])
    expect(page.locator("#read")).to_be_visible()
    draw(page, SEVENTEEN[1:])
    read(page).to_have_text("17")
    assert [] == kept(one.app)
    page.locator("#clear").click()
    wait_until_kept(one.app, "17")
    draw(page, SEVEN)
    read(page).to_have_text("7")
    page.goto("about:blank")  # whoever goes has finished
    wait_until_kept(one.app, "7", "17")


def test_a_key_labels_and_it_can_be_taken_back(open_page: Open, site: Find) -> None:
    one = site()
    page = open_page(one.address)
    draw(page, SEVEN)
    read(page).to_have_text("7")
    page.keyboard.press("1")
    expect(page.locator("#thanks")).to_contain_text("Thank you. It is kept as “1”")
    row = kept(one.app)[0]
    assert ("7", "1", "sender") == (row["prediction"], row["label"], row["label_source"])
    expect(page.locator("#thanks")).to_contain_text(str(row["id"]))
    expect(page.locator("[data-value='1']")).to_have_attribute("aria-pressed", "true")
    page.locator("#take-back").click()
    expect(page.locator("#thanks")).to_have_text("It is taken back.")
    assert kept(one.app)[0]["label"] is None
    page.get_by_role("button", name="No digit").click()
    expect(page.locator("#thanks")).to_contain_text("no digit")
    assert (row["id"], "none") == (kept(one.app)[0]["id"], kept(one.app)[0]["label"])


def test_a_photographed_number_has_a_box_for_each_digit_by_mouse_and_by_keyboard(
    open_page: Open, site: Find
) -> None:
    one = site()
    page = open_page(one.address)
    with page.expect_response(lambda response: response.url.endswith("/predict/number")):
        page.set_input_files("#files", EXAMPLES / "number.jpg")
    read(page).to_have_text("0551234678")
    expect(page.locator(".box")).to_have_count(10)
    page.locator("#read .one").nth(3).focus()
    expect(page.locator(".box").nth(3)).to_have_class("box sure on")
    expect(page.locator("#read .one").nth(3)).to_have_accessible_name(
        re.compile(r"Digit 4 of 10: 1, confidence 9\d(\.\d)?%")
    )
    page.keyboard.press("Tab")
    expect(page.locator(".box.on")).to_have_count(1)
    expect(page.locator(".box").nth(4)).to_have_class("box sure on")
    box = page.locator(".box").nth(7).bounding_box()
    assert box
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    expect(page.locator(".box").nth(7)).to_have_class("box sure on")
    assert "0551234678" == kept(one.app)[0]["prediction"]
    page.locator("#number").fill("0551234679")
    page.keyboard.press("Enter")
    expect(page.locator("#thanks")).to_contain_text("“0551234679”")
    assert "0551234679" == kept(one.app)[0]["label"]


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(open_page: Open, site: Find, way: str) -> None:
    page = open_page(site().address)
    send(page, way, {"4.png": digit_png(4)})
    read(page).to_have_text("4")
    expect(page.locator("#photo")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#photo")).to_be_hidden()
    draw(page, SEVEN)
    read(page).to_have_text("7")


def test_thirty_files_become_a_table_and_a_csv(open_page: Open, site: Find) -> None:
    """Digits and numbers are told apart, and what is no picture stops nothing."""
    one = site("files")
    page = open_page(one.address)
    files = {f"{number}.png": digit_png(number % 10) for number in range(28)}
    files |= {"=cmd.png": (EXAMPLES / "number.jpg").read_bytes(), 'a "b".txt': b"no picture"}
    send(page, "drop", files)
    expect(page.locator("#many-status")).to_contain_text("29 read")
    expect(page.locator("#many-rows tr")).to_have_count(30)
    with page.expect_download() as download:
        page.locator("#many-csv").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    right = [row["read"] == row["name"].removesuffix(".png")[-1] for row in rows[:28]]
    assert sum(right) > 24, "drawn by OpenCV's font"
    assert ("'=cmd.png", "0551234678") == (rows[28]["name"], rows[28]["read"])
    assert ('a "b".txt', "") == (rows[29]["name"], rows[29]["read"])
    assert "not an image" in rows[29]["error"]
    assert {row["id"] for row in rows[:29]} == {str(row["id"]) for row in kept(one.app)}
    page.get_by_role("button", name="=cmd.png").click()
    read(page).to_have_text("0551234678")
    assert 29 == len(kept(one.app)), "what is looked at again is not kept again"


@pytest.mark.parametrize("width", [1000, 1400])
def test_of_many_files_the_table_comes_into_sight_and_a_name_stands_in_one_line(
    open_page: Open, site: Find, width: int
) -> None:
    page = open_page(site().address, viewport={"width": width, "height": 900})
    names = [f"digit-{place}.png" for place in range(18)]
    send(page, "drop", {"README.md": b"# text"} | {name: digit_png(1) for name in names})
    expect(page.locator("#many-rows tr")).to_have_count(19)
    expect(page.locator("#many-stop")).not_to_be_visible()
    heights = page.locator("#many-rows th").evaluate_all(
        "(all) => all.map((one) => { const range = document.createRange();"
        " range.selectNodeContents(one); return range.getBoundingClientRect().height; })"
    )
    assert max(heights) < 40, "a line each"
    expect(page.locator("#many-rows tr").nth(16)).to_be_in_viewport()
    box = page.locator("#many .scroll")
    assert box.evaluate("(it) => it.scrollHeight <= it.clientHeight"), "no row is hidden"


def test_an_archive_becomes_a_table(open_page: Open, site: Find) -> None:
    page = open_page(site().address)
    archive = make_zip((f"{digit}.png", digit_png(digit)) for digit in (3, 5, 7))
    send(page, "drop", {"some.zip": archive})
    expect(page.locator("#many-rows tr")).to_have_count(3)
    expect(page.locator("#many-rows tr").nth(2)).to_contain_text("7.png7")


def test_a_large_photo_is_made_smaller_before_it_is_sent(open_page: Open, site: Find) -> None:
    one = site("large")
    page = open_page(one.address)
    large = io.BytesIO()
    digit = np.array(Image.fromarray(draw_digit(5)).resize((3000, 3000)))
    Image.fromarray(np.pad(digit, ((0, 0), (500, 500)), constant_values=255)).save(large, "JPEG")
    send(page, "drop", {"photo.jpg": large.getvalue()})
    read(page).to_have_text("5")
    (row,) = wait_until_kept(one.app, "5")
    sent = picture_of(one.app, row)
    assert ("JPEG", (2000, 1500)) == (sent.format, sent.size)


def test_what_goes_wrong_is_said_in_words_where_it_happens(open_page: Open, site: Find) -> None:
    page = open_page(site().address)
    trouble = page.get_by_role("alert")
    white = encode(np.full((100, 100), 255, np.uint8))
    for content, words in (
        (b"text", "This file is no picture that can be read here."),
        (white, "Nothing here looks like a digit."),
        (digit_png(3)[:400], "This picture is damaged."),
    ):
        send(page, "drop", {"file.png": content})
        expect(trouble).to_contain_text(words)
        expect(page.locator("#read")).to_be_hidden()
    check_axe(page)
    page.route(is_question, lambda route: route.fulfill(status=502, body="<h1>Bad</h1>"))
    page.keyboard.press("Escape")
    expect(trouble).to_be_hidden()
    draw(page, SEVEN)
    expect(trouble).to_contain_text("Something went wrong in the service.")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    read(page).to_have_text("7")


def test_where_nothing_is_kept_the_page_says_so(open_page: Open, site: Find) -> None:
    page = open_page(site(STORE="off").address)
    expect(page.locator("#keeps")).to_have_text("Nothing that is sent here is kept.")
    draw(page, SEVEN)
    read(page).to_have_text("7")
    page.keyboard.press("7")
    expect(page.locator("#thanks")).to_have_text("Thank you, but nothing is kept here.")


def test_where_a_key_is_needed_it_is_asked_for_and_stays_in_the_tab(
    open_page: Open, site: Find
) -> None:
    one = site(PREDICT_KEY_REQUIRED=True)
    right = make_key(store_of(one.app), f"ada-{id(one)}")
    page = open_page(one.address)
    draw(page, SEVEN)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    check_axe(page)
    page.locator("#key").fill("fk_wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#key-note")).to_have_text("This key is unknown, revoked or expired.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert")).to_contain_text("A key is needed here.")
    page.get_by_role("button", name="Try again").click()
    page.locator("#key").fill(right)
    page.keyboard.press("Enter")
    read(page).to_have_text("7")
    expect(page.locator("code")).to_contain_text('-H "Authorization: Bearer $KEY"')
    assert right == page.evaluate("sessionStorage.getItem('flaskapi-key')")
    assert "" == page.evaluate("document.cookie + JSON.stringify(localStorage).slice(2)")


def test_a_photo_without_a_network_waits_on_the_device_and_is_sent_when_it_is_back(
    open_page: Open, site: Find
) -> None:
    """The page itself opens without a network too, and what waits is still there."""
    one = site("later")
    page = open_page(one.address, service_workers="allow")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.context.set_offline(True)
    send(page, "drop", {"6.png": digit_png(6)})
    expect(page.locator("#trouble")).to_contain_text("It waits on this device")
    expect(page.locator("#waiting")).to_contain_text("1 picture waits")
    check_axe(page)
    page.reload()
    expect(page.locator("#waiting")).to_contain_text("1 picture waits")
    assert [] == kept(one.app)
    page.context.set_offline(False)
    expect(page.locator("#many-rows tr")).to_have_count(1)
    expect(page.locator("#many-rows tr")).to_contain_text("6.png6")
    expect(page.locator("#waiting")).to_be_hidden()
    assert ["6"] == [row["prediction"] for row in kept(one.app)]


def test_a_drawing_without_a_network_is_read_when_it_is_back(open_page: Open, site: Find) -> None:
    page = open_page(site().address)
    page.context.set_offline(True)
    draw(page, SEVEN)
    expect(page.locator("#trouble")).to_contain_text("What is drawn stays")
    page.context.set_offline(False)
    read(page).to_have_text("7")


def test_in_the_dark_ink_is_light_on_screen_and_dark_where_it_is_sent(
    open_page: Open, site: Find
) -> None:
    one = site("dark")
    page = open_page(one.address, color_scheme="dark")
    draw(page, SEVEN)
    read(page).to_have_text("7")
    page.locator("#clear").click()
    (row,) = wait_until_kept(one.app, "7")
    sent = np.array(picture_of(one.app, row).convert("RGBA"))
    assert {255} == set(sent[..., 3].flat), "opaque"
    assert (255, 0) == (sent[0, 0, 0], sent[..., 0].min())
    ink = page.evaluate("getComputedStyle(document.querySelector('#paper')).color")
    assert min(json.loads(f"[{ink[4:-1]}]")) > 200


def test_what_is_no_picture_is_not_said_to_be_the_browsers_fault_and_goes_with_the_next(
    open_page: Open, site: Find
) -> None:
    """Of a TIFF, which the service reads, the browser's part is said."""
    page = open_page(site().address)
    trouble, sheet = page.get_by_role("alert"), page.locator("#unshown")
    send(page, "drop", {"notes.txt": b"text"})
    expect(trouble).to_be_visible()
    expect(sheet).to_have_text("notes.txt")
    send(page, "drop", {f"{digit}.png": digit_png(digit) for digit in (4, 5)})
    expect(page.locator("#many-status")).to_contain_text("2 read")
    expect(trouble).to_be_hidden()
    expect(page.locator("#paper")).to_be_visible()
    tiff = io.BytesIO()
    Image.fromarray(draw_digit(7)).save(tiff, "TIFF")
    send(page, "drop", {"7.tif": tiff.getvalue()})
    read(page).to_have_text("7")
    expect(sheet).to_have_text("7.tif cannot be shown by this browser.")


@pytest.mark.parametrize("confidence", [0.1, 0.59])
def test_what_is_hardly_likely_is_not_shown_as_read(
    open_page: Open, site: Find, confidence: float
) -> None:
    answer = {
        "digit": 3,
        "confidence": confidence,
        "probabilities": [0.1] * 10,
        "uncertain": True,
        "model": "some",
    }
    page = open_page(site().address)
    page.route(is_question, lambda route: route.fulfill(json=answer))
    page.locator("[name=mode][value=digit]").check(force=True)
    draw(page, SEVEN)
    read(page).to_have_text("?")
    expect(page.locator("#status")).to_contain_text("Nothing was recognised for sure.")
    expect(page.locator("#status")).to_contain_text("Perhaps it is a 3")
    expect(page.locator("#read .copy")).to_have_count(0)
    check_axe(page)


@pytest.mark.parametrize("locale", ["en", "de"])
def test_on_a_small_telephone_nothing_is_cut_off(open_page: Open, site: Find, locale: str) -> None:
    page = open_page(site().address, viewport={"width": 320, "height": 500}, locale=locale)

    def cut(place: str) -> Any:
        return page.evaluate(
            "(place) => { const it = document.querySelector(place);"
            " return it.scrollWidth - it.clientWidth; }",
            place,
        )

    send(page, "drop", {"number.jpg": (EXAMPLES / "number.jpg").read_bytes()})
    read(page).to_have_text("0551234678")
    assert 0 == cut("#number")
    send(page, "drop", {"notes.txt": b"text"})
    expect(page.get_by_role("alert")).to_be_in_viewport()
    number = (EXAMPLES / "number.jpg").read_bytes()
    send(page, "drop", {"a-long-name.png": digit_png(0), "number.jpg": number, "2.txt": b"none"})
    expect(page.locator("#many-status")).to_contain_text("2")
    expect(page.locator("#many-rows tr")).to_have_count(3)
    assert 0 == cut(".scroll")
    expect(page.locator("#many-rows tr").nth(1)).to_contain_text(re.compile("0551234678.*9"))


@pytest.mark.parametrize("locale", ["en", "de"])
def test_what_is_below_the_paper_has_no_hole_at_any_width(
    open_page: Open, site: Find, locale: str
) -> None:
    """What has a row of its own begins where the others do."""
    page = open_page(site().address, locale=locale)
    for width in (320, 400, 600, 860, 900, 1000, 1100, 1400):
        page.set_viewport_size({"width": width, "height": 700})
        undo, modes = (page.locator(name).bounding_box() for name in ("#undo", "#modes"))
        tools = page.locator(".tools").bounding_box()
        assert undo
        assert modes
        assert tools
        if modes["y"] > undo["y"] + undo["height"]:
            assert undo["x"] == modes["x"], width
        assert abs(modes["x"] + modes["width"] - tools["x"] - tools["width"]) < 1, width


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1200, "light")])
def test_every_state_fits_and_keeps_nobody_out(
    open_page: Open, site: Find, width: int, scheme: str
) -> None:
    viewport = {"width": width, "height": 640}
    page = open_page(site().address, viewport=viewport, color_scheme=scheme)

    def check() -> None:
        assert width >= page.evaluate("document.documentElement.scrollWidth")
        check_axe(page)

    check()
    draw(page, SEVEN)
    read(page).to_have_text("7")
    page.keyboard.press("7")
    expect(page.locator("#thanks")).to_contain_text("Thank you")
    page.locator("summary").click()
    check()
    send(page, "drop", {"number.jpg": (EXAMPLES / "number.jpg").read_bytes()})
    read(page).to_have_text("0551234678")
    check()
    send(page, "drop", {"1.png": digit_png(1), "2.txt": b"none"})
    expect(page.locator("#many-status")).to_contain_text("1 read")
    check()


def test_the_page_speaks_german_to_who_does(open_page: Open, site: Find) -> None:
    page = open_page(site().address, locale="de-AT")
    expect(page).to_have_title("Handgeschriebene Ziffern")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator("#clear")).to_have_text("Leeren")
    expect(page.locator("#undo")).to_have_text("Rückgängig")
    draw(page, SEVEN)
    expect(page.locator("#status")).to_contain_text("Das ist eine 7")


def test_everything_is_reached_by_keyboard_alone(open_page: Open, site: Find) -> None:
    page = open_page(site().address)
    page.set_input_files(
        "#files", {"name": "7.png", "mimeType": "image/png", "buffer": digit_png(7)}
    )
    read(page).to_have_text("7")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("(document.activeElement.id || document.activeElement.innerText)")
        )
    assert {"clear", "files", "camera", "Copy", "0", "9", "No digit"} <= reached
