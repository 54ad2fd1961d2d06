"""From the bytes of a larger image to the number that is written in it: the order of the steps."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from flaskapi.digits import Box, Image, Ink
from flaskapi.digits.decode import Layout, read_layout, turn_box
from flaskapi.digits.ink import find_ink
from flaskapi.digits.normalize import normalize_ink
from flaskapi.digits.page import (
    READ_HEIGHT_PX,
    Edges,
    Page,
    cut_digit,
    fit_scale,
    lift_page,
    scale_page,
)
from flaskapi.errors import ModelUnavailableError, NoDigitFoundError
from flaskapi.reading.candidates import Candidate, arrange_lines, find_candidates
from flaskapi.reading.digit import STROKE, Classifier, look_at
from flaskapi.reading.readings import ANY, Reading, best_readings, weigh_readings
from flaskapi.reading.second_look import look_twice

Floats = npt.NDArray[np.float32]

LIKELY = (
    0.3  # presence from which a candidate tells how high digits are, and is given to the classifier
)
SAME_SCALE = (
    0.1  # a second look at a page that is no larger by more than that would show nothing new
)
# Of digits in what the detector reads; with others it looks again at another scale.
RIGHT_HEIGHT_PX = (24, 42)
HIGHEST_PX = (
    48  # a 1 before small zeros may be that high, not more: the detector has learned up to 52
)
# Of the two opinions on which digit it is, as exponents.
DETECTOR_WEIGHT, CLASSIFIER_WEIGHT = (0.8, 0.3)
FEW = 3  # so many candidates or fewer may be one digit in pieces
# A reading with less confidence is looked at again, narrower and larger; 0.99 saved no more, and
# took longer.
SURE = 0.95
# Across and down. Of all pairs of ten such looks this one saved most on strings and pages of
# held-out digits: 69 of 791 misread numbers.
STRETCHES = (0.87, 1.0), (1.2, 1.2)
WEIGHED = 5  # readings of each look
LIKELY_ONE = 0.5  # the classifier's share for what may be one digit
DOUBTED_BELOW = 0.9  # the detector's own share for several digits: they are what it is surer of


class Detector(Protocol):
    """A loaded model that finds digits in a larger picture."""

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the model: its version, data and training."""

    def detect(self, page: Floats) -> Floats:
        """Look over a page.

        Args:
            page: `float32 (height, width)` in [0, 1], 1 the ink; both sides multiples of 16, digits
                18 to 52 pixels high.

        Returns:
            `float32 (height / 4, width / 2, 15)`; see `find_candidates`.

        Raises:
            ModelUnavailableError: there is no model; the text says why.
        """


class NumberDigit(NamedTuple):
    """One digit of a number; its box is in pixels of the image that was sent, upright."""

    digit: int
    confidence: float
    uncertain: bool
    box: Box


class Alternative(NamedTuple):
    """Another way to read the number."""

    number: str
    confidence: float


class NumberPrediction(NamedTuple):
    """The answer for a number, in plain Python values; `number` is all `lines` together."""

    number: str
    confidence: float
    uncertain: bool
    lines: list[str]
    digits: list[NumberDigit]
    model: str
    generation: int
    alternatives: list[Alternative]


class _Seen(NamedTuple):
    """One way of looking at a picture: candidates, by lines in reading order, and what each digit's
    probability is.
    """

    candidates: list[Candidate]
    lines: list[list[int]]
    shares: npt.NDArray[np.float64]  # `(n, 10)`, of each digit if there is one
    page: Page
    scale: float | None = (
        # At which the detector looked at the page; None where the picture was taken for one digit.
        None
    )
    is_stored: bool = False  # looked at as it is stored, where EXIF says that it is turned

    @property
    def order(self) -> list[int]:
        return [place for line in self.lines for place in line]


def predict_number(
    image: bytes,
    classifier: Classifier,
    detector: Detector,
    *,
    max_pixels: int,
    uncertain_below: float,
    pattern: str | None = None,
    alternatives: int = 0,
) -> NumberPrediction:
    """Read the number in an image file.

    Args:
        image: a whole image file.
        max_pixels: see `decode_image`.
        uncertain_below: an answer with less confidence than this is marked `uncertain`.
        pattern: what the caller knows: one sign for each digit, `d` for any: only numbers that fit
            are given, where any fits.
        alternatives: how many other readings to give, the likeliest first.

    Raises:
        FlaskapiError: one of the kinds that `predict_digit` names.
    """

    def see(view: Image, is_stored: bool) -> _Seen:
        return _see(view, classifier, detector, pattern)._replace(is_stored=is_stored)

    def look() -> tuple[_Seen, list[Reading], bool]:
        views = look_at(image, see, max_pixels=max_pixels)
        seen, readings, is_sure = _choose(views, pattern, alternatives + 1, uncertain_below)
        if readings[0].confidence >= SURE or seen.scale is None:
            return seen, readings, is_sure
        again = (
            _look_again(seen, seen.scale, stretch, classifier, detector) for stretch in STRETCHES
        )
        return _weigh([seen, *again], pattern, alternatives + 1, uncertain_below)

    version = classifier.version
    seen, readings, is_sure = look()
    if (
        classifier.version != version
    ):  # it broke and another took its place: one answers for all that there is to see
        seen, readings, is_sure = look()
    best = readings[0]
    layout = read_layout(image)
    choices = dict(zip(seen.order, best.choices, strict=True))
    digits = []
    for place, digit in choices.items():
        if digit is not None:
            confidence = round(
                seen.candidates[place].presence * float(seen.shares[place, digit]), 4
            )
            box = _box(seen.candidates[place].edges, seen.page, layout)
            box = turn_box(box, layout) if seen.is_stored else box
            digits.append(NumberDigit(digit, confidence, confidence < uncertain_below, box))
    lines = [
        "".join(str(choices[place]) for place in line if choices[place] is not None)
        for line in seen.lines
    ]
    others = [Alternative(reading.number, reading.confidence) for reading in readings[1:]]
    model = classifier.version, classifier.generation
    return NumberPrediction(
        best.number, best.confidence, not is_sure, [*filter(None, lines)], digits, *model, others
    )


def _choose(
    views: list[_Seen], pattern: str | None, count: int, uncertain_below: float
) -> tuple[_Seen, list[Reading], bool]:
    """Choose between what EXIF tells, which comes first, and the picture as it is stored, as
    `predict_digit` does; and say if it is sure.

    Raises:
        NoDigitFoundError: there is a number in none of them.
    """
    found = []
    for seen in views:
        readings, misfits = _read(seen, pattern, count)
        if readings[0].number:
            found.append(
                (seen, readings, readings[0].confidence >= uncertain_below and not misfits)
            )
    if not found:
        raise NoDigitFoundError("No digit was found: what is there does not look like digits.")
    told, surer = found[0], max(found, key=lambda one: _evidence(one[0]))
    if all(is_sure for _, _, is_sure in found) and surer[1][0].number != told[1][0].number:
        return (*told[:2], False)
    return surer


def _read(seen: _Seen, pattern: str | None, count: int) -> tuple[list[Reading], bool]:
    return best_readings(
        [seen.candidates[place].presence for place in seen.order],
        seen.shares[seen.order],
        pattern,
        count,
    )


def _weigh(
    looks: list[_Seen], pattern: str | None, count: int, uncertain_below: float
) -> tuple[_Seen, list[Reading], bool]:
    """Choose between several looks at one page by what all of them read; those that fit the
    pattern, where any does.
    """
    read = [_read(seen, pattern, max(count, WEIGHED)) for seen in looks]
    misfits = all(misfits for _, misfits in read)
    weighed = weigh_readings(
        [readings if misfits or not is_misfit else [] for readings, is_misfit in read], count
    )
    (place, best), readings = weighed[0], [reading for _, reading in weighed]
    return looks[place], readings, best.confidence >= uncertain_below and not misfits


def _box(edges: Edges, page: Page, layout: Layout) -> Box:
    """The part of a box on the page that lies in the picture, in whole pixels of what was sent."""
    height, width = page.ink.shape
    scale = max(layout.width, layout.height) / max(width, height)
    left, right = (min(max(edge, 0), width) * scale for edge in edges[::2])
    top, bottom = (min(max(edge, 0), height) * scale for edge in edges[1::2])
    x, y = math.floor(left), math.floor(top)
    return Box(x, y, max(1, math.ceil(right) - x), max(1, math.ceil(bottom) - y))


def _edges(box: Box, scale: float) -> Edges:
    return box.x * scale, box.y * scale, (box.x + box.width) * scale, (box.y + box.height) * scale


def _evidence(seen: _Seen) -> float:
    """How much speaks for a way of looking: the digits it shows clearly, less what it shows
    half.
    """
    return sum(
        (2 * candidate.presence - 1) * float(shares.max())
        for candidate, shares in zip(seen.candidates, seen.shares, strict=True)
    )


def _see(view: Image, classifier: Classifier, detector: Detector, pattern: str | None) -> _Seen:
    page = lift_page(view)
    candidates, scale = _detect(page, detector)
    likely = [place for place, candidate in enumerate(candidates) if candidate.presence > LIKELY]
    if len(likely) <= FEW and len(pattern or ANY) == 1 and (whole := _find_one(view)):
        # As `/predict` has it.
        opinion = look_twice(classifier, normalize_ink(whole.pixels).reshape(1, 28, 28, 1)).astype(
            np.float64
        )
        one = Candidate(1.0, opinion[0], _edges(whole.box, max(page.ink.shape) / max(view.shape)))
        found = [candidates[place] for place in likely]
        if _is_one(one, found):
            if (
                len(found) == 1 and opinion.max() < LIKELY_ONE
            ):  # to the classifier it is like no digit: one of the two must be wrong
                opinion = (opinion + found[0].probabilities) / 2
            return _Seen([one], [[0]], opinion, page)
    return _judge(candidates, classifier, page, scale)


def _look_again(
    seen: _Seen,
    scale: float,
    stretch: tuple[float, float],
    classifier: Classifier,
    detector: Detector,
) -> _Seen:
    """Look at a page again, with digits of another width or size."""
    answer = detector.detect(scale_page(seen.page, scale, stretch))
    candidates = find_candidates(
        answer, (scale * stretch[0], scale * stretch[1]), seen.page.part[:2]
    )
    return _judge(candidates, classifier, seen.page, scale)._replace(is_stored=seen.is_stored)


def _judge(candidates: list[Candidate], classifier: Classifier, page: Page, scale: float) -> _Seen:
    """Let the classifier have its say on what the detector found, and put it in order."""
    likely = [place for place, candidate in enumerate(candidates) if candidate.presence > LIKELY]
    shares = np.array([candidate.probabilities for candidate in candidates], np.float64).reshape(
        -1, 10
    )
    if likely:
        images = np.array([cut_digit(page, candidates[place].edges) for place in likely])
        shares[likely] = _agree(
            shares[likely],
            classifier.probabilities(images.reshape(-1, 28, 28, 1)).astype(np.float64),
        )
    lines = arrange_lines(
        [one.edges for one in candidates], [one.presence > LIKELY for one in candidates]
    )
    return _Seen(candidates, lines, shares, page, scale)


def _detect(page: Page, detector: Detector) -> tuple[list[Candidate], float]:
    """Find candidates, and the scale for it: where digits turn out to be much higher or lower than
    guessed, look again at the right one.
    """
    scale = fit_scale(page, READ_HEIGHT_PX / page.digit_px)
    candidates = find_candidates(detector.detect(scale_page(page, scale)), scale, page.part[:2])
    heights = [
        candidate.edges[3] - candidate.edges[1]
        for candidate in candidates
        if candidate.presence > LIKELY
    ]
    height = float(np.median(heights)) * scale if heights else READ_HEIGHT_PX
    better = scale * READ_HEIGHT_PX / height
    if better > scale:
        better = max(scale, min(better, HIGHEST_PX / max(heights)))
    better = fit_scale(page, better)
    if RIGHT_HEIGHT_PX[0] < height < RIGHT_HEIGHT_PX[1] or abs(better / scale - 1) < SAME_SCALE:
        return candidates, scale
    return find_candidates(detector.detect(scale_page(page, better)), better, page.part[:2]), better


def _find_one(view: Image) -> Ink | None:
    """What `/predict` would read."""
    with contextlib.suppress(NoDigitFoundError):
        return find_ink(view)
    return None


def _is_one(one: Candidate, likely: Sequence[Candidate]) -> bool:
    """Is the picture one digit, perhaps in pieces?

    It is where all candidates are within it and there is one, or the classifier is surer of it than
    they are, or, where there is none, sure enough.
    """
    left, top, right, bottom = one.edges
    for candidate in likely:
        x, y = (
            (candidate.edges[0] + candidate.edges[2]) / 2,
            (candidate.edges[1] + candidate.edges[3]) / 2,
        )
        if not (left <= x <= right and top <= y <= bottom):
            return False
    sure = float(one.probabilities.max())
    if len(likely) < 2:
        return bool(likely) or sure > LIKELY_ONE
    theirs = math.prod(
        candidate.presence * float(candidate.probabilities.max()) for candidate in likely
    )
    return theirs < min(sure, DOUBTED_BELOW)


def _agree(
    ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Weigh two opinions on which digits they are, `(n, 10)` each."""
    both = np.maximum(ours, 1e-6) ** DETECTOR_WEIGHT * np.maximum(theirs, 1e-3) ** CLASSIFIER_WEIGHT
    return np.asarray(both / both.sum(axis=1, keepdims=True))


def warm_up(classifier: Classifier, detector: Detector) -> None:
    """Take every step of a number once, as `recognition.warm_up` does of a digit."""
    with contextlib.suppress(ModelUnavailableError, NoDigitFoundError):
        predict_number(STROKE, classifier, detector, max_pixels=96 * 96, uncertain_below=0)
