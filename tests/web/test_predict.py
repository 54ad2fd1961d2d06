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
        ("include=everything", "'include' is 'everything'"),
        ("include=normalized,noticed", "'include' is 'normalized,noticed'"),
        ("include=normalized&include=normalized", "'include' more than once"),
        ("inlcude=normalized", "'inlcude' is unknown; the query can have 'include'"),
        ("include=normalized&debug", "'debug' is unknown"),
    ],
)
def test_a_query_of_what_there_is_not_is_refused_and_named(
    client: FlaskClient, query: str, named: str
) -> None:
    response = client.post(f"/predict?{query}", data=PNG)
    assert (400, "invalid-request") == read_problem(response)
    assert named in response.get_json()["detail"]
