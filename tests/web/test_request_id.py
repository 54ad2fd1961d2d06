import pytest
from fakes import FixedClassifier, draw_digit, encode
from flask.testing import FlaskClient
from problems import read_problem

SANE = ["a", "tonight-1", "4b28e9c0.7@host_2", "A" * 64, "2f1d3c5e-8a7b-4c6d-9e0f-1a2b3c4d5e6f"]
INSANE = ["", " ", "a b", "A" * 65, "<script>", 'a"b', "a;b", "a/b", "\u00e9", "a\tb"]


@pytest.fixture
def client(unchanged: tuple[FlaskClient, FixedClassifier]) -> FlaskClient:
    return unchanged[0]


@pytest.mark.parametrize("sent", SANE)
def test_a_sane_one_is_kept(sent: str, client: FlaskClient) -> None:
    assert (
        sent == client.get("/health/live", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    )


@pytest.mark.parametrize("sent", INSANE)
def test_an_insane_one_is_replaced(sent: str, client: FlaskClient) -> None:
    answered = client.get("/health/live", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert (32, True) == (len(answered), answered.isalnum())


def test_where_there_is_none_each_request_gets_its_own(client: FlaskClient) -> None:
    assert 5 == len({client.get("/health/live").headers["X-Request-ID"] for _ in range(5)})


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("GET", "/predict"), ("POST", "/predict"), ("OPTIONS", "/predict")],
)
def test_errors_and_other_answers_bear_it_too(method: str, path: str, client: FlaskClient) -> None:
    response = client.open(path, method=method, headers={"X-Request-ID": "tonight-1"})
    assert ["tonight-1"] == response.headers.getlist("X-Request-ID")
    if response.status_code >= 400:
        read_problem(response)


def test_a_prediction_bears_it(client: FlaskClient) -> None:
    response = client.post(
        "/predict", data=encode(draw_digit(7, side=28)), headers={"X-Request-ID": "tonight-1"}
    )
    assert (200, "tonight-1") == (response.status_code, response.headers["X-Request-ID"])
