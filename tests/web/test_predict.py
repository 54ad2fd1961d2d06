import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FixedClassifier, draw_digit, encode
from flask.testing import FlaskClient
from PIL import Image
from problems import read_problem

from flaskapi import create_app

PNG = encode(draw_digit(7))
WAYS: dict[str, dict[str, Any]] = {
    "a form's file": {"data": {"file": (io.BytesIO(PNG), "7.png")}},
    "a body": {"data": PNG, "content_type": "image/png"},
    "a body of unsaid type": {"data": PNG},
    "a body of octets": {"data": PNG, "content_type": "application/octet-stream"},
    "JSON": {"json": {"image": base64.b64encode(PNG).decode()}},
    "JSON with line breaks": {"json": {"image": base64.encodebytes(PNG).decode()}},
    "JSON with a data: URL": {
        "json": {"image": "data:image/png;base64," + base64.b64encode(PNG).decode()}
    },
}


def test_each_way_of_sending_an_image_gives_the_answer_of_the_contract(
    client: FlaskClient, classifier: FixedClassifier
) -> None:
    """The digit first, as it has always been; no number is of NumPy's kinds or longer than four
    decimals.
    """
    expected = {
        "digit": 7,
        "confidence": 0.9,
        "probabilities": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 0.1, 0.0],
        "uncertain": False,
        "id": None,
        "model": FixedClassifier.version,
        "generation": 0,
    }
    for way, sent in WAYS.items():
        response = client.post("/predict", **sent)
        assert (200, "application/json") == (response.status_code, response.content_type), way
        assert list(expected.items()) == list(response.get_json().items()), way
        assert response.text.startswith('{"digit":7,')
        assert response.headers["X-Request-ID"]
    shown = classifier.batches[::9]  # what it is not sure of is shown eight times more
    assert len(WAYS) == len(shown)
    assert all((batch == shown[0]).all() for batch in shown)


@pytest.mark.parametrize(("below", "uncertain"), [(0.0, False), (0.9, False), (0.91, True)])
def test_the_setting_says_below_which_confidence_an_answer_is_uncertain(
    below: float, uncertain: bool, tmp_path: Path
) -> None:
    app = create_app(
        {"INSTANCE_PATH": tmp_path, "UNCERTAIN_BELOW": below}, classifier=FixedClassifier(7, 0.9)
    )
    assert uncertain is app.test_client().post("/predict", data=PNG).get_json()["uncertain"]


def test_what_the_network_saw_is_shown_when_asked_for(
    client: FlaskClient, classifier: FixedClassifier
) -> None:
    """A 28x28 picture as a data: URL, with what was noticed; without the question, neither."""
    plain, shown = (
        client.post(f"/predict{query}", data=PNG).get_json()
        for query in ("", "?include=normalized")
    )
    assert ["inverted"] == shown["noticed"]
    scheme, _, data = shown["normalized"].partition(",")
    assert "data:image/png;base64" == scheme
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(np.rint(classifier.batches[9][0, :, :, 0] * 255), pixels)
    assert plain == {
        name: value for name, value in shown.items() if name not in ("normalized", "noticed")
    }


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("include=", "'include' is ''"),
        ("include=everything", "'include' is 'everything'; it must be 'normalized' or 'picture'"),
        ("include=normalized,noticed", "'include' is 'normalized,noticed'"),
        ("include=normalized&include=normalized", "'include' is given more than once"),
        ("inlcude=normalized", "'inlcude' is unknown; this route takes 'include'"),
        ("include=normalized&debug", "'debug' is unknown"),
    ],
)
def test_a_query_of_what_there_is_not_is_refused_and_named(
    client: FlaskClient, query: str, named: str
) -> None:
    response = client.post(f"/predict?{query}", data=PNG)
    assert (400, "invalid-request") == read_problem(response)
    assert named in response.get_json()["detail"]


def test_the_digits_box_is_drawn_on_the_picture_as_it_is_shown(client: FlaskClient) -> None:
    """Upright, where EXIF says that it is turned; green, for it is certain."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.ascontiguousarray(np.rot90(draw_digit(7, side=100)[:, 20:]))
    sent = {"data": encode(stored, "JPEG", exif=exif), "headers": {"Accept": "image/png"}}
    response = client.post("/predict?include=picture", **sent)
    assert (200, "image/png") == (response.status_code, response.content_type)
    pixels = np.asarray(Image.open(io.BytesIO(response.data))).astype(int)
    assert (100, 80, 3) == pixels.shape
    rows, columns = np.nonzero(pixels[..., 1] - pixels[..., 0] > 60)
    ink = np.argwhere(draw_digit(7, side=100)[:, 20:] < 128)
    assert (rows.max(), columns.max()) == pytest.approx(ink.max(axis=0), abs=4)
    assert columns.min() == pytest.approx(ink.min(axis=0)[1], abs=4)


AXIOS, CHROME = "application/json, text/plain, */*", "text/html,image/webp,*/*;q=0.8"
FORMS = {
    "text/plain": "7\n",
    "text/csv": "name,digit,confidence,uncertain,error,id\n7.png,7,0.9,false,,\n",
    "text/csv;q=0.5, text/plain": "7\n",
}


@pytest.mark.parametrize(("accept", "said"), FORMS.items(), ids=FORMS)
def test_the_digits_alone_and_rows_are_given_to_those_who_ask(
    client: FlaskClient, accept: str, said: str
) -> None:
    sent = {"data": {"file": (io.BytesIO(PNG), "7.png")}, "headers": {"Accept": accept}}
    response = client.post("/predict", **sent)
    assert said == response.text
    assert f"{response.mimetype}; charset=utf-8" == response.content_type
    assert response.mimetype in accept


@pytest.mark.parametrize(
    "accept", ["", "*/*", AXIOS, CHROME, "text/html", "image/png", "application/xml", "x"]
)
def test_whoever_asks_for_nothing_of_that_is_answered_in_json(
    client: FlaskClient, accept: str
) -> None:
    response = client.post("/predict", data=PNG, headers={"Accept": accept})
    assert (200, "application/json", 7) == (
        response.status_code,
        response.content_type,
        response.get_json()["digit"],
    )


def test_an_error_keeps_its_one_shape_whatever_is_asked_for(client: FlaskClient) -> None:
    for accept in ("text/plain", "text/csv", "image/png"):
        response = client.post("/predict", data=b"words", headers={"Accept": accept})
        assert (415, "unsupported-image") == read_problem(response)


PAGES = [Image.fromarray(draw_digit(7, side=60)), Image.fromarray(draw_digit(1, side=60))]


@pytest.mark.process
@pytest.mark.parametrize(("form", "kind"), [("TIFF", "image/tiff"), ("PDF", "application/pdf")])
def test_of_several_pages_the_first_is_read_and_the_answer_says_so(
    client: FlaskClient, form: str, kind: str
) -> None:
    first, second = (page.copy() for page in PAGES)
    for sent in (encode(first, form), encode(first, form, save_all=True, append_images=[second])):
        response = client.post("/predict", data=sent, content_type=kind)
        assert 200 == response.status_code, response.text
        answer = response.get_json()
    assert {"digit": 7, "page": 1, "pages": 2}.items() <= answer.items()
    alone = client.post("/predict", data=encode(PAGES[0].copy(), form), content_type=kind)
    assert not {"page", "pages"} & alone.get_json().keys()


def test_a_file_of_many_pictures_is_sent_elsewhere(client: FlaskClient) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros((9, 28, 28), np.uint8))
    response = client.post("/predict", data=array.getvalue())
    assert (415, "unsupported-image") == read_problem(response)
    assert "POST /predict/batch" in response.get_json()["detail"]
