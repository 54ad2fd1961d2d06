"""What the labels that there are can show, and which ones would help."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from flaskapi.labels import NO_DIGIT, NONE
from flaskapi.learning.judge import Pair, rank, sign_test, spend
from flaskapi.submissions import Store
from flaskapi.submissions.listing import Filters, find_uncertain

BEST = 3  # of `rank`: there is nothing to be gained
# Of the images that the serving model misreads or is not sure of, those that a candidate answers
# better; and of all, those that it answers worse. About what seven hands of forty labels each
# showed, in `benchmarks/circle.py`.
GAINED, LOST = 0.5, 0.01
MOST = 5_000  # labels: a hand that so many would not do for is read well already
NEXT = 20


class Count(NamedTuple):
    """The labelled images of one digit."""

    labelled: int
    misread: int
    uncertain: int  # read rightly, and not surely


class LabelAdvice(NamedTuple):
    """What there is to be gained, before any training."""

    counts: dict[int, Count]  # by the digit, or NO_DIGIT
    wanted: int | None  # more labels of this kind that would probably do; None: no number would
    next: tuple[str, ...]  # ids of what to label next, the least sure first

    @property
    def total(self) -> Count:
        """Of all digits together."""
        return Count(
            *(sum(part) for part in zip(Count(0, 0, 0), *self.counts.values(), strict=True))
        )


def advise(said: Sequence[Pair], look: int, following: Sequence[str]) -> LabelAdvice:
    """Say what the labels can show.

    Args:
        said: what the serving model says of each labelled image.
        look: the number of the retraining that would come.
        following: ids of what to label next.
    """
    kinds = [
        (NO_DIGIT if one.label is None else int(one.label), one.right, rank(one)) for one, _ in said
    ]
    every = Counter(label for label, _, _ in kinds)
    misread = Counter(label for label, right, _ in kinds if not right)
    unsure = Counter(label for label, right, worth in kinds if right and worth < BEST)
    counts = {label: Count(every[label], misread[label], unsure[label]) for label in sorted(every)}
    gained = sum(worth < BEST for _, _, worth in kinds)
    return LabelAdvice(counts, _find_wanted(len(said), gained, look), tuple(following))


def _find_wanted(labelled: int, gained: int, look: int) -> int | None:
    """How many more labels there must be until what is expected of a candidate is significant."""
    if not gained:
        return None
    for total in range(max(labelled, 1), MOST + 1):
        better, worse = (round(share * total) for share in (GAINED * gained / labelled, LOST))
        if sign_test(better, worse) < spend(look):
            return total - labelled
    return None


def find_next(store: Store) -> list[str]:
    """The ids of what a person should label next: uncertain, without a label, the least sure first.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    rows = find_uncertain(store, Filters(), NEXT).rows
    return [str(row["id"]) for row in rows if row["lines"] is None]


def describe(advice: LabelAdvice) -> str:
    """What there is, digit by digit, and what would help."""
    lines = [
        f"  {'no digit' if label == NO_DIGIT else label}: {count.labelled:,} labelled, "
        f"{count.misread:,} misread, {count.uncertain:,} uncertain"
        for label, count in advice.counts.items()
    ]
    total = advice.total
    head = (
        f"The serving model misreads {total.misread:,} of {total.labelled:,} labelled images, and "
        f"is not sure of {total.uncertain:,} more."
    )
    return "\n".join([head, *lines, describe_next(advice)])


def describe_next(advice: LabelAdvice) -> str:
    """The next step, for a person."""
    where = "Label next what it is least sure of: `/operations` shows it in that order."
    if not advice.total.labelled:
        return f"There is no label yet to judge the model by. {where}"
    if advice.wanted == 0:
        return "That is probably enough to show whether a candidate is better."
    if advice.wanted is None:
        return f"The model reads these images well; there is next to nothing to be gained. {where}"
    return f"About {advice.wanted:,} more labels of this kind would probably do. {where}"


def to_plain(advice: LabelAdvice) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "by_digit": {
            NONE if label == NO_DIGIT else str(label): count._asdict()
            for label, count in advice.counts.items()
        },
        **advice.total._asdict(),
        "wanted": advice.wanted,
        "next_ids": list(advice.next),
    }
