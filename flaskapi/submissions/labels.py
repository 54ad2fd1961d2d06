"""What people say that submissions are. All of it stays in the table `labels`; what is in force
stands beside the submission too.

An operator's newest label is in force; where there is none, the newest of whoever sent the image
(of anybody who knows its id). Each withdraws the labels of its own kind; an operator withdraws all
that was said before.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.errors import InvalidRequestError, NotFoundError
from flaskapi.submissions import Store
from flaskapi.submissions.days import forget_day
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.labelled import Statement
from flaskapi.submissions.tables import labels, submissions

Source = Literal["sender", "operator"]
MOST_OF_A_SENDER = 10  # rows in the history of one submission; the oldest go


class Said(NamedTuple):
    """What somebody says of a submission, and who."""

    label: str | None  # a digit, a number, or `none` for what shows none; None withdraws
    source: Source
    field: str | None = None  # what the caller calls it, `digit` or `number`
    reason: str | None = None
    key_name: str | None = None  # an operator's
    client: bytes | None = None  # tells two senders apart, and nothing more of them


class InForce(NamedTuple):
    """The label of a submission, if it has one, and who gave it."""

    label: str | None
    source: Source | None


class PastLabel(NamedTuple):
    """One row of a submission's history."""

    labelled_at: datetime
    label: str | None  # None: withdrawn
    reason: str | None
    source: Source
    key_name: str | None


def say(store: Store, id: UUID, said: Said) -> InForce:
    """Keep what somebody says of a submission, and tell which label is in force then, which need
    not be that one.

    An operator's is always kept, the same as before too, which confirms it; a sender's is not where
    it says what he said last.

    Raises:
        NotFoundError: there is no submission of this id.
        InvalidRequestError: it says a digit of a number, or a number of a digit.
        StoreUnavailableError: it cannot be kept.
    """
    return store.run(lambda connection: _say(connection, id, said))


def say_many(
    store: Store, statements: Sequence[tuple[UUID, Said]]
) -> list[InForce | NotFoundError | InvalidRequestError]:
    """The same of several, in one transaction. What is wrong with one stands in its place.

    Raises:
        StoreUnavailableError: none of them can be kept.
    """

    def work(connection: sa.Connection) -> list[InForce | NotFoundError | InvalidRequestError]:
        outcomes: list[InForce | NotFoundError | InvalidRequestError] = []
        for id, said in statements:
            try:
                outcomes.append(_say(connection, id, said))
            except (NotFoundError, InvalidRequestError) as error:  # before anything was written
                outcomes.append(error)
        return outcomes

    return store.run(work)


class Progress(NamedTuple):
    """How far labelling is."""

    labelled: int  # digits that bear a label, of which a model may learn
    uncertain: int  # submissions without one that the model was not sure of


def count_progress(store: Store) -> Progress:
    """Count what is labelled, and what an operator could label next."""
    of, many = submissions.c, sa.select(sa.func.count())
    labelled = many.where(of.label.is_not(None), of.lines.is_(sa.null()))
    uncertain = many.where(of.uncertain == sa.true(), of.label.is_(None))

    def work(connection: sa.Connection) -> Progress:
        return Progress(*(connection.execute(one).scalar_one() for one in (labelled, uncertain)))

    return store.run(work, reads=True)


def _say(connection: sa.Connection, id: UUID, said: Said) -> InForce:
    is_number = submissions.c.lines.is_not(sa.null())
    # Locked, so that of two who speak at the same moment the second sees what the first said;
    # SQLite lets one write at a time anyway.
    found = (
        sa.select(submissions.c.received_at, is_number.label("is_number"))
        .where(submissions.c.id == id)
        .with_for_update()
    )
    submission = connection.execute(found).one_or_none()
    if submission is None:
        raise NotFoundError(f"There is no submission with the id {id}.")
    if said.field is not None and said.field != (
        needed := "number" if submission.is_number else "digit"
    ):
        raise InvalidRequestError(
            f"This submission is a {needed}: label it with {needed!r}, not {said.field!r}."
        )
    history = _read(connection, id)
    if _is_news(history, said):
        history.append(said)
        _write(connection, id, said, settle(history).in_force)
        forget_day(connection, submission.received_at)
    return settle(history).in_force


class Standing(NamedTuple):
    """What stands of all that was said of one submission."""

    operator: str | None  # an operator's label
    times: int  # that operators said so since one last said otherwise
    senders: dict[bytes, str]  # by client, of those who can be told apart
    newest: str | None  # of what senders said last

    @property
    def in_force(self) -> InForce:
        """An operator's label; without one, what senders said last."""
        if self.operator:
            return InForce(self.operator, "operator")
        return InForce(self.newest, "sender") if self.newest else InForce(None, None)


def settle(history: Iterable[Said | Statement]) -> Standing:
    """Find what stands of all that was said of a submission, the oldest first.

    An operator who withdraws, withdraws all that was said before.

    >>> settle([Said("9", "sender"), Said("7", "operator")]).in_force
    InForce(label='7', source='operator')
    """
    operator, times, senders, newest = None, 0, dict[bytes, str](), None
    for said in history:
        if said.source == "operator":
            times = times + 1 if said.label == operator else 1
            operator = said.label
            if not operator:
                senders, newest = {}, None
        else:
            newest = said.label
            if said.client is not None:
                senders = {one: label for one, label in senders.items() if one != said.client}
                senders |= {said.client: said.label} if said.label else {}
    return Standing(operator, times, senders, newest)


def read_history(connection: sa.Connection, id: UUID) -> list[PastLabel]:
    """All that was said of a submission, the oldest first."""
    return [PastLabel(*row) for row in connection.execute(_select(id, *PastLabel._fields))]


def _read(connection: sa.Connection, id: UUID) -> list[Said]:
    rows = connection.execute(_select(id, "label", "source", "client"))
    return [Said(label, source, client=client) for label, source, client in rows]


def _select(id: UUID, *names: str) -> sa.Select[Any]:
    return (
        sa.select(*(labels.c[name] for name in names))
        .where(labels.c.submission_id == id)
        .order_by(labels.c.id)
    )


def _is_news(history: list[Said], said: Said) -> bool:
    """Is it to be kept? Whoever sends the same again and again fills no table, and what is not
    there cannot be withdrawn.
    """
    if said.source == "operator":
        return said.label is not None or settle(history).in_force.label is not None
    standing: Said | None = None  # what a sender said last, unless an operator withdrew it
    for past in history:
        if past.source == "sender":
            standing = past
        elif past.label is None:
            standing = None
    if said.label is None:
        return standing is not None and standing.label is not None
    return standing is None or (standing.label, standing.client) != (said.label, said.client)


def _write(connection: sa.Connection, id: UUID, said: Said, in_force: InForce) -> None:
    if said.source == "sender":  # who changes their mind again and again fills no table either
        own = (
            labels.c.submission_id == id,
            labels.c.source == "sender",
            labels.c.client == said.client,
        )
        old = connection.execute(
            sa.select(labels.c.id)
            .where(*own)
            .order_by(labels.c.id.desc())
            .offset(MOST_OF_A_SENDER - 1)
        )
        connection.execute(sa.delete(labels).where(labels.c.id.in_(old.scalars().all())))
    row = {"id": new_id(), "submission_id": id, "labelled_at": datetime.now(UTC)}
    connection.execute(
        sa.insert(labels),
        row | {name: value for name, value in said._asdict().items() if name != "field"},
    )
    change = sa.update(submissions).where(submissions.c.id == id)
    connection.execute(change.values(label=in_force.label, label_source=in_force.source))
