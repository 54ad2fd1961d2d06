"""One look at a page: candidates in reading order, with the opinions of both networks."""

import contextlib
import math
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from flaskapi.arrays import Doubles
from flaskapi.digits import Box, Image, Ink
from flaskapi.digits.ink import find_ink
from flaskapi.digits.normalize import normalize_ink
from flaskapi.digits.page import (
    READ_HEIGHT_PX,
    Edges,
    Page,
    cut_digit,
    erase_page_rules,
    fit_scale,
    hold,
    lift_page,
    lift_sheet,
    scale_page,
    show_whole,
)
from flaskapi.errors import NoDigitFoundError
from flaskapi.reading.candidates import Candidate, arrange_lines, find_candidates
from flaskapi.reading.marks import find_slashes
from flaskapi.reading.protocols import Classifier, Detector
from flaskapi.reading.second_look import look_twice
from flaskapi.reading.views import View
from flaskapi.steps import step

# Presence from which a candidate tells how high digits are, and is given to the classifier.
LIKELY = 0.3
# A second look at a page that is no larger by more than that would show nothing new.
SAME_SCALE = 0.1
# Of digits in what the detector reads; with others it looks again at another scale.
RIGHT_HEIGHT_PX = 24, 42
# A 1 before small zeros may be that high, not more: the detector has learned up to 52.
HIGHEST_PX = 48
# Of all looks at one picture, in pixels that the detector sees; time grows with them. Each likely
# candidate takes as long as so many pixels. A large picture took its time when it was decoded.
MOST_SEEN_PX, LARGE_PX, MOST_SEEN_OF_LARGE_PX = 800_000, 4_000_000, 560_000
MOST_SEEN_OF_ONE_PX = 100_000  # of a picture of one digit
CANDIDATE_PX = 1000
DETECTOR_WEIGHT, CLASSIFIER_WEIGHT = 0.8, 0.25  # of the two opinions, as exponents
# Of digits, in pixels of a page; the detector sees from half to one and a half of each.
HEIGHTS_PX, SEARCHED_HEIGHT_PX = (210, 84, 34), 22
ENOUGH = 1.5  # digits: where the first guess of their height shows less, others are tried
FEW = 3  # so many candidates or fewer may be one digit in pieces
# Across and down. Of all pairs of ten such looks this one saved most on strings and pages of
# held-out digits: 69 of 791 misread numbers.
STRETCHES = (0.87, 1.0), (1.2, 1.2)
LIKELY_ONE = 0.5  # the classifier's share for what may be one digit
DOUBTED_BELOW = 0.9  # the detector's own share for several digits: they are what it is surer of


class Look(NamedTuple):
    """What one look at a view shows."""

    candidates: list[Candidate]
    lines: list[list[int]]  # places of candidates, in reading order
    shares: Doubles  # `(n, 10)`, of each digit if there is one
    page: Page
    view: View
    scale: float | None = None  # of what the detector saw; None: the picture shows one digit
    seen_px: int = 0  # in which the time is counted that the look took

    @property
    def repeated_px(self) -> float:
        """The time that the same look would take once more, in pixels."""
        left, top, right, bottom = self.page.part
        area = (right - left) * (bottom - top) * (self.scale or 0) ** 2
        return area + CANDIDATE_PX * sum(one.presence > LIKELY for one in self.candidates)

    @property
    def cost_px(self) -> int:
        """The time that the look took, in pixels."""
        likely = sum(candidate.presence > LIKELY for candidate in self.candidates)
        return self.seen_px + CANDIDATE_PX * likely

    @property
    def order(self) -> list[int]:
        """Places of candidates in reading order."""
        return [place for line in self.lines for place in line]

    @property
    def evidence(self) -> float:
        """How much speaks for this look: the digits it shows clearly, less those it shows half."""
        return sum(
            (2 * candidate.presence - 1) * float(shares.max())
            for candidate, shares in zip(self.candidates, self.shares, strict=True)
        )


def find_allowed_px(view: View) -> int:
    """The time that all looks at a picture may take, in pixels that the detector sees."""
    is_large = view.layout.width * view.layout.height > LARGE_PX
    return MOST_SEEN_OF_LARGE_PX if is_large else MOST_SEEN_PX


def look_at(
    view: View,
    classifier: Classifier,
    detector: Detector,
    *,
    may_be_one: bool,
    most_px: int = MOST_SEEN_PX,
) -> Look:
    """Look at a picture for digits.

    Args:
        view: of the picture.
        classifier: says which digit each candidate is.
        detector: finds candidates.
        may_be_one: the picture may show a single digit, which is read as `/predict` reads it.
        most_px: that the detector may see.

    Raises:
        NoDigitFoundError: nothing stands out from the ground.
        ModelUnavailableError: there is no model.
    """
    page = lift_page(view.pixels)
    candidates, scale, seen_px = _detect(page, detector, most_px)
    if (sheet := lift_sheet(view.pixels)) is not None and seen_px < most_px:
        on_it, its_scale, more_px = _detect(sheet, detector, most_px - seen_px)
        seen_px += more_px
        if _score(on_it) > _score(candidates):
            page, candidates, scale = sheet, on_it, its_scale
    if sum(one.presence for one in candidates if one.presence > LIKELY) < ENOUGH:
        page, candidates, scale, more_px = _search(
            page, candidates, scale, detector, most_px - seen_px
        )
        seen_px += more_px
    likely = [candidate for candidate in candidates if candidate.presence > LIKELY]
    if len(likely) <= FEW and may_be_one and (whole := _find_one(view.pixels)):
        digit = normalize_ink(whole.pixels).reshape(1, 28, 28, 1)
        opinion = look_twice(classifier, digit).astype(np.float64)  # (1, 10)
        edges = _edges(whole.box, max(page.ink.shape) / max(view.pixels.shape))
        one = Candidate(1.0, opinion[0], edges)
        if _is_one(one, likely):
            if len(likely) == 1 and opinion.max() < LIKELY_ONE:
                # To the classifier it is like no digit: one of the two must be wrong.
                opinion = (opinion + likely[0].probabilities) / 2
            return Look([one], [[0]], opinion, page, view)
    return _judge(candidates, classifier, page, view, scale)._replace(seen_px=seen_px)


def see_one(view: View, detector: Detector) -> Candidate | None:
    """Look at a picture of one digit; None where the detector sees none, or several.

    Args:
        view: of the picture.
        detector: finds candidates.

    Raises:
        ModelUnavailableError: there is no detector.
    """
    try:
        candidates, _, _ = _detect(lift_page(view.pixels), detector, MOST_SEEN_OF_ONE_PX)
    except NoDigitFoundError:
        return None
    likely = [one for one in candidates if one.presence > LIKELY]
    return likely[0] if len(likely) == 1 else None


def look_without_rules(
    look: Look, classifier: Classifier, detector: Detector, most_px: int
) -> Look | None:
    """Look at the page of a look without its rules and frames; None where it has none.

    Args:
        look: the first.
        classifier: says which digit each candidate is.
        detector: finds candidates.
        most_px: that the detector may see.
    """
    page = erase_page_rules(look.page)
    if page is None:
        return None
    candidates, scale, seen_px = _detect(page, detector, most_px)
    return _judge(candidates, classifier, page, look.view, scale)._replace(seen_px=seen_px)


def look_again(
    look: Look, stretch: tuple[float, float], classifier: Classifier, detector: Detector
) -> Look:
    """Look at the page of a look again, with digits of another width and height.

    Args:
        look: the first; its `scale` is not None.
        stretch: factors across and down.
        classifier: says which digit each candidate is.
        detector: finds candidates.
    """
    assert look.scale is not None
    scaled = scale_page(look.page, look.scale, stretch)
    answer = detector.detect(scaled)
    scales = look.scale * stretch[0], look.scale * stretch[1]
    candidates = find_candidates(answer, scales, look.page.part[:2])
    again = _judge(candidates, classifier, look.page, look.view, look.scale)
    return again._replace(seen_px=scaled.size)


def _judge(
    candidates: list[Candidate], classifier: Classifier, page: Page, view: View, scale: float
) -> Look:
    """Classify what the detector found, combine both opinions, and arrange the lines."""
    likely = [place for place, candidate in enumerate(candidates) if candidate.presence > LIKELY]
    opinions = [candidate.probabilities for candidate in candidates]
    shares = np.array(opinions, np.float64).reshape(-1, 10)  # (candidates, 10), also of none
    if likely:
        cut = np.array([cut_digit(page, candidates[place].edges) for place in likely])
        with step("classify"):
            answers = classifier.probabilities(cut.reshape(-1, 28, 28, 1))  # (likely, 10)
        shares[likely] = _agree(shares[likely], answers.astype(np.float64))
    lines = arrange_lines(
        [one.edges for one in candidates], [one.presence > LIKELY for one in candidates]
    )
    return Look(_doubt_slashes(candidates, lines, shares, page), lines, shares, page, view, scale)


def _doubt_slashes(
    candidates: list[Candidate], lines: list[list[int]], shares: Doubles, page: Page
) -> list[Candidate]:
    """Lower the presence of candidates that are slashes rather than 1s."""
    candidates = list(candidates)
    for line in lines:
        of_line = [candidates[place] for place in line]
        slashes = find_slashes(
            page,
            [one.edges for one in of_line],
            [one.presence > LIKELY for one in of_line],
            [int(shares[place].argmax()) == 1 for place in line],
        )
        for at, share in slashes.items():
            one = of_line[at]
            candidates[line[at]] = one._replace(presence=one.presence * (1 - share))
    return candidates


def _detect(page: Page, detector: Detector, most_px: int) -> tuple[list[Candidate], float, int]:
    """Find candidates, the scale for it, and how many pixels the detector saw.

    If the digits are much higher or lower than guessed, the detector looks again.
    """
    scale = fit_scale(page, READ_HEIGHT_PX / page.digit_px, most_px)
    return _detect_at(page, scale, detector, most_px)


def _detect_at(
    page: Page, scale: float, detector: Detector, most_px: int
) -> tuple[list[Candidate], float, int]:
    scaled = scale_page(page, scale)
    candidates = find_candidates(detector.detect(scaled), scale, page.part[:2])
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
        return candidates, scale, scaled.size
    left_px = most_px - scaled.size
    if scaled.size * (better / scale) ** 2 > left_px:
        return candidates, scale, scaled.size
    again = scale_page(page, better)
    candidates = find_candidates(detector.detect(again), better, page.part[:2])
    return candidates, better, scaled.size + again.size


def _search(
    page: Page, candidates: list[Candidate], scale: float, detector: Detector, most_px: int
) -> tuple[Page, list[Candidate], float, int]:
    """Look at the page in several scales, and without its rules, in case the guess was wrong."""
    best, seen_px = (_score(candidates), page, candidates, scale), 0
    bare = erase_page_rules(page)
    for other in [show_whole(page), show_whole(bare)] if bare else [show_whole(page)]:
        for height_px in HEIGHTS_PX if other is not page else ():
            tried = fit_scale(other, SEARCHED_HEIGHT_PX / height_px)
            scaled = scale_page(other, tried)
            if seen_px + scaled.size > most_px:
                break
            seen_px += scaled.size
            found = find_candidates(detector.detect(scaled), tried, other.part[:2])
            best = max(best, (_score(found), other, found, tried), key=itemgetter(0))
    _, page, candidates, scale = best
    edges = [one.edges for one in candidates if one.presence > LIKELY]
    if edges:
        page = hold(page, edges)
        heights = [bottom - top for _, top, _, bottom in edges]
        scale = fit_scale(page, READ_HEIGHT_PX / float(np.median(heights)))
    if scale_page(page, scale).size > most_px - seen_px:
        _, page, candidates, scale = best
        return page, candidates, scale, seen_px
    candidates, scale, more_px = _detect_at(page, scale, detector, most_px - seen_px)
    return page, candidates, scale, seen_px + more_px


def _score(candidates: Sequence[Candidate]) -> float:
    """How many digits are seen clearly, minus those seen half."""
    return sum(
        2 * candidate.presence * float(candidate.probabilities.max()) - 1
        for candidate in candidates
        if candidate.presence > LIKELY
    )


def _find_one(pixels: Image) -> Ink | None:
    """The ink that `/predict` would read."""
    with contextlib.suppress(NoDigitFoundError):
        return find_ink(pixels)
    return None


def _is_one(one: Candidate, likely: Sequence[Candidate]) -> bool:
    """Is the picture one digit, perhaps in pieces?

    All candidates must lie within its ink. Then it is one if there is one candidate, or if the
    classifier is surer of it than the detector of them. Without candidates, the classifier must be
    sure enough.
    """
    left, top, right, bottom = one.edges
    for candidate in likely:
        x = (candidate.edges[0] + candidate.edges[2]) / 2
        y = (candidate.edges[1] + candidate.edges[3]) / 2
        if not (left <= x <= right and top <= y <= bottom):
            return False
    sure = float(one.probabilities.max())
    if len(likely) < 2:
        return bool(likely) or sure > LIKELY_ONE
    theirs = math.prod(
        candidate.presence * float(candidate.probabilities.max()) for candidate in likely
    )
    return theirs < min(sure, DOUBTED_BELOW)


def _agree(ours: Doubles, theirs: Doubles) -> Doubles:
    """Combine two opinions on the digits, `(n, 10)` each, with their weights."""
    both = np.maximum(ours, 1e-6) ** DETECTOR_WEIGHT * np.maximum(theirs, 1e-3) ** CLASSIFIER_WEIGHT
    return np.asarray(both / both.sum(axis=1, keepdims=True))


def _edges(box: Box, scale: float) -> Edges:
    return box.x * scale, box.y * scale, (box.x + box.width) * scale, (box.y + box.height) * scale
