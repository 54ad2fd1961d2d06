import base64
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from flask.testing import FlaskClient
from PIL import Image as Pillow
from problems import read_problem

from flaskapi import create_app


@pytest.fixture
def client(unchanged: tuple[FlaskClient, FixedClassifier]) -> FlaskClient:
    return unchanged[0]


@pytest.fixture
def classifier(unchanged: tuple[FlaskClient, FixedClassifier]) -> FixedClassifier:
    unchanged[1].batches.clear()
    return unchanged[1]


def written(*lines: int) -> bytes:
    """As many pieces of ink in each line, for `FixedDetector` to find."""
    page = np.full((120 * len(lines), 500), 255, np.uint8)
    for line, count in enumerate(lines):
        for place in range(count):
            cv2.rectangle(
                page, (40 + 80 * place, 30 + 120 * line), (79 + 80 * place, 89 + 120 * line), 0, -1
            )
    return encode(page)


PNG = written(3, 2)
WAYS: dict[str, dict[str, Any]] = {
    "a form's file": {"data": {"file": (io.BytesIO(PNG), "number.png")}},
    "a body": {"data": PNG, "content_type": "image/png"},
    "JSON": {"json": {"image": base64.b64encode(PNG).decode()}},
}


@pytest.mark.parametrize("sent", WAYS.values(), ids=WAYS)
def test_each_way_of_sending_an_image_gives_the_answer_of_the_contract(
    client: FlaskClient, sent: dict[str, Any]
) -> None:
    """Its members in the contract's order and no others."""
    response = client.post("/predict/number", **sent)
    assert (200, "application/json") == (response.status_code, response.content_type)
    answer = response.get_json()
    assert [
        "number",
        "confidence",
        "uncertain",
        "lines",
        "digits",
        "written",
        "marks",
        "groups",
        "id",
        "model",
        "generation",
    ] == list(answer)
    assert {
        "number": "77777",
        "uncertain": False,
        "lines": ["777", "77"],
        "model": FixedClassifier.version,
    }.items() <= answer.items()
    assert 0.99 < answer["confidence"] <= 1
    assert 5 == len(answer["digits"])
    for digit in answer["digits"]:
        assert ["digit", "confidence", "uncertain", "box"] == list(digit)
        assert (7, False) == (digit["digit"], digit["uncertain"])
        assert ["x", "y", "width", "height"] == list(digit["box"])
        assert {int} == {type(value) for value in digit["box"].values()}
    assert list(answer["digits"][0]["box"].values()) == pytest.approx([40, 30, 40, 60], abs=4)
    assert response.headers["X-Request-ID"]


@pytest.fixture
def doubtful(tmp_path: Path) -> FlaskClient:
    """Of a service whose models are in doubt of what they see, so that there are other readings."""
    app = create_app(
        {"INSTANCE_PATH": tmp_path},
        classifier=FixedClassifier(7, 0.6),
        detector=FixedDetector(presence=1.5),
    )
    return app.test_client()


def ask(client: FlaskClient, query: str, image: bytes = PNG) -> dict[str, Any]:
    response = client.post(f"/predict/number{query}", data=image)
    assert 200 == response.status_code, response.text
    return dict(response.get_json())


def test_other_readings_are_given_when_asked_for_and_only_then(doubtful: FlaskClient) -> None:
    plain = ask(doubtful, "")
    for count in (1, 3, 20):
        answer = ask(doubtful, f"?alternatives={count}")
        others = answer.pop("alternatives")
        assert plain == answer
        assert 1 <= len(others) <= count
        assert all(["number", "confidence"] == list(other) for other in others)
        assert len({plain["number"], *(other["number"] for other in others)}) == 1 + len(others)
        confidences = [plain["confidence"], *(other["confidence"] for other in others)]
        assert sorted(confidences, reverse=True) == confidences
    assert 3 == len(ask(doubtful, "?alternatives=3")["alternatives"])


def test_a_length_a_pattern_or_both_say_what_numbers_are_possible(doubtful: FlaskClient) -> None:
    assert 4 == len(ask(doubtful, "?length=4")["number"])
    assert "7777" == ask(doubtful, "?pattern=7ddd")["number"]
    assert (
        ask(doubtful, "?pattern=dddd")
        == ask(doubtful, "?length=4")
        == ask(doubtful, "?length=4&pattern=dddd")
    )
    assert all(
        4 == len(other["number"])
        for other in ask(doubtful, "?length=4&alternatives=5")["alternatives"]
    )


def test_a_number_that_cannot_be_as_the_caller_says_is_answered_as_uncertain(
    client: FlaskClient,
) -> None:
    plain, misfit = ask(client, ""), ask(client, "?length=9")
    assert plain | {"uncertain": True} == misfit


@pytest.mark.parametrize(
    ("query", "named"),
    [
        *(
            (f"length={bad}", f"'length' is '{bad}'")
            for bad in ("", "0", "-1", "65", "100", "1.5", "ten", "1e1", "%205")
        ),
        ("length=٤", "'length' is '٤'"),
        *(
            (f"pattern={bad}", f"'pattern' is '{bad}'")
            for bad in ("", "D", "12x", "d d", "*", "d" * 65)
        ),
        ("pattern=٤", "'pattern' is '٤'"),
        *(
            (f"alternatives={bad}", f"'alternatives' is '{bad}'")
            for bad in ("", "0", "21", "-1", "all", "1000000")
        ),
        ("length=3&pattern=dddd", "'length' is 3, but the 'pattern' has 4 characters"),
        ("length=3&length=4", "'length' is given more than once"),
        (
            "pattern=ddd&digits=3",
            "'digits' is unknown; this route takes 'length' or 'pattern' or 'alternatives' or "
            "'check' or 'include' or 'keep'",
        ),
        ("include=normalized", "'include' is 'normalized'; it must be 'picture'"),
    ],
)
def test_a_bad_query_is_refused_and_its_field_named(
    client: FlaskClient, classifier: FixedClassifier, query: str, named: str
) -> None:
    """Before the image is looked at."""
    response = client.post(f"/predict/number?{query}", data=PNG)
    assert (400, "invalid-request") == read_problem(response)
    assert named.replace("%20", " ") in response.get_json()["detail"]
    assert [] == classifier.batches


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 400, "missing-image"),
    "a form without a file": ({"data": {"note": "7"}}, 400, "missing-image"),
    "words": ({"data": b"words"}, 415, "unsupported-image"),
    "a text file": ({"data": {"file": (io.BytesIO(b"words"), "a.txt")}}, 415, "unsupported-image"),
    "half a file": ({"data": PNG[: len(PNG) // 2]}, 422, "invalid-image"),
    "a blank picture": ({"data": encode(np.full((50, 50), 200, np.uint8))}, 422, "no-digit-found"),
    "bad JSON": ({"data": b"{", "content_type": "application/json"}, 400, "invalid-request"),
}


@pytest.mark.parametrize(("sent", "status", "name"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_as_for_one_digit(
    client: FlaskClient, sent: dict[str, Any], status: int, name: str
) -> None:
    response = client.post("/predict/number", **sent)
    assert (status, name) == read_problem(response)
    if name == "no-digit-found":
        assert response.get_json()["detail"].startswith("No digit was found")


def test_a_picture_of_one_digit_is_answered_as_for_one_digit(client: FlaskClient) -> None:
    picture = encode(draw_digit(7, side=56))
    one = client.post("/predict", data=picture).get_json()
    number = ask(client, "", picture)
    assert (str(one["digit"]), one["confidence"], one["uncertain"]) == (
        number["number"],
        number["confidence"],
        number["uncertain"],
    )


@pytest.mark.parametrize(("below", "uncertain"), [(0.0, "false"), (1.0, "true")])
def test_numbers_are_counted_by_whether_they_are_certain(
    tmp_path: Path, below: float, uncertain: str
) -> None:
    settings = {"INSTANCE_PATH": tmp_path, "UNCERTAIN_BELOW": below}
    client = create_app(
        settings, classifier=FixedClassifier(), detector=FixedDetector()
    ).test_client()
    assert (uncertain == "true") is ask(client, "")["uncertain"]
    assert f'flaskapi_numbers_total{{uncertain="{uncertain}"}} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("accept", "form"), [("image/png", "PNG"), ("image/jpeg", "JPEG"), ("image/*", "PNG")]
)
def test_the_picture_is_given_with_a_box_around_each_digit(
    client: FlaskClient, accept: str, form: str
) -> None:
    """Green, for each digit is certain; on a grey page nothing else has a colour."""
    response = client.post("/predict/number?include=picture", data=PNG, headers={"Accept": accept})
    assert (200, f"image/{form.lower()}") == (response.status_code, response.content_type)
    picture = Pillow.open(io.BytesIO(response.data))
    assert (form, (500, 240)) == (picture.format, picture.size)
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    green = (pixels[..., 1] - pixels[..., 0] > 60).astype(np.uint8)
    for digit in ask(client, "")["digits"]:
        x, y, width, height = digit["box"].values()
        for row, column in ((y, x + width // 2), (y + height // 2, x), (y + height, x + 9)):
            assert green[row - 2 : row + 3, column - 2 : column + 3].any()
        assert not green[y + 8 : y + height - 8, x + 8 : x + width - 8].any()


def test_json_has_the_picture_too_where_it_was_asked_for(client: FlaskClient) -> None:
    answer = ask(client, "?include=picture")
    scheme, _, data = answer.pop("picture").partition(",")
    assert "data:image/png;base64" == scheme
    assert (500, 240) == Pillow.open(io.BytesIO(base64.b64decode(data))).size
    assert ask(client, "") == answer


def test_text_and_csv_have_the_number(client: FlaskClient) -> None:
    texts = [
        client.post("/predict/number", data=PNG, headers={"Accept": accept})
        for accept in ("text/plain", "text/csv")
    ]
    plain, table = (response.text.splitlines() for response in texts)
    assert ["77777"] == plain
    assert "name,number,confidence,uncertain,error,id" == table[0]
    assert table[1].startswith(",77777,")
    assert 2 == len(table)


@pytest.mark.parametrize("check", ["luhn", "mod11"])
@pytest.mark.parametrize(("lines", "passes"), [((3, 2), False), ((5, 5), True)])
def test_the_answer_says_whether_the_number_passes_the_check_that_the_caller_names(
    client: FlaskClient, check: str, lines: tuple[int, int], passes: bool
) -> None:
    """Ten 7s weigh 5 * (7 + 5) = 60 by Luhn's rule and 55 * 7 by that of 11; five 31 and 105."""
    answer = client.post(f"/predict/number?check={check}", data=written(*lines)).get_json()
    assert "7" * sum(lines) == answer["number"]
    assert passes == answer["passes"]
    assert passes or answer["uncertain"]


def test_a_check_that_is_none_is_refused(client: FlaskClient) -> None:
    response = client.post("/predict/number?check=sum", data=PNG)
    assert 400 == response.status_code
    assert "'luhn', 'ean', 'iban' or 'mod11'" in response.get_json()["detail"]
