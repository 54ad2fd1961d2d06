"""An evaluation as text for a terminal, and as one HTML page that contains its pictures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from flaskapi.digits import Box
from flaskapi.digits.decode import decode_image
from flaskapi.digits.encode import contact_sheet, data_url, encode_boxes, encode_png
from flaskapi.errors import FlaskapiError
from flaskapi.evaluation.ask import Answered
from flaskapi.evaluation.labelled import LabelledImage
from flaskapi.evaluation.measures import (
    Bin,
    DigitEvaluation,
    Evaluation,
    NumberEvaluation,
    Outcome,
)
from flaskapi.evaluation.pictures import load_template
from flaskapi.labels import DIGITS, NONE

SHOWN_MISTAKES = 10
SHOWN_PICTURES = 200  # on the page, the surest mistakes of each set first

THUMBNAIL_SIDE_PX = 128
NUMBER_SIDE_PX = 400
WHOLE = 2**31  # a side that no picture exceeds
THUMBNAIL_OF_PIXELS = 100_000_000

NAMES = [*map(str, range(DIGITS)), NONE]
REJECTED = "left uncertain or found to be none"


class Mistake(NamedTuple):
    """A mistake to look at, as two PNG files: the image as it was sent (reduced), and what the
    network saw. Either may be empty.
    """

    outcome: Outcome
    sent: bytes
    normalized: bytes


def find_pictures(
    images: Sequence[LabelledImage], answers: Sequence[Answered], *, numbers: bool = False
) -> list[Mistake]:
    """Return the most confident mistakes with their images. Numbers are shown larger than digits,
    with the boxes that were found.
    """
    pairs = [
        (image, answer)
        for image, answer in zip(images, answers, strict=True)
        if not answer.outcome.right
    ]
    pairs.sort(key=lambda pair: -pair[1].outcome.confidence)
    side_px = NUMBER_SIDE_PX if numbers else THUMBNAIL_SIDE_PX
    return [
        Mistake(answer.outcome, _thumbnail(image.read(), side_px, answer.boxes), answer.normalized)
        for image, answer in pairs[:SHOWN_PICTURES]
    ]


def _thumbnail(data: bytes, side_px: int, boxes: Sequence[Box]) -> bytes:
    """Reduce an image. If there are boxes, which are in the image's own pixels, it is reduced from
    its full size.
    """
    try:
        pixels = decode_image(
            data, max_pixels=THUMBNAIL_OF_PIXELS, max_side_px=WHOLE if boxes else side_px
        ).views[0]
    except FlaskapiError:
        return b""
    return encode_boxes(pixels, boxes, max_side_px=side_px) if boxes else encode_png(pixels)


def draw_mistakes(answers: Sequence[Answered]) -> bytes:
    """Draw the misread digits as a PNG, each over its label and its answer. The result is empty if
    there are none.
    """
    mistakes = [
        answer
        for answer in answers
        if answer.normalized and answer.outcome.label is not None and not answer.outcome.right
    ]
    pairs = [
        (answer.normalized, f"{answer.outcome.label} > {answer.outcome.said}")
        for answer in mistakes
    ]
    return contact_sheet(pairs) if pairs else b""


def tabulate(evaluations: Mapping[str, Evaluation]) -> dict[str, dict[str, str]]:
    """The figures of each set by column name: the same on the terminal, on the page and in the
    documentation.

    A set without digits has none of them. `refused` is there if a file was refused.
    """
    rows = {
        name: _columns(evaluation) if evaluation.written else {}
        for name, evaluation in evaluations.items()
    }
    if not any(row.get("refused", "0") != "0" for row in rows.values()):
        for row in rows.values():
            row.pop("refused", None)
    return rows


def _columns(evaluation: Evaluation) -> dict[str, str]:
    columns = {evaluation.of: f"{len(evaluation.written)}", "right": f"{evaluation.accuracy:.2%}"}
    if isinstance(evaluation, NumberEvaluation):
        columns |= {
            "lines too": f"{evaluation.lines_accuracy:.2%}",
            "digit errors": f"{evaluation.digit_error_rate:.2%}",
        }
    return columns | {
        "wrong": f"{evaluation.wrong}",
        "refused": f"{sum(outcome.refused for outcome in evaluation.written)}",
        "uncertain": f"{evaluation.uncertain_share:.2%}",
        "wrong of certain": f"{evaluation.wrong_of_certain:.2%}"
        if evaluation.uncertain_share < 1
        else "-",
        "calibration error": f"{evaluation.calibration_error:.2%}",
    }


def summarize(evaluations: Mapping[str, Evaluation]) -> str:
    """One line for each set, or two if it has both digits and images of none."""
    rows = tabulate(evaluations)
    widths = {column: max(9, len(column) + 2) for row in rows.values() for column in row}
    lines = (
        [f"{'set':24}" + "".join(f"{column:>{width}}" for column, width in widths.items())]
        if widths
        else []
    )
    for name, evaluation in evaluations.items():
        if evaluation.written:
            lines.append(
                f"{name:24.24}"
                + "".join(f"{rows[name][column]:>{width}}" for column, width in widths.items())
            )
        if evaluation.others:
            refused = sum(outcome.refused for outcome in evaluation.others)
            also = f", {refused} refused" if refused else ""
            rejected = f"{evaluation.rejected_share:.2%} {REJECTED}{also}"
            lines.append(f"{name:24.24}{len(evaluation.others):9} not {evaluation.of}, {rejected}")
    return "\n".join(lines)


def detail(evaluation: Evaluation) -> str:
    """Accuracy by digit or length, confusion of digits, calibration, and the most confident
    mistakes.
    """
    lines = []
    if evaluation.written:
        shares = evaluation.accuracy_by_group.items()
        lines += [
            f"Right, by {evaluation.by}:",
            "  " + "  ".join(f"{name}: {percent(share)}" for name, share in shares),
            "",
        ]
    if isinstance(evaluation, DigitEvaluation):
        lines += ["Was (down), said (across):", " " * 6 + "".join(f"{name:>6}" for name in NAMES)]
        for name, row in zip(NAMES, evaluation.confusion, strict=True):
            if row.any():
                lines.append(f"{name:>6}" + "".join(f"{count or '.':>6}" for count in row))
        lines.append("")
    lines.append("Confidence and how many of those were right:")
    lines += [
        f"  {bin.confidence:6.1%}  {bin.accuracy:6.1%}  of {bin.answers}"
        for bin in evaluation.bins
        if bin.answers
    ]
    if mistakes := evaluation.mistakes:
        lines += ["", f"The surest of {len(mistakes)} mistakes:"]
        lines += [
            f"  {describe(outcome):46}  {outcome.name}" for outcome in mistakes[:SHOWN_MISTAKES]
        ]
    return "\n".join(lines)


def percent(share: float | None) -> str:
    """A share in percent; a dash if there is none."""
    return "-" if share is None else f"{share:.1%}"


def describe(outcome: Outcome) -> str:
    """One answer in words."""
    was = (
        "no digit"
        if outcome.label is None
        else f"a {outcome.label}"
        if len(outcome.label) == 1
        else outcome.label
    )
    if outcome.said is None:
        verb = "refused:" if outcome.refused else "said"
        return f"was {was}, {verb} {outcome.problem[:60] or 'none'}"
    doubt = " (uncertain)" if outcome.uncertain else ""
    return f"was {was}, said {outcome.said or 'nothing'} with {outcome.confidence:.1%}{doubt}"


def render_html(
    title: str,
    evaluations: Mapping[str, Evaluation],
    pictures: Mapping[str, Sequence[Mistake]],
    overall: Mapping[str, Evaluation] | None = None,
) -> str:
    """Write the page as one file, which contains the pictures and plots.

    Args:
        title: its heading.
        evaluations: one for each set; each gets a section.
        pictures: for each set, the mistakes to show.
        overall: more rows of the table, for several sets together.
    """
    every = {**evaluations, **(overall or {})}
    rows = tabulate(every)
    return load_template("report.html").render(
        title=title,
        evaluations=evaluations,
        every=every,
        rows=rows,
        columns=list(dict.fromkeys(column for row in rows.values() for column in row)),
        of=next((evaluation.of for evaluation in every.values()), ""),
        rejected=REJECTED,
        pictures=pictures,
        names=NAMES,
        reliability=reliability_svg,
        describe=describe,
        percent=percent,
        data_url=data_url,
    )


def reliability_svg(bins: Sequence[Bin]) -> Markup:
    """Draw confidence (across) against accuracy (up). Calibrated answers lie on the diagonal; a
    larger dot stands for more answers.
    """
    side, most = 240, max((bin.answers for bin in bins), default=1) or 1
    parts = [
        f'<svg class="reliability" viewBox="-36 -8 {side + 52} {side + 44}" role="img" '
        f'aria-label="reliability diagram">'
    ]
    for tick in (0, 0.5, 1):
        at = side * tick
        parts.append(f'<text x="-6" y="{side - at + 4}" text-anchor="end">{tick:.0%}</text>')
        parts.append(f'<text x="{at}" y="{side + 16}" text-anchor="middle">{tick:.0%}</text>')
    parts.append(
        f'<path class="axes" d="M0 0V{side}H{side}"/><path class="ideal" d="M0 {side}L{side} 0"/>'
    )
    for bin in bins:
        if bin.answers:
            x, y, radius = (
                side * bin.confidence,
                side * (1 - bin.accuracy),
                2.5 + 6 * (bin.answers / most) ** 0.5,
            )
            label = (
                f"{bin.accuracy:.1%} right of {bin.answers} with {bin.confidence:.1%} on average"
            )
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" '
                f'r="{radius:.1f}"><title>{label}</title></circle>'
            )
    parts.append(
        f'<text x="{side / 2}" y="{side + 32}" text-anchor="middle">confidence</text></svg>'
    )
    return Markup("".join(parts))  # noqa: S704 made of numbers and words of ours alone
