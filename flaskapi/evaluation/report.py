"""An evaluation as text for a terminal, and as one HTML page with its pictures inside."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from flaskapi.digits.decode import decode_image
from flaskapi.digits.encode import contact_sheet, data_url, encode_png
from flaskapi.errors import FlaskapiError
from flaskapi.evaluation.ask import Answered
from flaskapi.evaluation.labelled import LabelledImage
from flaskapi.evaluation.measures import DIGITS, Bin, Evaluation, Outcome

SHOWN_MISTAKES = 10
SHOWN_PICTURES = 200  # on the page, the surest mistakes of each set first

THUMBNAIL_SIDE_PX = 128
THUMBNAIL_OF_PIXELS = 100_000_000


class Picture(NamedTuple):
    """A mistake to look at: two PNG files, what was sent (reduced) and what the network saw; empty where there is none."""

    outcome: Outcome
    sent: bytes
    normalized: bytes


def find_pictures(images: Sequence[LabelledImage], answers: Sequence[Answered]) -> list[Picture]:
    """Give the surest mistakes with what was sent."""
    pairs = [(image, answer) for image, answer in zip(images, answers, strict=True) if not answer.outcome.right]
    pairs.sort(key=lambda pair: -pair[1].outcome.confidence)
    return [Picture(answer.outcome, _thumbnail(image.read()), answer.normalized) for image, answer in pairs[:SHOWN_PICTURES]]


def _thumbnail(data: bytes) -> bytes:
    try:
        return encode_png(decode_image(data, max_pixels=THUMBNAIL_OF_PIXELS, max_side_px=THUMBNAIL_SIDE_PX)[0])
    except FlaskapiError:
        return b""


def draw_mistakes(answers: Sequence[Answered]) -> bytes:
    """Draw the digits that were misread, each over what it was and what was said, as a PNG; empty where there are none."""
    mistakes = [answer for answer in answers if answer.normalized and answer.outcome.label is not None and not answer.outcome.right]
    pairs = [(answer.normalized, f"{answer.outcome.label} > {answer.outcome.digit}") for answer in mistakes]
    return contact_sheet(pairs) if pairs else b""


def summarize(evaluations: Mapping[str, Evaluation]) -> str:
    """One line for each set, or two where it has digits and others."""
    lines = [f"{'set':24}{'digits':>8}{'right':>9}{'wrong':>7}{'uncertain':>11}{'wrong of certain':>18}{'calibration error':>19}"]
    for name, evaluation in evaluations.items():
        if evaluation.digits:
            shares = (evaluation.uncertain_share, evaluation.wrong_of_certain, evaluation.calibration_error)
            line = f"{name:24.24}{len(evaluation.digits):8}{evaluation.accuracy:9.2%}{evaluation.wrong:7}"
            lines.append(line + "".join(f"{share:{width}.2%}" for share, width in zip(shares, (11, 18, 19), strict=True)))
        if evaluation.others:
            rejected = f"{evaluation.rejected_share:.2%} left uncertain or found to be none"
            lines.append(f"{name:24.24}{len(evaluation.others):8} not digits, {rejected}")
    return "\n".join(lines)


def detail(evaluation: Evaluation) -> str:
    """Accuracy by digit, confusion, calibration and the surest mistakes."""
    names = [*map(str, range(DIGITS)), "none"]
    counts = evaluation.confusion
    lines = ["Right, by digit:", "  " + "  ".join(f"{digit}: {share:.1%}" for digit, share in enumerate(evaluation.accuracy_by_digit)), ""]
    lines += ["Was (down), said (across):", " " * 6 + "".join(f"{name:>6}" for name in names)]
    lines += [f"{name:>6}" + "".join(f"{count or '.':>6}" for count in row) for name, row in zip(names, counts, strict=True) if row.any()]
    lines += ["", "Confidence and how many of those were right:"]
    lines += [f"  {bin.confidence:6.1%}  {bin.accuracy:6.1%}  of {bin.answers}" for bin in evaluation.bins if bin.answers]
    if mistakes := evaluation.mistakes:
        lines += ["", f"The surest of {len(mistakes)} mistakes:"]
        lines += [f"  {describe(outcome):48}{outcome.name}" for outcome in mistakes[:SHOWN_MISTAKES]]
    return "\n".join(lines)


def describe(outcome: Outcome) -> str:
    """One answer in words."""
    was = "no digit" if outcome.label is None else f"a {outcome.label}"
    said = outcome.problem[:60] or "none" if outcome.digit is None else f"{outcome.digit} with {outcome.confidence:.1%}"
    return f"was {was}, said {said}{' (uncertain)' if outcome.digit is not None and outcome.uncertain else ''}"


def render_html(title: str, evaluations: Mapping[str, Evaluation], pictures: Mapping[str, Sequence[Picture]]) -> str:
    """The page. It needs nothing beside itself: pictures and plots are inside."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flaskapi.evaluation", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        title=title,
        evaluations=evaluations,
        pictures=pictures,
        names=[*map(str, range(DIGITS)), "none"],
        reliability=reliability_svg,
        describe=describe,
        data_url=data_url,
    )


def reliability_svg(bins: Sequence[Bin]) -> Markup:
    """Draw confidence (across) against accuracy (up); what is calibrated lies on the diagonal, larger dots stand for more answers."""
    side, most = 240, max((bin.answers for bin in bins), default=1) or 1
    parts = [f'<svg class="reliability" viewBox="-36 -8 {side + 52} {side + 44}" role="img" aria-label="reliability diagram">']
    for tick in (0, 0.5, 1):
        at = side * tick
        parts.append(f'<text x="-6" y="{side - at + 4}" text-anchor="end">{tick:.0%}</text>')
        parts.append(f'<text x="{at}" y="{side + 16}" text-anchor="middle">{tick:.0%}</text>')
    parts.append(f'<path class="axes" d="M0 0V{side}H{side}"/><path class="ideal" d="M0 {side}L{side} 0"/>')
    for bin in bins:
        if bin.answers:
            x, y, radius = side * bin.confidence, side * (1 - bin.accuracy), 2.5 + 6 * (bin.answers / most) ** 0.5
            label = f"{bin.accuracy:.1%} right of {bin.answers} with {bin.confidence:.1%} on average"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{label}</title></circle>')
    parts.append(f'<text x="{side / 2}" y="{side + 32}" text-anchor="middle">confidence</text></svg>')
    return Markup("".join(parts))
