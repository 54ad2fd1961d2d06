"""Which submissions are exported, and how labelled ones are taken in."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fakes import make_submission

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.exchange import Wanted, count_wanted, keep_labelled, read_wanted
from flaskapi.submissions.identifiers import first_id
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.tables import labels

NUMBER = {
    "prediction": "12",
    "probabilities": None,
    "normalized": None,
    "lines": ["1", "2"],
    "digits": [],
}
OPERATOR = {"label": "7", "label_source": "operator"}


def at(day: int, number: int = 0) -> dict[str, Any]:
    return {"id": UUID(int=first_id(datetime(2026, 11, day, tzinfo=UTC)).int + number)}


def test_they_are_given_from_the_oldest_by_kind_label_and_time(store: Database) -> None:
    first, second, third = digits = [
        make_submission(**at(20)),
        make_submission(**at(21), **OPERATOR),
        make_submission(**at(22)),
    ]
    number = make_submission(**at(21, 1), **NUMBER)
    store.record([third, number, second, first])
    for wanted, expected in (
        (Wanted(), digits),
        (Wanted(numbers=True), [number]),
        (Wanted(labelled=True), [second]),
        (Wanted(since=datetime(2026, 11, 21, tzinfo=UTC)), [second, third]),
        (Wanted(until=datetime(2026, 11, 21, tzinfo=UTC)), [first]),
        (
            Wanted(
                since=datetime(2026, 11, 21, tzinfo=UTC), until=datetime(2026, 11, 22, tzinfo=UTC)
            ),
            [second],
        ),
    ):
        assert (len(expected), expected) == (
            count_wanted(store, wanted),
            list(read_wanted(store, wanted)),
        )


def test_what_is_erased_or_kept_meanwhile_neither_stops_them_nor_doubles_one(
    store: Database,
) -> None:
    """More than one page."""
    kept = [make_submission(**at(20, number), image=b"%d" % (number % 5)) for number in range(1003)]
    store.record(kept)
    read = read_wanted(store, Wanted())
    begun = [next(read) for _ in range(10)]
    erase(store, kept[10].id)
    erase(store, kept[1001].id)
    store.record([make_submission(**at(19)), last := make_submission(**at(22))])
    assert [*kept[:10], *kept[11:1001], kept[1002], last] == [*begun, *read]


def history(engine: sa.Engine) -> list[tuple[Any, ...]]:
    names = ("submission_id", "label", "source", "key_name")
    with engine.connect() as connection:
        return [
            tuple(row)
            for row in connection.execute(
                sa.select(*(labels.c[name] for name in names)).order_by(labels.c.id)
            )
        ]


def test_what_is_taken_in_bears_an_operators_label_and_has_a_history(
    store: Database, engine: sa.Engine
) -> None:
    sent = [
        make_submission(image=b"one", **OPERATOR),
        make_submission(image=b"two", label="none", label_source="operator"),
    ]
    assert (2, 0) == keep_labelled(store, sent)
    assert sent == [get_submission(store, one.id) for one in sent]
    assert [(one.id, one.label, "operator", "import") for one in sent] == history(engine)


def test_what_is_there_with_the_label_that_an_operator_gave_is_not_taken_in_again(
    store: Database, engine: sa.Engine
) -> None:
    """A sender's word for it is not an operator's; another label, and a number, are something
    else.
    """

    def labelled(**changes: Any) -> Submission:
        return make_submission(**{"image": b"same"} | OPERATOR | changes)

    store.record([labelled(label_source="sender"), labelled(label=None, label_source=None)])
    assert (0, 1) == keep_labelled(store, [labelled()])
    assert (0, 0) == keep_labelled(store, [labelled(), labelled()])
    assert (2, 0) == keep_labelled(
        store, [labelled(label="1"), labelled(), labelled(**NUMBER), labelled(label="1")]
    )
    assert (0, 0) == keep_labelled(store, [])
    assert 3 == len(history(engine))


def test_a_senders_word_stays_a_senders(store: Database, engine: sa.Engine) -> None:
    """Of somebody who cannot be told apart from others, so that no model learns from it."""
    sent = make_submission(image=b"same", label="7", label_source="sender")
    assert [(1, 0), (0, 0)] == [keep_labelled(store, [sent]), keep_labelled(store, [sent])]
    assert [(sent.id, "7", "sender", None)] == history(engine)
    assert sent == get_submission(store, sent.id)


def test_all_are_taken_in_or_none(store: Database, engine: sa.Engine) -> None:
    with pytest.raises(StoreUnavailableError):
        keep_labelled(
            store,
            [
                make_submission(image=b"one", **OPERATOR),
                make_submission(image=b"two", model=None, **OPERATOR),
            ],
        )
    assert (0, []) == (count_wanted(store, Wanted()), history(engine))
