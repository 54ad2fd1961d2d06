import time
from uuid import RFC_4122

from waiting import pass_time

from flaskapi.submissions.identifiers import new_id


def test_they_are_of_version_7_and_bear_the_time_in_milliseconds() -> None:
    before_ms, identifier, after_ms = (
        time.time_ns() // 1_000_000,
        new_id(),
        time.time_ns() // 1_000_000,
    )
    assert (7, RFC_4122) == (identifier.version, identifier.variant)
    assert before_ms <= identifier.int >> 80 <= after_ms


def test_they_sort_by_the_time_they_were_made_and_differ() -> None:
    made = []
    for _ in range(200):
        made.append(new_id())
        pass_time(0.000_01)
    assert made == sorted(made, key=str)
    assert 10_000 == len({new_id() for _ in range(10_000)})
