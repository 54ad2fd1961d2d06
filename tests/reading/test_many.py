import pytest
from fakes import FixedClassifier, draw_digit, encode

from flaskapi.errors import InvalidImageError, MissingImageError, ModelUnavailableError
from flaskapi.reading import reader as module
from flaskapi.reading.many import Answer
from flaskapi.reading.protocols import Limits
from flaskapi.reading.reader import Reader
from flaskapi.serving.detector import NoDetector
from flaskapi.sources import Item

LIMITS = Limits(1_000_000, 0.5)
SEVEN = Item("7.png", encode(draw_digit(7)))


class AnyDetector:
    """Is there; what it finds does not matter."""

    def detect(self, page):
        return page


def test_each_item_is_answered_under_its_name() -> None:
    bad = InvalidImageError("bad")
    items = [SEVEN, Item("bad", bad), Item("empty", b""), SEVEN._replace(name="again")]
    found = list(Reader(FixedClassifier(), AnyDetector(), LIMITS).many(items))
    assert ["7.png", "bad", "empty", "again"] == [answer.name for answer in found]
    assert Answer("bad", bad) == found[1]
    assert isinstance(found[2].outcome, MissingImageError)
    assert [7, 7] == [answer.outcome.digit for answer in (found[0], found[3])]


def test_the_route_says_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    number = object()
    monkeypatch.setattr(module, "predict_number", lambda image, *_, **__: number)
    reader = Reader(FixedClassifier(), AnyDetector(), LIMITS)
    assert [Answer("7.png", number, SEVEN.content)] == list(reader.many([SEVEN], "number"))


@pytest.mark.parametrize(
    ("error", "is_the_images"),
    [
        (InvalidImageError("bad"), True),
        (RuntimeError(), True),
        (ModelUnavailableError("gone"), False),
    ],
)
def test_an_error_is_the_images_but_where_there_is_no_model(
    monkeypatch: pytest.MonkeyPatch, error: Exception, is_the_images: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(module, "predict_number", fail)
    reader = Reader(FixedClassifier(), AnyDetector(), LIMITS)
    if is_the_images:
        assert [Answer("7.png", error, SEVEN.content)] * 2 == list(
            reader.many([SEVEN, SEVEN], "number")
        )
    else:
        with pytest.raises(ModelUnavailableError):
            list(reader.many([SEVEN], "number"))


def test_without_a_detector_no_number_is_read() -> None:
    """It is the service that is not ready: no image is at fault."""
    reader = Reader(FixedClassifier(), NoDetector("none"), LIMITS)
    with pytest.raises(ModelUnavailableError):
        list(reader.many([SEVEN], "number"))
