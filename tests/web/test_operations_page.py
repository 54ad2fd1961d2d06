"""The operators' page in a real browser: whoever has a key labels by keyboard, and looks."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import TIMEOUT_MS, Site
from fakes import draw_digit, encode, make_submission
from model_files import make_versions
from operators import store_of
from playwright.sync_api import Locator, Page, Route, expect
from waiting import until

from flaskapi.submissions import retrainings
from flaskapi.submissions.keys import list_keys, make_key
from flaskapi.submissions.labels import Said, say
from flaskapi.submissions.listing import Filters, find_page
from flaskapi.submissions.shadows import keep_shadowed
from flaskapi.versions.pointer import MODEL_FILE
from flaskapi.versions.registry import Registry

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
    until(lambda: labels(site) == expected, TIMEOUT_MS / 1000, why=lambda: labels(site))


def keys_of_digits(page: Page) -> list[Locator]:
    return page.locator("#digits button").all()


def check_looks(page: Page) -> None:
    """Axe finds nothing, light or dark, and at 320 pixels nothing sticks out."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        check_axe(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert 320 >= page.evaluate("document.documentElement.scrollWidth")
    check_axe(page)


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
    expect(page.locator("#key-note")).to_have_text("This key is unknown, revoked or expired.")
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
    expect(page.locator("#about")).to_contain_text("what is left was skipped, or equals a picture")
    for button in (*keys_of_digits(page), page.locator("#agree"), page.locator("#skip")):
        expect(button).to_be_disabled()
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
    page.keyboard.press("Backspace")
    expect(page.locator("#progress")).to_contain_text("Labels kept: 2")
    # A number is no digit, whether it is labelled or taken back.
    expect(page.locator("#progress")).to_contain_text("Labelled digits: 0")


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
    check_looks(page)
    page.locator("[name=digit]").select_option("3")
    expect(page.locator("#found")).to_have_text("Pictures: 2")
    expect(page.locator("#figures svg")).to_have_count(2)  # by day, and calibration
    page.get_by_role("button", name="1 labelled 2 and answered 3").click()
    expect(page.locator("#found")).to_have_text("Pictures: 1")
    expect(page.locator("#gallery figcaption")).to_contain_text("3 → 2")
    page.locator("[name=label]").select_option("9")
    expect(page.locator("#found")).to_have_text("There is no such picture.")
    page.locator("[name=label]").select_option("missing")
    # What is labelled in the large view is in the matrix when it closes.
    page.locator("[name=digit]").select_option("8")
    page.locator("#gallery .tile").first.click()
    page.keyboard.press("x")
    expect(page.locator("#viewer")).to_contain_text("It is kept as “none”.")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="1 labelled none and answered 8").click()
    expect(page.locator("#gallery figcaption")).to_contain_text("8 → none")


def test_who_gives_no_key_can_press_nothing_and_reads_where_one_comes_from(
    open_page: Open, site: Find
) -> None:
    one = site("keyless")
    fill(one, "ada")
    page = open_page(one.address + "operations")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(".venv/bin/python -m flaskapi keys make NAME")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("A key is needed here.")
    for button in (*keys_of_digits(page), *page.locator("#ways .tools button").all()):
        expect(button).to_be_disabled()


def test_who_gives_no_key_at_first_may_try_again_and_sees_the_whole_part(
    open_page: Open, site: Find
) -> None:
    one = site("keyless at first")
    key = fill(one, "ada")
    for part, shown in (("models", "#versions table"), ("look", "#storage dl")):
        page = open_page(one.address + f"operations#{part}")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Try again").click()
        enter(page, key)
        expect(page.locator(shown)).to_be_visible()
    expect(page.locator("#gallery .tile")).to_have_count(MANY)


def test_who_gives_no_key_is_asked_once_however_late_the_answers_come(
    open_page: Open, site: Find
) -> None:
    """Two requests need one; the second is told so when nobody waits for the question any more."""
    one = site("asked once")
    make_key(store_of(one.app), "ada")
    page, held = open_page(one.address + "operations#settings"), list[Route]()
    page.get_by_role("button", name="Cancel").click()
    page.route("**/retrainings?*", lambda route: held.append(route))
    page.get_by_role("link", name="Models").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    with page.expect_response("**/retrainings?*"):
        held[0].continue_()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#key-dialog")).to_be_visible()


def test_a_picture_opens_large_is_labelled_and_the_arrows_go_on(
    open_page: Open, site: Find
) -> None:
    """From the gallery, by keyboard alone; the gallery then shows the label."""
    one = site("viewing")
    key = fill(one, "ada")
    rows = find_page(store_of(one.app), Filters(), 200).rows
    said = Said("4", "sender", "digit", client=b"x" * 16)
    say(store_of(one.app), rows[1]["id"], said)
    page = open_page(one.address + "operations#look")
    enter(page, key)
    tiles = page.locator("#gallery .tile")
    expect(tiles).to_have_count(MANY)
    tiles.first.focus()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    expect(viewer.get_by_role("heading", level=2)).to_have_text(f"1 of {MANY}")
    expect(viewer.locator("#large")).to_have_js_property("naturalWidth", 81)
    expect(viewer.locator("#large-seen")).to_have_js_property("naturalWidth", 28)
    expect(viewer).to_contain_text("confidence 61%")
    expect(viewer).to_contain_text("Nobody said anything of it yet.")
    page.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("4 · a sender")
    page.keyboard.press("9")
    expect(viewer).to_contain_text("It is kept as “9”.")
    expect(viewer.locator("ol li")).to_have_count(2)
    expect(viewer).to_contain_text("9 · ada")
    expect(viewer.get_by_role("button", name="9", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    assert ("9", "operator") == tuple(
        find_page(store_of(one.app), Filters(label="any"), 1).rows[0][name]
        for name in ("label", "label_source")
    )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    viewer.get_by_role("button", name="Take it back").click()
    expect(viewer).to_contain_text("It is taken back.")
    assert [] == find_page(store_of(one.app), Filters(label="any"), 1).rows
    page.keyboard.press("x")
    expect(viewer).to_contain_text("It is kept as “none”.")
    check_looks(page)
    page.keyboard.press("Escape")
    expect(viewer).not_to_be_visible()
    expect(tiles.nth(1)).to_be_focused()
    expect(page.locator("#gallery figcaption").nth(1)).to_contain_text("→ none")


def test_a_number_in_the_large_view_has_boxes_and_is_typed(open_page: Open, site: Find) -> None:
    one = site("viewed numbers")
    key = make_key(store_of(one.app), "ada", scopes=["label"])
    box = {"x": 5, "y": 5, "width": 20, "height": 40}
    digit: dict[str, Any] = {"digit": 7, "confidence": 0.5, "uncertain": True, "box": box}
    form = {"lines": ["77"], "digits": [digit, digit], "route": "/predict/number"}
    rest = {"normalized": None, "probabilities": None, "prediction": "77"}
    number = make_submission(image=encode(draw_digit(7)), **form, **rest)
    store_of(one.app).record([number])
    page = open_page(one.address + "operations#look")
    enter(page, key)
    page.locator("#gallery .tile").click()
    expect(page.locator("#viewer .box")).to_have_count(2)
    expect(page.locator("#large-number")).to_have_value("77")
    page.keyboard.type("71")
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_contain_text("It is kept as “71”.")
    # What is for operators, a key that may label does not see, and no error is shown.
    expect(page.locator("#month")).not_to_be_visible()
    expect(page.locator("#trouble")).not_to_be_visible()


def test_the_large_view_goes_on_into_what_was_not_loaded(open_page: Open, site: Find) -> None:
    one = site("many")
    key = make_key(store_of(one.app), "ada")
    store_of(one.app).record([make_submission(confidence=0.99) for _ in range(61)])
    page = open_page(one.address + "operations#look")
    enter(page, key)
    expect(page.locator("#found")).to_have_text("Pictures: 60+")
    page.locator("#gallery .tile").last.click()
    expect(page.locator("#viewer-title")).to_have_text("60 of 60+")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-title")).to_have_text("61 of 61")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-title")).to_have_text("61 of 61")


def test_drift_and_storage_stand_below_the_pictures(open_page: Open, site: Find) -> None:
    one = site("storing", KEEP_DAYS=90, KEEP_SUBMISSIONS=5000)
    key = make_key(store_of(one.app), "ada")
    measured = {"ink_share": 0.3, "stroke_px": 6.0, "size_px": 100.0, "contrast": 200.0}
    store_of(one.app).record([make_submission(**measured) for _ in range(210)])
    page = open_page(one.address + "operations#look")
    enter(page, key)
    expect(page.locator("#drift figure")).to_have_count(5)
    ink = page.locator("#drift figure").filter(has_text="How much ink")
    expect(ink).to_contain_text("other than what the network learned from")
    expect(ink).to_contain_text("pens bold or faint")
    storage = page.locator("#storage")
    expect(storage).to_contain_text("What is older than 90 days is erased. The oldest goes on")
    expect(storage).to_contain_text("Of more than 5,000 pictures the oldest are erased.")
    expect(storage).to_contain_text("Pictures210")
    check_looks(page)


@pytest.fixture
def versions(site: Find) -> tuple[Site, list[str], str]:
    """A server with two versions, their names, the older first, and a key."""
    one = site("versions")
    registry: Registry = one.app.extensions["flaskapi"].registry
    if not registry.versions():
        make_versions(registry.path.parent, 2)
        make_key(store_of(one.app), "ada")
    key = make_key(store_of(one.app), f"key{len(list_keys(store_of(one.app)))}")
    return one, [version.name for version in registry.versions()], key


def test_a_version_is_promoted_and_rolled_back_on_the_page(
    open_page: Open, versions: tuple[Site, list[str], str]
) -> None:
    """It serves in every process when the page says so."""
    one, (older, newer), key = versions
    registry: Registry = one.app.extensions["flaskapi"].registry
    page = open_page(one.address + "operations#models")
    enter(page, key)
    table = page.locator("#versions")
    expect(table.get_by_role("columnheader")).to_have_count(3)
    expect(table).to_contain_text(f"{MODEL_FILE}")
    expect(table.get_by_role("row", name=re.compile(r"^mnist 99\.\d\d%"))).to_be_visible()
    check_looks(page)
    page.set_viewport_size({"width": 1200, "height": 850})
    for name, generation in ((older, 1), (newer, 2)):
        column = [MODEL_FILE, newer, older].index(name)
        table.get_by_role("row", name="State").get_by_role("cell").nth(column).get_by_role(
            "button", name="Let it serve"
        ).click()
        page.get_by_role("dialog").get_by_role("button", name="Let it serve").click()
        expect(page.locator("#serving")).to_contain_text(f"{name} · generation {generation}")
        expect(page.locator("#serving")).to_contain_text("Every process serves it: 1.")
        assert name == one.app.extensions["flaskapi"].classifier.version
    first = table.get_by_role("row", name="State").get_by_role("cell").first
    expect(first).to_have_text("can serve again: models promote MODEL_PATH")
    expect(table.get_by_role("row", name="Registered")).to_contain_text(re.compile(r"\d:\d\d"))
    page.get_by_role("button", name=f"Go back to {older}").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert newer == registry.read().version
    page.get_by_role("button", name=f"Go back to {older}").click()
    page.get_by_role("dialog").get_by_role("button", name="Go back", exact=True).click()
    expect(page.locator("#serving")).to_contain_text(f"{older} · generation 3")
    assert older == registry.read().version


def places(found: Locator) -> list[dict[str, float]]:
    """Where each of some elements begins and ends."""
    boxes = found.evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().toJSON())")
    return [dict(box) for box in boxes]


def test_on_a_small_telephone_a_version_stands_over_its_column_and_a_key_beside_its_values(
    open_page: Open, versions: tuple[Site, list[str], str]
) -> None:
    """Tables are scrolled sideways, and their first column stays in sight."""
    one, names, key = versions
    page = open_page(one.address + "operations#models", viewport={"width": 320, "height": 640})
    enter(page, key)
    heads = page.locator("#versions thead th")
    expect(heads).to_have_count(1 + len(names))
    for row in ("State", "mnist"):
        cells = page.locator("#versions tbody tr").filter(has_text=row).first.locator("td")
        for head, cell in zip(places(heads), places(cells), strict=True):
            assert (head["left"], head["right"]) == (cell["left"], cell["right"])
    for cell in page.locator("#versions td").all():
        assert cell.evaluate("(it) => it.scrollWidth <= it.clientWidth"), cell.inner_text()
    for head in heads.all():
        head.scroll_into_view_if_needed()
        expect(head).to_be_visible()
    rows = places(page.locator("#versions tbody th"))
    assert all(0 < row["left"] < row["right"] < 160 for row in rows), "the first column stays"
    last = heads.last
    last.evaluate("(it) => it.scrollIntoView({ inline: 'end', block: 'nearest' })")
    assert places(last)[0]["left"] >= rows[0]["right"] - 1, "and there is room beside it"
    page.get_by_role("link", name="Keys").click()
    expect(page.locator("#key-list thead td")).to_be_visible()
    for row in page.locator("#key-list tbody tr").all():
        tops = {place["top"] for place in places(row.locator("th, td"))}
        assert 1 == len(tops)
    for head, cell in zip(
        places(page.locator("#key-list thead :is(th, td)")),
        places(page.locator("#key-list tbody tr").first.locator("th, td")),
        strict=True,
    ):
        assert head["left"] == cell["left"]


def test_the_shadow_shows_what_it_answered_otherwise(
    open_page: Open, versions: tuple[Site, list[str], str]
) -> None:
    one, names, key = versions
    registry: Registry = one.app.extensions["flaskapi"].registry
    candidate = names[0] if registry.read().version != names[0] else names[1]
    kept = [make_submission(prediction=str(digit)) for digit in (1, 2)]
    store_of(one.app).record(kept)
    keep_shadowed(
        store_of(one.app),
        [
            {"submission_id": row.id, "model": candidate, "prediction": "2", "confidence": 0.8}
            for row in kept
        ],
    )
    page = open_page(one.address + "operations#models")
    enter(page, key)
    expect(page.locator("#shadow")).to_contain_text("Nothing answers in the shadow.")
    column = page.locator("#versions th[scope=col]").all_inner_texts().index(candidate)
    cells = page.locator("#versions").get_by_role("row", name="State").get_by_role("cell")
    cells.nth(column).get_by_role("button", name="Shadow").click()
    expect(page.locator("#shadow")).to_contain_text("it answered 2, and 1 otherwise.")
    expect(page.locator("#disagreements figcaption")).to_contain_text("1 ⇄ 2")
    page.locator("#disagreements .tile").click()
    expect(page.locator("#viewer")).to_contain_text("2, confidence 80%")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="End the shadow").click()
    expect(page.locator("#shadow")).to_contain_text("Nothing answers in the shadow.")
    assert registry.read().shadow is None


def test_a_retraining_is_asked_for_watched_and_its_outcome_said(
    open_page: Open, versions: tuple[Site, list[str], str]
) -> None:
    one, names, key = versions
    store = store_of(one.app)
    page = open_page(one.address + "operations#models")
    enter(page, key)
    page.locator("#retrain [name=since]").fill("2026-11-01")
    page.get_by_role("button", name="Ask for a retraining").click()
    entry = page.locator("details.retraining")
    expect(entry).to_contain_text("requested")
    expect(entry).to_contain_text("No worker has taken it yet.")
    taken = retrainings.claim(store, "a worker")
    assert taken is not None
    assert {"since": "2026-11-01"} == taken.options
    retrainings.hear(store, taken, 0.25, "Training.\n", 600)
    expect(entry.get_by_role("progressbar")).to_have_js_property("value", 0.25)
    expect(entry).to_contain_text("about 10 minutes left")
    figures = {"learned": 74, "better": 11, "worse": 0, "mnist_wrong": [34, 33]}
    figures |= {"suspicious": 3}
    log = "Training.\nIt is better, and serves."
    retrainings.finish(store, taken, "promoted", log, version=names[0], figures=figures)
    expect(entry).to_contain_text("Of 74 labelled pictures 11 are answered better, 0 worse.")
    expect(entry).to_contain_text("Of MNIST's test set 33 wrong, before 34.")
    entry.locator("summary").click()
    expect(entry.locator("pre")).to_have_text(log)
    page.reload()
    expect(page.locator("#versions").get_by_role("row", name="Labelled pictures")).to_contain_text(
        "11 better, 0 worse"
    )
    check_looks(page)


def test_a_key_is_made_shown_once_and_revoked(open_page: Open, site: Find) -> None:
    one = site("keys")
    key = make_key(store_of(one.app), "ada")
    make_key(store_of(one.app), "old", expires_at=datetime.now(UTC) - timedelta(days=1))
    page = open_page(one.address + "operations#keys")
    enter(page, key)
    rows = page.locator("#key-list tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("used here")
    expect(rows.last).to_have_class("over")
    page.get_by_label("Name").fill("shop")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#made")).to_contain_text("Choose what the key may do.")
    page.get_by_label("predict").check()
    page.get_by_label("At most").fill("often")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#made").get_by_role("alert")).to_contain_text("found 'often'")
    expect(page.locator("#trouble")).not_to_be_visible()
    page.get_by_label("At most").fill("5 per minute")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#token")).to_contain_text("flaskapi_")
    expect(rows.last).to_contain_text("5 per minute")
    check_looks(page)
    page.set_viewport_size({"width": 1200, "height": 850})
    page.get_by_role("button", name="Revoke the key shop").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(rows.last).to_contain_text("revoked on")
    assert list_keys(store_of(one.app))[-1].revoked_at is not None
    for part in ("Settings", "Keys"):
        page.get_by_role("link", name=part).click()
    expect(rows).to_have_count(3)
    expect(page.locator("#token")).to_have_count(0)


def test_settings_are_listed_with_where_they_come_from(open_page: Open, site: Find) -> None:
    one = site("setting", KEEP_DAYS=90)
    key = make_key(store_of(one.app), "ada")
    page = open_page(one.address + "operations#settings")
    enter(page, key)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="KEEP_DAYS"))
    expect(row).to_contain_text("90")
    expect(row).to_contain_text("create_app")
    expect(page.get_by_role("row").filter(has_text="KEEP_BYTES").last).to_contain_text("default")
    expect(page.locator("#settings")).not_to_contain_text("`")
    folder = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="INSTANCE_PATH"))
    expect(folder).to_contain_text(one.app.instance_path)
    check_looks(page)


@pytest.mark.parametrize("part", ["models", "keys", "settings"])
def test_a_key_that_may_only_label_is_told_so_and_another_can_be_given(
    open_page: Open, site: Find, part: str
) -> None:
    one = site("scoped")
    keys = {
        scope: make_key(store_of(one.app), f"{scope}-{part}", scopes=[scope])
        for scope in ("label", "operate")
    }
    page = open_page(one.address + f"operations#{part}")
    enter(page, keys["label"])
    expect(page.get_by_role("alert")).to_contain_text("needs the scope operate")
    expect(page.locator(f"#{part}")).not_to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    page.get_by_role("button", name="Use another key").click()
    enter(page, keys["operate"])
    expect(page.locator("#trouble")).not_to_be_visible()
    expect(page.locator(f"#{part} table").first).to_be_visible()


def test_the_page_speaks_german(open_page: Open, site: Find) -> None:
    one = site("german")
    key = fill(one, "ada")
    page = open_page(one.address + "operations#models", locale="de-DE")
    enter(page, key)
    expect(page.get_by_role("heading", name="Was antwortet")).to_be_visible()
    expect(page.locator("#shadow")).to_contain_text("Im Schatten antwortet nichts.")
    expect(page.get_by_role("rowheader", name="alle außer mnist")).to_be_visible()
    page.get_by_role("link", name="Einstellungen").click()
    expect(page.locator("#settings")).to_contain_text("Vorgabe")
    expect(page.locator("#settings")).to_contain_text("die Modelldatei des Detektors")
    page.get_by_role("link", name="Ansehen").click()
    expect(page.locator("#storage")).to_contain_text("Nach Alter wird nichts gelöscht.")
    expect(page.locator("#drift")).to_contain_text(re.compile("MNIST|der Karte des Modells"))
    expect(page.locator("#filters")).to_contain_text("ohne Angabe")
    page.get_by_role("link", name="Benennen").click()
    expect(page.locator("#agree")).to_have_text("Stimmt Leertaste")
    page.get_by_role("link", name="Schlüssel").click()
    page.get_by_label("Name").fill("laden")
    page.get_by_label("lesen lassen").check()
    page.get_by_label("Höchstens").fill("5 pro Minute")
    page.get_by_role("button", name="Schlüssel machen").click()
    expect(page.locator("#key-list tbody tr").last).to_contain_text("5 pro Minute")
    assert "5 per minute" == list_keys(store_of(one.app))[-1].rate_limit
