from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from fakes import make_submission

from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.labelled import Statement, read_labelled
from flaskapi.submissions.tables import labels


def label(store: Database, submission: Submission, label: str | None, **more: Any) -> None:
    row = {
        "id": new_id(),
        "submission_id": submission.id,
        "labelled_at": datetime.now(UTC),
        "label": label,
        "source": "operator",
    }
    store.run(lambda connection: connection.execute(sa.insert(labels), row | more))


def test_digits_are_read_with_all_that_was_said_of_them_in_order(store: Database) -> None:
    first, second, unsaid = sent = [
        make_submission(image=b"%d" % place, normalized=bytes([place]) * 784) for place in range(3)
    ]
    number = make_submission(probabilities=None, normalized=None, lines=["7"], digits=[])
    store.record([*sent, number])
    label(store, second, "9", source="sender", client=b"somebody")
    label(store, first, "7")
    label(store, number, "7")
    label(store, second, None)
    (of_number,) = read_labelled(store, numbers=True)
    assert (number.id, b"", "7") == (of_number.id, of_number.normalized, of_number.statements[0][0])
    found = read_labelled(store)
    assert [first.id, second.id] == [one.id for one in found]
    assert [first.normalized, second.normalized] == [one.normalized for one in found]
    assert [Statement("7", "operator", None)] == found[0].statements
    assert [Statement("9", "sender", b"somebody"), Statement(None, "operator", None)] == found[
        1
    ].statements
    assert unsaid.id not in [one.id for one in found]


def test_only_what_was_received_since_then_is_read(store: Database) -> None:
    sent = make_submission()
    store.record([sent])
    label(store, sent, "7")
    now = datetime.now(UTC)
    assert [1, 0] == [
        len(read_labelled(store, now + timedelta(minutes=minutes))) for minutes in (-1, 1)
    ]
