"""From the bytes of a larger image to the number in it: the steps in order."""

import contextlib
import math
from typing import NamedTuple

from flaskapi.digits import Box, Digit
from flaskapi.digits.decode import Layout, turn_box
from flaskapi.digits.page import Edges, Page, cut_digit
from flaskapi.errors import FlaskapiError, ModelUnavailableError, NoDigitFoundError
from flaskapi.reading.checks import READINGS, Check, rank
from flaskapi.reading.digit import STROKE
from flaskapi.reading.fuse import fuse_looks
from flaskapi.reading.looks import (
    STRETCHES,
    Look,
    find_allowed_px,
    look_again,
    look_at,
    look_without_rules,
)
from flaskapi.reading.marks import correct_confidence, find_marks
from flaskapi.reading.predictions import Alternative, NumberDigit, NumberMark, NumberPrediction
from flaskapi.reading.protocols import Classifier, Detector, Limits
from flaskapi.reading.readings import ANY, Reading, best_readings
from flaskapi.reading.views import find_views
from flaskapi.steps import step

# A reading with less confidence is looked at again, narrower and larger; 0.99 corrected no more and
# took longer.
SURE = 0.95
LIKELY_DIGIT = 0.5  # presence above which a candidate counts as a digit that was seen


class NumberQuery(NamedTuple):
    """What a caller knows about the number, and asks for."""

    pattern: str | None = None  # a character for each digit, `d` for any; None: nothing is known
    alternatives: int = 0  # how many other readings to give
    check: Check | None = None  # the rule of the number's check digit

    @property
    def weighed(self) -> int:
        """How many readings are considered."""
        return max(self.alternatives + 1, READINGS if self.check else 0)


ANYTHING = NumberQuery()


class _Read(NamedTuple):
    """The readings of a look, the likeliest first."""

    look: Look
    readings: list[Reading]
    is_sure: bool
    passes: bool | None = None  # whether one passes the check; None: there is no check


def predict_number(
    image: bytes,
    classifier: Classifier,
    detector: Detector,
    limits: Limits,
    wanted: NumberQuery = ANYTHING,
) -> NumberPrediction:
    """Read the number in an image file.

    Args:
        image: a whole image file.
        classifier: says which digit each candidate is.
        detector: finds candidates.
        limits: see `Limits`.
        wanted: restricts the readings to those that fit its pattern, if any fits.

    Raises:
        FlaskapiError: one of the kinds that `predict_digit` names.
    """
    version = classifier.version
    with step("find"):
        found = _read(image, classifier, detector, limits, wanted)
        if classifier.version != version:
            # A version failed, and another took its place: one version answers all looks.
            found = _read(image, classifier, detector, limits, wanted)
        if wanted.check is not None:
            found = _check(found, wanted.check, limits.uncertain_below)
        readings = found.readings[: wanted.alternatives + 1]
        return _conclude(found._replace(readings=readings), classifier, limits.uncertain_below)


def cut_number(
    image: bytes, number: str, classifier: Classifier, detector: Detector, limits: Limits
) -> list[Digit] | None:
    """Cut out the digits of a number that is known, as the classifier sees them.

    Args:
        image: a whole image file.
        number: what it shows, digits alone.
        classifier: see `predict_number`.
        detector: see `predict_number`.
        limits: see `Limits`.

    Returns:
        For each digit `float32 (28, 28)`, 1 the ink; None where they are not all found, or where
        more than one of them, or of what else was seen, must be taken otherwise than it was read.

    Raises:
        ModelUnavailableError: there is no model.
    """
    try:
        found = _read(image, classifier, detector, limits, NumberQuery(number))
    except ModelUnavailableError:
        raise
    except FlaskapiError:  # of the picture
        return None
    look, (best, *_) = found.look, found.readings
    if best.number != number:
        return None
    boxes, corrected = [], 0
    for place, digit in zip(look.order, best.choices, strict=True):
        one = look.candidates[place]
        is_seen = one.presence > LIKELY_DIGIT
        if digit is None:
            corrected += is_seen
            continue
        corrected += not is_seen or int(look.shares[place].argmax()) != digit
        boxes.append(one.edges)
    return None if corrected > 1 else [cut_digit(look.page, box) for box in boxes]


def _check(found: _Read, check: Check, uncertain_below: float) -> _Read:
    """Choose among the readings that pass; if none does, the answer is uncertain."""
    readings, is_passed = rank(found.readings, check)
    is_sure = is_passed and readings[0].confidence >= uncertain_below
    return found._replace(readings=readings, is_sure=is_sure, passes=is_passed)


def _read(
    image: bytes, classifier: Classifier, detector: Detector, limits: Limits, wanted: NumberQuery
) -> _Read:
    """Look, read and choose; if the reading is uncertain, look again and combine all looks."""
    looks = _look(image, classifier, detector, limits, wanted)
    found = _choose(looks, wanted, limits.uncertain_below)
    if found.readings[0].confidence >= SURE or found.look.scale is None:
        return found
    left_px = find_allowed_px(found.look.view) - sum(look.cost_px for look in looks)
    again: list[Look] = []
    for stretch in STRETCHES:
        if found.look.repeated_px * math.prod(stretch) > left_px:
            break
        again.append(look_again(found.look, stretch, classifier, detector))
        left_px -= again[-1].cost_px
    if left_px > 0 and (bare := look_without_rules(found.look, classifier, detector, left_px)):
        with contextlib.suppress(NoDigitFoundError):
            if (sure := _choose([bare], wanted, limits.uncertain_below)).is_sure:
                return sure
        again.append(bare)
    if not again:
        return found
    fused = fuse_looks([found.look, *again])
    with contextlib.suppress(NoDigitFoundError):
        found = _choose([fused], wanted, limits.uncertain_below)
    return found


def _look(
    image: bytes, classifier: Classifier, detector: Detector, limits: Limits, wanted: NumberQuery
) -> list[Look]:
    may_be_one = len(wanted.pattern or ANY) == 1
    for views in find_views(image, limits.max_pixels):
        looks = []
        for view in views:
            most_px = find_allowed_px(view) // len(views)
            try:
                looks.append(
                    look_at(view, classifier, detector, may_be_one=may_be_one, most_px=most_px)
                )
            except NoDigitFoundError as error:
                missing = error
        if looks:
            return looks
    raise missing


def _choose(looks: list[Look], wanted: NumberQuery, uncertain_below: float) -> _Read:
    """Choose between the picture turned by EXIF, which comes first, and the picture as stored.

    Raises:
        NoDigitFoundError: none of them shows a number.
    """
    found = []
    for look in looks:
        readings, misfits = _best(look, wanted.pattern, wanted.weighed)
        if readings[0].number:
            is_sure = readings[0].confidence >= uncertain_below and not misfits
            found.append(_Read(look, readings, is_sure))
    if not found:
        raise NoDigitFoundError("No digit was found: nothing here looks like a digit.")
    told, surer = found[0], max(found, key=lambda one: one.look.evidence)
    if all(one.is_sure for one in found) and surer.readings[0].number != told.readings[0].number:
        return told._replace(is_sure=False)
    return surer


def _best(look: Look, pattern: str | None, count: int) -> tuple[list[Reading], bool]:
    presences = [look.candidates[place].presence for place in look.order]
    return best_readings(presences, look.shares[look.order], pattern, count)


def _conclude(found: _Read, classifier: Classifier, uncertain_below: float) -> NumberPrediction:
    look, (best, *others) = found.look, found.readings
    choices = dict(zip(look.order, best.choices, strict=True))
    layout = look.view.layout

    def place_box(edges: Edges) -> Box:
        box = _box(edges, look.page, layout)
        return turn_box(box, layout) if look.view.is_stored else box

    digits = []
    for place, digit in choices.items():
        if digit is not None:
            candidate, share = look.candidates[place], float(look.shares[place, digit])
            confidence = round(candidate.presence * share, 4)
            box = place_box(candidate.edges)
            digits.append(NumberDigit(digit, confidence, confidence < uncertain_below, box))
    lines = find_marks(
        look.page,
        [
            [
                (digit, look.candidates[place].edges)
                for place in line
                if (digit := choices[place]) is not None
            ]
            for line in look.lines
        ],
    )
    confidence = correct_confidence(best.confidence, lines)
    marks = [
        NumberMark(mark.kind, mark.confidence, place_box(mark.edges))
        for line in lines
        for mark in line.marks
    ]
    return NumberPrediction(
        number=best.number,
        confidence=confidence,
        uncertain=not found.is_sure or confidence < uncertain_below,
        lines=["".join(str(digit) for digit, _ in line.digits) for line in lines],
        digits=digits,
        model=classifier.version,
        generation=classifier.generation,
        alternatives=[Alternative(other.number, other.confidence) for other in others],
        written="\n".join(line.written for line in lines),
        marks=marks,
        groups=[line.groups for line in lines],
        passes=found.passes,
    )


def _box(edges: Edges, page: Page, layout: Layout) -> Box:
    """A box on the page, in whole pixels of the sent picture and within it."""
    height, width = page.ink.shape
    scale = max(layout.width, layout.height) / max(width, height)
    left, right = (min(max(edge, 0), width) * scale for edge in edges[::2])
    top, bottom = (min(max(edge, 0), height) * scale for edge in edges[1::2])
    x, y = math.floor(left), math.floor(top)
    return Box(x, y, max(1, math.ceil(right) - x), max(1, math.ceil(bottom) - y))


def warm_up(classifier: Classifier, detector: Detector) -> None:
    """Take every step of a number once, as `digit.warm_up` does for a digit."""
    with contextlib.suppress(ModelUnavailableError, NoDigitFoundError):
        predict_number(STROKE, classifier, detector, Limits(max_pixels=96 * 96, uncertain_below=0))
