"""Whose label is in force, and that all of them are kept."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fakes import make_submission
from waiting import pass_time

from flaskapi.errors import InvalidRequestError, NotFoundError
from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.days import forget_day, forget_days
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.labels import MOST_OF_A_SENDER, InForce, Said, read_history, say, settle
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.tables import days, labels

A, B = bytes(16), bytes([1] * 16)  # two clients


def sender(label: str | None, client: bytes | None = A) -> Said:
    return Said(label, "sender", "digit" if label else None, client=client)


def ada(label: str | None, name: str = "ada") -> Said:
    return Said(label, "operator", "digit" if label else None, key_name=name)


ADA, SENDER, NOBODY = "operator", "sender", None
HISTORIES = {
    "nothing was said": ([], None, NOBODY),
    "a sender": ([sender("9")], "9", SENDER),
    "the newest of two senders": ([sender("9"), sender("4", B)], "4", SENDER),
    "a sender who takes it back": ([sender("9"), sender(None)], None, NOBODY),
    "a sender who takes back what another sender said": (
        [sender("9"), sender(None, B)],
        None,
        NOBODY,
    ),
    "an operator": ([ada("9")], "9", ADA),
    "an operator after a sender": ([sender("9"), ada("4")], "4", ADA),
    "a sender after an operator": ([ada("4"), sender("9")], "4", ADA),
    "the newest of two operators": ([ada("4"), ada("9", "bob")], "9", ADA),
    "no digit, says an operator": ([sender("4"), ada("none")], "none", ADA),
    "an operator who takes back all": ([sender("9"), ada("4"), ada(None)], None, NOBODY),
    "an operator who takes back a sender's": ([sender("9"), ada(None)], None, NOBODY),
    "a sender after an operator took back all": ([ada("4"), ada(None), sender("9")], "9", SENDER),
    "a sender who takes back his own beside an operator's": (
        [sender("9"), ada("4"), sender(None)],
        "4",
        ADA,
    ),
    "a sender who said it while an operator's stood, then taken back": (
        [ada("4"), sender("9"), ada(None)],
        None,
        NOBODY,
    ),
}


@pytest.fixture
def kept(store: Database) -> Submission:
    submission = make_submission()
    store.record([submission])
    return submission


def history(store: Database, id: UUID) -> list[tuple[str | None, str, str | None, str | None]]:
    found = store.run(lambda connection: read_history(connection, id), reads=True)
    return [(past.label, past.source, past.key_name, past.reason) for past in found]


@pytest.mark.parametrize(("said", "label", "source"), HISTORIES.values(), ids=HISTORIES)
def test_an_operators_newest_label_is_in_force_else_the_newest_senders(
    said: list[Said], label: str | None, source: str | None
) -> None:
    assert (label, source) == settle(said).in_force


@pytest.mark.parametrize(("said", "label", "source"), HISTORIES.values(), ids=HISTORIES)
def test_what_is_in_force_stands_beside_the_submission_and_everything_in_the_history(
    store: Database, kept: Submission, said: list[Said], label: str | None, source: str | None
) -> None:
    answers = [say(store, kept.id, one) for one in said]
    assert [(label, source)] * bool(said) == answers[-1:]
    found = get_submission(store, kept.id)
    assert found is not None
    assert (label, source) == (found.label, found.label_source)
    assert [(one.label, one.source, one.key_name, None) for one in said] == history(store, kept.id)


def test_an_operator_without_a_key_as_whoever_imports_is_an_operator(
    store: Database, kept: Submission
) -> None:
    say(store, kept.id, Said("4", "operator", "digit"))
    assert InForce("4", "operator") == say(store, kept.id, sender("9"))


def test_who_said_it_and_why_is_kept(store: Database, kept: Submission, engine: sa.Engine) -> None:
    say(store, kept.id, Said("none", "sender", "digit", "a letter", client=A))
    say(store, kept.id, Said("none", "operator", "digit", "a face", key_name="ada"))
    assert [("none", "sender", None, "a letter"), ("none", "operator", "ada", "a face")] == history(
        store, kept.id
    )
    with engine.connect() as connection:
        assert [A, None] == list(
            connection.execute(sa.select(labels.c.client).order_by(labels.c.id)).scalars()
        )


def test_a_sender_who_says_the_same_again_adds_nothing_and_an_operator_confirms(
    store: Database, kept: Submission
) -> None:
    for one in (sender("9"), sender("9"), ada("9"), ada("9"), sender("9"), ada("9", "bob")):
        say(store, kept.id, one)
    assert ["sender", "operator", "operator", "operator"] == [
        source for _, source, _, _ in history(store, kept.id)
    ]


def test_the_same_of_another_sender_or_after_it_was_taken_back_is_kept(
    store: Database, kept: Submission
) -> None:
    said = [
        sender("9"),
        sender("9", B),
        sender("9"),
        sender(None),
        sender("9"),
        ada(None),
        sender("9"),
    ]
    for one in said:
        say(store, kept.id, one)
    assert [(one.label, one.source) for one in said] == [
        past[:2] for past in history(store, kept.id)
    ]


@pytest.mark.parametrize(
    "said",
    [[sender(None)], [ada(None)], [sender("9"), ada(None), sender(None)], [ada("9"), sender(None)]],
)
def test_what_is_not_there_cannot_be_taken_back(
    store: Database, kept: Submission, said: list[Said]
) -> None:
    for one in said:
        say(store, kept.id, one)
    assert len(said) - 1 == len(history(store, kept.id))


def test_a_digit_is_no_number_and_a_number_no_digit(store: Database, kept: Submission) -> None:
    number = make_submission(
        prediction="55", probabilities=None, normalized=None, lines=["55"], digits=[]
    )
    store.record([number])
    with pytest.raises(InvalidRequestError, match="'digit', not 'number'"):
        say(store, kept.id, Said("55", "sender", "number"))
    with pytest.raises(InvalidRequestError, match="'number', not 'digit'"):
        say(store, number.id, Said("none", "sender", "digit"))
    assert InForce("56", "sender") == say(store, number.id, Said("56", "sender", "number"))
    assert InForce(None, None) == say(store, number.id, sender(None))


def test_there_is_no_label_of_what_is_not_there(store: Database) -> None:
    for one in (sender("9"), sender(None), ada("9")):
        with pytest.raises(NotFoundError):
            say(store, new_id(), one)


def test_labels_are_erased_with_their_submission(
    store: Database, kept: Submission, engine: sa.Engine
) -> None:
    say(store, kept.id, sender("9"))
    assert erase(store, kept.id)
    with engine.connect() as connection:
        assert [] == connection.execute(sa.select(labels)).all()


def test_a_label_and_its_withdrawal_let_its_day_be_counted_anew(
    store: Database, engine: sa.Engine
) -> None:
    """The day of a submission is that of UTC; other days stay as they were."""
    moment = datetime.fromisoformat("2026-11-24T23:30:00-02:00")
    submission = make_submission(received_at=moment)
    store.record([submission])
    for one in (sender("9"), sender(None)):
        with engine.begin() as connection:
            connection.execute(sa.delete(days))
            connection.execute(
                sa.insert(days), [{"day": date(2026, 11, day), "summary": {}} for day in (24, 25)]
            )
        say(store, submission.id, one)
        with engine.connect() as connection:
            assert [date(2026, 11, 24)] == list(connection.execute(sa.select(days.c.day)).scalars())
    assert 25 == moment.astimezone(UTC).day


def test_of_many_who_speak_at_once_all_are_kept_and_the_last_is_in_force(
    store: Database, kept: Submission
) -> None:
    threads = [
        Thread(target=say, args=(store, kept.id, sender(str(number), bytes([number] * 16))))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said, found = history(store, kept.id), get_submission(store, kept.id)
    assert found is not None
    assert 6 == len(said)
    assert said[-1][0] == found.label


def test_a_sender_who_changes_their_mind_again_and_again_fills_no_table(
    store: Database, kept: Submission
) -> None:
    say(store, kept.id, ada("5"))
    say(store, kept.id, sender("6", B))
    for turn in range(3 * MOST_OF_A_SENDER):
        say(store, kept.id, sender(str(turn % 10)))
    said = history(store, kept.id)
    assert [("5", "operator"), ("6", "sender")] == [one[:2] for one in said[:2]], (
        "what others said stays"
    )
    assert [str(turn % 10) for turn in range(2 * MOST_OF_A_SENDER, 3 * MOST_OF_A_SENDER)] == [
        one[0] for one in said[2:]
    ]


def test_who_labels_and_who_erases_at_once_do_not_wait_for_each_other_for_ever(
    store: Database, kept: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(forget: Callable[..., None]) -> Callable[..., None]:
        def work(*arguments: Any) -> None:
            pass_time(0.2)
            forget(*arguments)
            pass_time(0.2)

        return work

    with store._ready_engine().begin() as connection:  # a row of the day, which both remove
        connection.execute(
            sa.insert(days), {"day": kept.received_at.astimezone(UTC).date(), "summary": {}}
        )
    monkeypatch.setattr("flaskapi.submissions.labels.forget_day", slowly(forget_day))
    monkeypatch.setattr("flaskapi.submissions.database.forget_days", slowly(forget_days))
    with ThreadPoolExecutor(2) as both:
        erased, labelled = (
            both.submit(erase, store, kept.id),
            both.submit(say, store, kept.id, ada("5")),
        )
        assert erased.result()
        with contextlib.suppress(NotFoundError):
            assert InForce("5", "operator") == labelled.result()
