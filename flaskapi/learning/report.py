"""The report of a retraining, as text, as a page with pictures, and as figures."""

from collections.abc import Sequence
from typing import Any

from flaskapi.digits.encode import encode_bytes
from flaskapi.evaluation.measures import Outcome
from flaskapi.evaluation.pictures import Gallery, Picture, render_pictures
from flaskapi.labels import NO_DIGIT
from flaskapi.learning.advise import describe, to_plain
from flaskapi.learning.choose import Chosen, Doubt, NumberDigits
from flaskapi.learning.judge import Judgement, Pair, figures
from flaskapi.learning.retrain import RetrainingResult

LISTED = 50  # suspicious labels in the text; the page has the others too
NAMED = 1000  # of them among the figures


def render_text(done: RetrainingResult, *, promoted: bool) -> str:
    """List what was used and what is suspicious, compare both models, and give the result."""
    chosen = done.chosen
    lines = [
        f"Labelled images: {len(chosen.learned):,} to learn from,"
        f" {len(chosen.suspicious):,} suspicious, {len(chosen.contradicted):,} on which operators "
        f"disagree,"
        f" {chosen.unsupported:,} with labels of senders only, of whom no two agree.",
        *_tell_senders(chosen),
        *_tell_numbers(chosen.numbers),
        describe(done.advice),
    ]
    if chosen.suspicious:
        lines += [
            "",
            "Suspicious: the model reads these differently, with certainty or against senders "
            "only. They are not used unless an operator gives the same label again:",
        ]
        lines += _list(chosen.suspicious)
    if chosen.contradicted:
        lines += [
            "",
            "Operators disagree on these images:",
            *(f"  {one.name}" for one in chosen.contradicted[:LISTED]),
        ]
    if done.review:
        lines += [
            "",
            "The most doubtful fifth of the labels, by models that have not learned them. Check "
            "them, the first ones above all, and correct those that are wrong:",
        ]
        lines += _list(done.review)
    if done.judgement:
        lines += [
            "",
            f"Candidate {done.candidate}, compared with {done.serving}, which serves:",
            *_tabulate(done.judgement),
        ]
    lines += ["", *(f"{done.serving} continues to serve. {reason}" for reason in done.reasons)]
    if done.judgement and not done.reasons:
        lines.append(f"{done.candidate} is better, and {'serves' if promoted else 'may serve'}.")
    return "\n".join(lines).rstrip()


def _tell_senders(chosen: Chosen) -> list[str]:
    count = len(chosen.learned) - len(chosen.evidence)
    if not count:
        return []
    return [f"Of these, {count:,} have labels of senders only: they teach, and judge nothing."]


def _tell_numbers(numbers: NumberDigits) -> list[str]:
    lines = []
    if numbers.numbers:
        lines.append(
            f"Of these, {len(numbers.examples):,} are the digits of {numbers.numbers:,} labelled "
            f"numbers."
        )
    if numbers.not_found:
        lines.append(
            f"{numbers.not_found:,} labelled numbers give none: not all of their digits were found."
        )
    return lines


def _list(doubts: Sequence[Doubt]) -> list[str]:
    more = [f"  and {len(doubts) - LISTED:,} more"] if len(doubts) > LISTED else []
    return [*(f"  {doubt.example.name}  {_describe(doubt)}" for doubt in doubts[:LISTED]), *more]


def _name(label: int | str | None) -> str:
    return "no digit" if label in (NO_DIGIT, None) else str(label)


def _describe(doubt: Doubt) -> str:
    who = "" if doubt.example.source == "operator" else " by senders"
    label = _name(doubt.example.label)
    return f"labelled {label}{who}, read as {doubt.digit} with {doubt.confidence:.2%}"


def _tabulate(judgement: Judgement) -> list[str]:
    lines = [f"{'':26}{'before':>9}{'after':>9}"]
    for name, pairs in (("MNIST's test set", judgement.mnist), ("labelled", judgement.labelled)):
        wrong, errors = figures(pairs)
        lines.append(f"  {name + ', wrong':24}{wrong[0]:>9,}{wrong[1]:>9,}  of {len(pairs):,}")
        lines.append(f"  {'  calibration error':24}{errors[0]:>9.2%}{errors[1]:>9.2%}")
    if judgement.wrong_at_first is not None:
        lines.append(
            f"  The model of MODEL_PATH misreads {judgement.wrong_at_first:,} of MNIST's test set."
        )
    return [
        *lines,
        f"  Labelled images, each judged by a model that had not learned it: "
        f"{len(judgement.better):,} answered better, {len(judgement.worse):,} worse; "
        f"{len(judgement.fixed):,} fixed, {len(judgement.broken):,} broken.",
        f"  Exact sign test, one-sided: p = {judgement.p_value:.2g}; it must be below "
        f"{judgement.needed:.2g}.",
    ]


def to_figures(done: RetrainingResult) -> dict[str, Any]:
    """The same as plain values."""
    chosen = done.chosen
    found: dict[str, Any] = {
        "serving": done.serving,
        "learned": len(chosen.learned),
        "suspicious": len(chosen.suspicious),
        "suspicious_ids": [doubt.example.name for doubt in chosen.suspicious[:NAMED]],
        "review_ids": [doubt.example.name for doubt in done.review[:NAMED]],
        "contradicted": len(chosen.contradicted),
        "unsupported": chosen.unsupported,
        "numbers": chosen.numbers.numbers,
        "numbers_not_found": chosen.numbers.not_found,
        "reasons": list(done.reasons),
        **to_plain(done.advice),
    }
    if judgement := done.judgement:
        for name, pairs in (("mnist", judgement.mnist), ("labelled", judgement.labelled)):
            wrong, errors = figures(pairs)
            found |= {
                f"{name}_wrong": list(wrong),
                f"{name}_calibration_error": [round(error, 6) for error in errors],
            }
        found |= (
            {}
            if judgement.wrong_at_first is None
            else {"mnist_wrong_at_first": judgement.wrong_at_first}
        )
        found |= {
            "fixed": len(judgement.fixed),
            "broken": len(judgement.broken),
            "better": len(judgement.better),
            "worse": len(judgement.worse),
            "p_value": judgement.p_value,
            "needed_p_value": judgement.needed,
            "look": judgement.look,
        }
    return found


def render_page(done: RetrainingResult, *, promoted: bool) -> str:
    """Show the suspicious and the changed images, as the network saw them."""
    suspicious, review = (
        [
            Picture(
                encode_bytes(doubt.example.normalized), f"{doubt.example.name}: {_describe(doubt)}"
            )
            for doubt in doubts
        ]
        for doubts in (done.chosen.suspicious, done.review)
    )
    galleries = [
        Gallery(
            "Suspicious labels",
            "Not used unless an operator gives the same label again.",
            suspicious,
        )
    ]
    if done.judgement:
        labelled = {one.name: one.normalized for one in done.chosen.learned}
        test = (
            {}
            if done.test_images is None
            else {
                f"test-{place:05}": image.tobytes() for place, image in enumerate(done.test_images)
            }
        )
        changed = [pair for pair in done.judgement.mnist if pair.before.right != pair.after.right]
        galleries += [
            Gallery(
                "Labels to look at again",
                "The most doubtful fifth of those that were used, the most doubtful first.",
                review,
            ),
            Gallery(
                "Better",
                "Labelled images that the candidate's like answers better, without having learned "
                "them.",
                _show(done.judgement.better, labelled),
            ),
            Gallery(
                "Worse",
                "Labelled images that it answers worse.",
                _show(done.judgement.worse, labelled),
            ),
            Gallery(
                "Changed on MNIST's test set",
                "Images that only one of both reads rightly.",
                _show(changed, test),
            ),
        ]
    return render_pictures(
        f"Retraining of {done.serving}", render_text(done, promoted=promoted), galleries
    )


def _show(pairs: Sequence[Pair], normalized: dict[str, bytes]) -> list[Picture]:
    return [Picture(encode_bytes(normalized[pair.after.name]), _caption(*pair)) for pair in pairs]


def _caption(before: Outcome, after: Outcome) -> str:
    said = (f"{outcome.said} ({outcome.confidence:.0%})" for outcome in (before, after))
    return f"{after.name}: is {_name(after.label)}, was read as {' and now as '.join(said)}"
