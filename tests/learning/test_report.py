"""What a person reads of a retraining."""

import hashlib

import numpy as np
import pytest

from flaskapi.evaluation.measures import Outcome
from flaskapi.labels import NO_DIGIT
from flaskapi.learning import Example
from flaskapi.learning.advise import advise
from flaskapi.learning.choose import Chosen, Doubt
from flaskapi.learning.judge import Judgement, Pair
from flaskapi.learning.report import render_page, render_text, to_figures
from flaskapi.learning.retrain import RetrainingResult
from flaskapi.submissions.identifiers import new_id


def example(label: int) -> Example:
    id = new_id()
    return Example(
        hashlib.sha256(id.bytes).digest(),
        (id,),
        bytes([label * 20]) * 784,
        label,
        "operator",
        False,
    )


def pair(one: Example, before: int, after: int) -> Pair:
    return Pair(
        *(Outcome(one.name, str(one.label), str(said), 0.99, False) for said in (before, after))
    )


@pytest.fixture
def done() -> RetrainingResult:
    """Of 20 labelled images six are fixed and one is broken; a label is suspicious, one is
    contradicted, and one to be looked at again.
    """
    learned = [example(place % 10) for place in range(20)]
    changed = [*((place, 5) for place in (0, 1, 2, 3, 4, 6)), (7, 7)]
    said = {place: (5, learned[place].label) if place < 7 else (7, 5) for place, _ in changed}
    pairs = [
        pair(one, *said.get(place, (one.label, one.label))) for place, one in enumerate(learned)
    ]
    mnist = [
        Pair(*(outcome._replace(name=f"test-{place:05}") for outcome in both))
        for place, both in enumerate(pairs)
    ]
    chosen = Chosen(learned, [Doubt(example(NO_DIGIT), 3, 0.9876)], [example(1)], 4)
    return RetrainingResult(
        "2026-11-22-aaaaaaaa",
        chosen,
        advise([Pair(one.before, one.before) for one in pairs], 1, []),
        "2026-11-25-bbbbbbbb",
        Judgement(mnist, pairs),
        (Doubt(learned[4], 6, 0.96),),
        test_images=np.zeros((20, 28, 28), np.uint8),
    )


def test_the_text_says_what_was_used_how_both_compare_and_what_follows(
    done: RetrainingResult,
) -> None:
    text = render_text(done, promoted=True)
    assert "MNIST's test set, wrong         6        1  of 20" in text
    assert (
        "20 to learn from, 1 suspicious, 1 on which operators disagree, "
        "4 with labels of senders only" in text
    )
    assert "The serving model misreads 6 of 20 labelled images" in text
    assert (
        f"  {done.chosen.suspicious[0].example.name}  labelled no digit, read as 3 with 98.76%"
        in text
    )
    assert f"  {done.chosen.contradicted[0].name}\n" in text
    assert f"  {done.chosen.learned[4].name}  labelled 4, read as 6 with 96.00%\n" in text
    assert "labelled, wrong                 6        1  of 20" in text
    assert "6 answered better, 1 worse; 6 fixed, 1 broken." in text
    # (7 + 1) / 128.
    assert "Exact sign test, one-sided: p = 0.062; it must be below 0.034." in text
    assert text.endswith("2026-11-25-bbbbbbbb is better, and serves.")


def test_labels_that_teach_and_judge_nothing_are_counted(done: RetrainingResult) -> None:
    by_senders = [one._replace(source="senders") for one in done.chosen.learned[:3]]
    chosen = done.chosen._replace(learned=[*by_senders, *done.chosen.learned[3:]])
    said = "Of these, 3 have labels of senders only: they teach, and judge nothing."
    assert said in render_text(done._replace(chosen=chosen), promoted=False)
    assert "judge nothing" not in render_text(done, promoted=False)


def test_a_candidate_that_stays_is_said_to_with_every_reason(done: RetrainingResult) -> None:
    text = render_text(done._replace(reasons=("It is worse.", "It is late.")), promoted=False)
    assert text.endswith(
        "2026-11-22-aaaaaaaa continues to serve. It is worse.\n"
        "2026-11-22-aaaaaaaa continues to serve. It is late."
    )
    assert render_text(done, promoted=False).endswith("is better, and may serve.")


def test_the_page_has_a_picture_of_everything_that_changed_or_is_suspicious(
    done: RetrainingResult,
) -> None:
    page = render_page(done, promoted=False)
    assert 1 + 1 + 6 + 1 + 7 == page.count('<img src="data:image/png;base64,')
    for one in (*done.judgement.better, *done.judgement.worse):  # type: ignore[union-attr]
        assert (
            f"{one.after.name}: is {one.after.label}, was read as {one.before.said} (99%) and now "
            f"as {one.after.said} (99%)" in page
        )


def test_where_the_model_of_the_setting_serves_no_more_it_is_said_how_that_read_mnist(
    done: RetrainingResult,
) -> None:
    assert "MODEL_PATH" not in render_text(done, promoted=True)
    assert "mnist_wrong_at_first" not in to_figures(done)
    assert done.judgement
    later = done._replace(judgement=done.judgement._replace(wrong_at_first=5))
    assert "  The model of MODEL_PATH misreads 5 of MNIST's test set." in render_text(
        later, promoted=True
    )
    assert 5 == to_figures(later)["mnist_wrong_at_first"]


def test_the_figures_are_plain_values(done: RetrainingResult) -> None:
    figures = to_figures(done)
    assert {
        "fixed": 6,
        "broken": 1,
        "p_value": 0.0625,
        "labelled_wrong": [6, 1],
        "learned": 20,
    }.items() <= figures.items()
    assert [done.chosen.suspicious[0].example.name] == figures["suspicious_ids"]
    assert [done.chosen.learned[4].name] == figures["review_ids"]
