"""The header Idempotency-Key: what is sent again under the same key is kept once."""

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from flask import Flask
from operators import bearing, operator, place_empty_store, store_of
from problems import read_problem

from flaskapi import create_app
from flaskapi.config import shipped_model
from flaskapi.contract.keeping import from_plain, to_plain
from flaskapi.reading.reader import Reader
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.keys import make_key
from flaskapi.submissions.listing import Filters, find_page
from flaskapi.submissions.tables import idempotency_keys

PNG, OTHER = (encode(draw_digit(digit, side=28)) for digit in (7, 3))
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
ROUTES = ["/predict", "/predict/number", "/predict/batch"]
MakeInstance = Callable[..., Flask]


@pytest.fixture
def make_instance(url: str, tmp_path: Path) -> Iterator[MakeInstance]:
    """Instances with one database, each with a model of its own; all know senders alike."""
    made: list[Flask] = []
    if url.startswith("sqlite"):
        place_empty_store(tmp_path)

    def make(digit: int = 7, **settings: Any) -> Flask:
        config = {
            "INSTANCE_PATH": tmp_path,
            "STORE": "on",
            "DATABASE_URL": url,
            "UNCERTAIN_BELOW": 0.5,
            "TRUSTED_PROXIES": 1,
        }
        classifier, detector = FixedClassifier(digit), FixedDetector(digit)
        made.append(create_app(config | settings, classifier=classifier, detector=detector))
        return made[-1]

    yield make
    for app in made:
        store_of(app).close()


def send(app: Flask, route: str = "/predict", image: bytes = PNG, key: str = KEY, **more: Any):  # type: ignore[no-untyped-def]
    headers = {"Idempotency-Key": key, "X-Forwarded-For": "192.0.2.1"} | more
    return app.test_client().post(
        route, data=image, content_type="application/octet-stream", headers=headers
    )


def count_kept(app: Flask) -> int:
    return len(find_page(store_of(app), Filters(), 200).rows)


def zipped(*images: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for place, image in enumerate(images):
            file.writestr(f"{place}.png", image)
    return archive.getvalue()


@pytest.mark.parametrize("route", ROUTES)
def test_an_upload_that_is_repeated_is_one_submission_at_every_instance(
    make_instance: MakeInstance, route: str
) -> None:
    """With the answer that was given first, although another model serves by now."""
    first, other = make_instance(7), make_instance(3)
    answers = [send(app, route) for app in (first, other, first)]
    assert [200] * 3 == [one.status_code for one in answers]
    assert 1 == len({one.get_data() for one in answers})
    assert 1 == count_kept(first)
    fresh = send(other, route, key="another").get_json()
    assert "3" in str(fresh.get("results", [fresh])[0].get("digit", fresh.get("number")))
    assert 2 == count_kept(other)


@pytest.mark.parametrize("route", ROUTES)
def test_another_image_or_query_under_the_same_key_is_refused(
    make_instance: MakeInstance, route: str
) -> None:
    app = make_instance()
    send(app, route)
    query = {"/predict": "include=normalized", "/predict/number": "length=1"}
    for answer in (
        send(app, route, OTHER),
        send(app, f"{route}?{query.get(route, 'route=number')}"),
    ):
        assert (422, "idempotency-key-reused") == read_problem(answer)[:2]
    assert 1 == count_kept(app)


def test_a_form_that_is_written_anew_is_the_same_upload(make_instance: MakeInstance) -> None:
    """Clients draw another boundary each time they send."""
    app, seen = make_instance(), set()
    for boundary in ("one", "another"):
        body = (
            (
                f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="7.png"\r\n'
                "Content-Type: image/png\r\n\r\n"
            ).encode()
            + PNG
            + f"\r\n--{boundary}--\r\n".encode()
        )
        answer = app.test_client().post(
            "/predict",
            data=body,
            content_type=f"multipart/form-data; boundary={boundary}",
            headers={"Idempotency-Key": f'"{KEY}"' if seen else KEY},
        )
        seen.add(answer.get_json()["id"])
    assert 1 == len(seen) == count_kept(app)


def test_of_requests_that_come_at_once_one_is_kept(make_instance: MakeInstance) -> None:
    apps, ids = [make_instance(7), make_instance(3)], list[str]()
    start = threading.Barrier(8)

    def ask(app: Flask) -> None:
        start.wait()
        ids.append(send(app).get_json()["id"])

    threads = [threading.Thread(target=ask, args=(apps[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 8 == len(ids)
    assert 1 == len(set(ids)) == count_kept(apps[0])


def test_a_key_is_its_senders_own_by_the_bearer_or_by_the_address(
    make_instance: MakeInstance,
) -> None:
    app = make_instance()
    ada, bob = operator(app), bearing(make_key(store_of(app), "bob"))
    senders = [
        {},
        {"X-Forwarded-For": "192.0.2.2"},
        ada,
        ada | {"X-Forwarded-For": "192.0.2.2"},
        bob,
    ]
    ids = [send(app, **sender).get_json()["id"] for sender in senders]
    assert ids[2] == ids[3]
    assert 4 == len(set(ids)) == count_kept(app)


def test_an_archive_that_broke_off_goes_on_where_it_was(make_instance: MakeInstance) -> None:
    app, images = make_instance(), [PNG, b"no picture", OTHER, encode(draw_digit(5, side=28))]
    begun = send(app, "/predict/batch", zipped(*images[:3])).get_json()["results"]
    whole = send(app, "/predict/batch", zipped(*images)).get_json()["results"]
    assert [one.get("id") for one in begun] == [one.get("id") for one in whole][:3]
    assert 3 == count_kept(app)


def test_it_lasts_as_long_as_its_submission(make_instance: MakeInstance) -> None:
    app = make_instance()
    first = send(app).get_json()["id"]
    (row,) = find_page(store_of(app), Filters(), 200).rows
    assert erase(store_of(app), row["id"])
    assert send(app, image=OTHER).get_json()["id"] not in (first, None)


def test_without_the_header_and_where_nothing_is_kept_nothing_is_noted(
    make_instance: MakeInstance,
) -> None:
    app = make_instance()
    app.test_client().post("/predict", data=PNG)
    assert send(app, "/predict?keep=false").get_json()["id"] is None
    query = sa.select(sa.func.count()).select_from(idempotency_keys)
    assert 0 == store_of(app).run(lambda connection: connection.execute(query).scalar(), reads=True)
    off = make_instance(STORE="off")
    assert [200, 200] == [send(off, image=image).status_code for image in (PNG, OTHER)]


@pytest.mark.parametrize("key", ["", "two words", "a" * 256, "ünï", '"open', 'in"side'])
def test_a_header_of_another_form_is_refused(keeping: Flask, key: str) -> None:
    answer = keeping.test_client().post(
        "/predict", data=PNG, environ_overrides={"HTTP_IDEMPOTENCY_KEY": key}
    )
    assert (400, "invalid-request") == read_problem(answer)[:2]
    assert 0 == count_kept(keeping)


def test_what_is_noted_of_an_answer_is_all_of_it() -> None:
    """Of the shipped model, which answers a number with marks, alternatives and a check."""
    app = create_app({"STORE": "off", "MODEL_PATH": shipped_model("my_model.h5")})
    reader: Reader = app.extensions["flaskapi"].reader
    image = (Path(__file__).parents[2] / "examples" / "number.jpg").read_bytes()
    number = reader.number(image, alternatives=3, check="luhn")
    assert number == from_plain(to_plain(number))
    digit, _ = reader.digit(PNG)
    assert digit == from_plain(to_plain(digit))
