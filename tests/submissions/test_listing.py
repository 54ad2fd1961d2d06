"""Pages of submissions, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fakes import make_submission

from flaskapi.errors import NotFoundError
from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.identifiers import first_id, new_id
from flaskapi.submissions.labels import Said, say
from flaskapi.submissions.listing import Filters, Place, find_one, find_page, find_uncertain

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def at(minutes: int, **changes: Any) -> Submission:
    moment = NOON + timedelta(minutes=minutes)
    return make_submission(
        id=UUID(int=first_id(moment).int + minutes), received_at=moment, **changes
    )


KEPT = [  # the oldest first
    at(0),
    at(1, prediction="4", uncertain=True),
    at(2, prediction="4", model="2026-02-02-22222222"),
    at(
        3,
        prediction="55",
        route="/predict/number",
        lines=["55"],
        digits=[],
        normalized=None,
        probabilities=None,
    ),
    at(4, prediction="9", route="/predict/batch", uncertain=True),
    at(5),
]
LABELS = {0: "7", 1: "9", 3: "56", 4: "none"}
FILTERS = {
    "none": (Filters(), [5, 4, 3, 2, 1, 0]),
    "digit": (Filters(digit="4"), [2, 1]),
    "label": (Filters(label="9"), [1]),
    "label of a number": (Filters(label="56"), [3]),
    "label none": (Filters(label="none"), [4]),
    "label any": (Filters(label="any"), [4, 3, 1, 0]),
    "label missing": (Filters(label="missing"), [5, 2]),
    "disagreement": (Filters(disagreement=True), [4, 3, 1]),
    "agreement": (Filters(disagreement=False), [0]),
    "uncertain": (Filters(uncertain=True), [4, 1]),
    "certain": (Filters(uncertain=False), [5, 3, 2, 0]),
    "model": (Filters(model="2026-02-02-22222222"), [2]),
    "route": (Filters(route="/predict/number"), [3]),
    "since": (Filters(since=NOON + timedelta(minutes=4)), [5, 4]),
    "until": (Filters(until=NOON + timedelta(minutes=4)), [3, 2, 1, 0]),
    "all of time": (
        Filters(since=datetime.min.replace(tzinfo=UTC), until=datetime.max.replace(tzinfo=UTC)),
        [5, 4, 3, 2, 1, 0],
    ),
    "several": (Filters(uncertain=True, label="any", digit="9", since=NOON), [4]),
    "nothing fits": (Filters(digit="1"), []),
}


@pytest.fixture
def filled(store: Database) -> Database:
    store.record(KEPT)
    for place, label in LABELS.items():
        say(store, KEPT[place].id, Said(label, "sender", "number" if place == 3 else "digit"))
    return store


def places(rows: list[dict[str, Any]]) -> list[int]:
    return [[one.id for one in KEPT].index(row["id"]) for row in rows]


@pytest.mark.parametrize(("filters", "expected"), FILTERS.values(), ids=FILTERS)
def test_a_filter_lets_through_what_it_says_the_newest_first(
    filled: Database, filters: Filters, expected: list[int]
) -> None:
    page = find_page(filled, filters, 200)
    assert (expected, None) == (places(page.rows), page.last)


@pytest.mark.parametrize("filters", [Filters(), Filters(uncertain=False), Filters(label="any")])
@pytest.mark.parametrize("limit", [1, 2, 4])
def test_pages_follow_each_other_without_a_gap_or_an_overlap_whatever_is_added_meanwhile(
    filled: Database, filters: Filters, limit: int
) -> None:
    whole = [row["id"] for row in find_page(filled, filters, 200).rows]
    found, before = list[UUID](), None
    while True:
        page = find_page(filled, filters, limit, before)
        assert len(page.rows) == limit or page.last is None
        found += [row["id"] for row in page.rows]
        filled.record([make_submission(id=new_id())])
        if page.last is None:
            break
        before = page.last
    assert whole == found


def test_a_page_that_ends_with_the_last_one_has_no_next(filled: Database) -> None:
    assert find_page(filled, Filters(), len(KEPT)).last is None
    assert KEPT[1].id == find_page(filled, Filters(), len(KEPT) - 1).last


def test_no_page_reads_an_image(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = list[str]()

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        find_page(filled, Filters(uncertain=True, label="any"), 5)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    (query,) = (statement for statement in statements if statement.startswith("SELECT"))
    assert not [
        word for word in ("images", "content", "normalized", "probabilities") if word in query
    ]


def test_one_is_given_with_its_size_and_its_history_but_without_its_pictures(
    filled: Database,
) -> None:
    row, history = find_one(filled, KEPT[1].id)
    assert (len(KEPT[1].image), "image/png", "9", "sender") == tuple(
        row[name] for name in ("size_bytes", "media_type", "label", "label_source")
    )
    assert KEPT[1].probabilities == row["probabilities"]
    assert ["9"] == [past.label for past in history]
    assert not [value for value in row.values() if isinstance(value, bytes)]
    with pytest.raises(NotFoundError):
        find_one(filled, new_id())


UNSURE = [  # image, confidence, uncertain, label
    (b"a", 0.5, True, None),
    (b"b", 0.4, True, None),
    (b"c", 0.3, True, "7"),
    (b"c", 0.2, True, None),  # equal to one that is labelled
    (b"b", 0.6, True, None),  # equal to an older one
    (b"d", 0.1, False, None),
    (b"e", 0.5, True, None),
    (b"f", 0.7, True, None),
    (b"f", 0.9, False, None),  # the same image, read with certainty by another route
]


def test_what_a_person_should_label_next_comes_by_confidence_without_look_alikes(
    store: Database,
) -> None:
    sent = [
        at(place, image=image, confidence=confidence, uncertain=uncertain)
        for place, (image, confidence, uncertain, _) in enumerate(UNSURE)
    ]
    store.record(sent)
    say(store, sent[2].id, Said("7", "operator", "digit"))
    expected = [sent[place].id for place in (6, 0, 4, 7)]  # the newer of two that are as sure
    page = find_uncertain(store, Filters(), 10)
    assert (expected, None) == ([row["id"] for row in page.rows], page.last)
    first = find_uncertain(store, Filters(), 1)
    assert Place(0.5, sent[6].id) == first.last
    rest = find_uncertain(store, Filters(), 3, first.last)
    assert expected[1:] == [row["id"] for row in rest.rows]
    only = find_uncertain(store, Filters(since=NOON + timedelta(minutes=5)), 10)
    assert [sent[6].id, sent[7].id] == [row["id"] for row in only.rows]
    # What a filter leaves out hides nothing that it lets through.
    before = find_uncertain(store, Filters(until=NOON + timedelta(minutes=4)), 10)
    assert [sent[1].id, sent[0].id] == [row["id"] for row in before.rows]
