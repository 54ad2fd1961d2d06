"""The interfaces that the domain needs: a classifier, a detector, and limits."""

from typing import Any, NamedTuple, Protocol

from flaskapi.arrays import Floats

Batch = Floats
Probabilities = Floats


class Limits(NamedTuple):
    """How large an image may be, and how certain an answer must be."""

    max_pixels: int = 25_000_000  # of a picture; larger ones are refused before they are decoded
    uncertain_below: float = 0.95  # an answer with less confidence is marked `uncertain`


class Classifier(Protocol):
    """A loaded model that classifies digits."""

    @property
    def card(self) -> dict[str, Any]:
        """The model card: version, data, training and accuracy."""

    @property
    def version(self) -> str:
        """The model's name in every prediction, such as `2026-11-22-1a2b3c4d`."""

    @property
    def generation(self) -> int:
        """The number of promotions and rollbacks so far."""

    def probabilities(self, batch: Batch) -> Probabilities:
        """Classify `float32 (n, 28, 28, 1)` in [0, 1], 1 is ink, as `float32 (n, 10)` whose rows
        sum to 1.

        Raises:
            ModelUnavailableError: there is no model; the text says why.
        """


class Detector(Protocol):
    """A loaded model that finds digits in a larger picture."""

    @property
    def card(self) -> dict[str, Any]:
        """The model card: version, data and training."""

    def detect(self, page: Floats) -> Floats:
        """Find digits on a page.

        Args:
            page: `float32 (height, width)` in [0, 1], 1 is ink; both sides multiples of 16, digits
                18 to 52 pixels high.

        Returns:
            `float32 (height / 4, width / 2, 15)`; see `find_candidates`.

        Raises:
            ModelUnavailableError: there is no model; the text says why.
        """
