"""Labels: what people say that images show. The table `labels` has the history; the label in force
is also a column of the submission.

An operator's newest label is in force; without one, the newest of a sender (anybody who knows the
submission's id). Senders withdraw senders' labels; an operator withdraws all earlier labels.
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
    """A label that somebody gives, and who."""

    label: str | None  # a digit, a number, or `none` if the image shows none; None withdraws
    source: Source
    field: str | None = None  # the caller's name for it, `digit` or `number`
    reason: str | None = None
    key_name: str | None = None  # an operator's
    client: bytes | None = None  # tells two senders apart, and nothing more


class InForce(NamedTuple):
    """The label in force, if there is one, and who gave it."""

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
    """Record a label, and return the label in force afterwards, which may be another one.

    An operator's label is always recorded; a repetition confirms it. A sender's is not recorded if
    it repeats the sender's last.

    Raises:
        NotFoundError: there is no submission with this id.
        InvalidRequestError: it labels a number with a digit, or a digit with a number.
        StoreUnavailableError: it cannot be recorded.
    """
    return store.run(lambda connection: say_within(connection, id, said))


def say_many(
    store: Store, statements: Sequence[tuple[UUID, Said]]
) -> list[InForce | NotFoundError | InvalidRequestError]:
    """Record several labels in one transaction. A label's error takes its place.

    Raises:
        StoreUnavailableError: none of them can be recorded.
    """

    def work(connection: sa.Connection) -> list[InForce | NotFoundError | InvalidRequestError]:
        outcomes: list[InForce | NotFoundError | InvalidRequestError] = []
        for id, said in statements:
            try:
                outcomes.append(say_within(connection, id, said))
            except (NotFoundError, InvalidRequestError) as error:  # before anything was written
                outcomes.append(error)
        return outcomes

    return store.run(work)


class Progress(NamedTuple):
    """How far labelling is."""

    labelled: int  # digits with a label, which a model may learn from
    uncertain: int  # uncertain submissions without a label


def count_progress(store: Store) -> Progress:
    """Count the labelled digits, and the submissions that an operator could label next."""
    of, many = submissions.c, sa.select(sa.func.count())
    labelled = many.where(of.label.is_not(None), of.lines.is_(sa.null()))
    uncertain = many.where(of.uncertain == sa.true(), of.label.is_(None))

    def work(connection: sa.Connection) -> Progress:
        return Progress(*(connection.execute(one).scalar_one() for one in (labelled, uncertain)))

    return store.run(work, reads=True)


def say_within(connection: sa.Connection, id: UUID, said: Said) -> InForce:
    """The same as `say`, in a transaction of the caller's."""
    is_number = submissions.c.lines.is_not(sa.null())
    # Locked, so that of two labels at the same moment the second sees the first; SQLite allows one
    # writer at a time anyway.
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


def settle_again(connection: sa.Connection, id: UUID) -> bool:
    """Find the label in force again, after rows were added to a submission's history from
    elsewhere. Tells whether that changed anything.
    """
    history = _read(connection, id)
    label, source = settle(history).in_force
    of = submissions.c
    other = sa.or_(of.label.is_distinct_from(label), of.label_source.is_distinct_from(source))
    change = sa.update(submissions).where(of.id == id, other)
    values = {"label": label, "label_source": source}
    return bool(history) and connection.execute(change.values(values)).rowcount > 0


class Standing(NamedTuple):
    """The result of all labels of one submission."""

    operator: str | None  # an operator's label
    times: int  # how often operators gave it since the last other label
    senders: dict[bytes, str]  # by client, of those who can be told apart
    newest: str | None  # the senders' newest label

    @property
    def in_force(self) -> InForce:
        """The operator's label; without one, the senders' newest."""
        if self.operator:
            return InForce(self.operator, "operator")
        return InForce(self.newest, "sender") if self.newest else InForce(None, None)


def settle(history: Iterable[Said | Statement]) -> Standing:
    """Find the result of all labels of a submission, the oldest first.

    An operator's withdrawal withdraws all earlier labels.

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
    """All labels of a submission, the oldest first."""
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
    """Should the label be kept? Repetitions must not fill the table, and a missing label cannot be
    withdrawn.
    """
    if said.source == "operator":
        return said.label is not None or settle(history).in_force.label is not None
    standing: Said | None = None  # the sender's last label, unless an operator withdrew it
    for past in history:
        if past.source == "sender":
            standing = past
        elif past.label is None:
            standing = None
    if said.label is None:
        return standing is not None and standing.label is not None
    return standing is None or (standing.label, standing.client) != (said.label, said.client)


def _write(connection: sa.Connection, id: UUID, said: Said, in_force: InForce) -> None:
    if said.source == "sender":  # somebody who alternates labels must not fill the table either
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
