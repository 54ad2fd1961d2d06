"""Stand-ins that are simple enough to know their answers, and drawn digits to send."""

import io
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from flaskapi.submissions import Submission
from flaskapi.submissions.identifiers import new_id


class FixedClassifier:
    """Answers `digit` with `confidence` to every image; the rest of the probability goes to the
    next digit.

    `batches` holds what it was asked.
    """

    version, generation = "2026-01-01-00000000", 0

    def __init__(self, digit: int = 7, confidence: float = 0.9) -> None:
        self._row = np.zeros(10, np.float32)
        self._row[digit], self._row[(digit + 1) % 10] = confidence, 1 - confidence
        self.batches: list[npt.NDArray[np.float32]] = []

    @property
    def card(self) -> dict[str, Any]:
        return {"version": self.version, "network": "fixed"}

    def probabilities(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.batches.append(batch)
        return np.tile(self._row, (len(batch), 1))


class FixedDetector:
    """Finds a `digit` at each connected piece of ink, as sure of it as `presence`, a logit."""

    def __init__(self, digit: int = 7, presence: float = 9.0) -> None:
        self._digit, self._presence = digit, presence

    @property
    def card(self) -> dict[str, Any]:
        return {"version": "2026-01-01-11111111", "network": "fixed"}

    def detect(self, page: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        answer = np.zeros((page.shape[0] // 4, page.shape[1] // 2, 15), np.float32)
        answer[..., 0], answer[..., 1 + self._digit] = -9, 9
        _, _, stats, _ = cv2.connectedComponentsWithStats((page > 0.5).astype(np.uint8))
        for x, y, width, height, _ in stats[1:] / (2, 4, 2, 4, 1):
            row, column = int(y + height / 2), int(x + width / 2)
            answer[row, column, 0] = self._presence
            answer[row, column, 11:] = (
                x + width / 2 - column - 0.5,
                y + height / 2 - row - 0.5,
                np.log(width),
                np.log(height),
            )
        return answer


def draw_digit(
    digit: int, *, side: int = 280, thickness: int | None = None, dark_on_light: bool = True
) -> npt.NDArray[np.uint8]:
    """Draw a digit with a round pen in the middle of a square, `uint8 (side, side)`."""
    scale, pen = side / 40, thickness or max(1, side // 14)
    (width, height), _ = cv2.getTextSize(str(digit), cv2.FONT_HERSHEY_SIMPLEX, scale, pen)
    image = np.zeros((side, side), np.uint8)
    cv2.putText(
        image,
        str(digit),
        ((side - width) // 2, (side + height) // 2),
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        255,
        pen,
        cv2.LINE_AA,
    )
    return 255 - image if dark_on_light else image


def encode(image: npt.NDArray[np.uint8] | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """Encode pixels as an image file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        buffer, form, **options
    )
    return buffer.getvalue()


def make_submission(**changes: Any) -> Submission:
    """A digit that was sent, with other values where they matter."""
    values: dict[str, Any] = {
        "id": new_id(),
        "received_at": datetime.now(UTC),
        "image": encode(draw_digit(7, side=28)),
        "media_type": "image/png",
        "route": "/predict",
        "batch": None,
        "prediction": "7",
        "confidence": 0.9,
        "uncertain": False,
        "model": "2026-01-01-00000000",
        "probabilities": [0.0] * 7 + [0.9, 0.1, 0.0],
        "normalized": bytes(784),
        "lines": None,
        "digits": None,
    }
    return Submission(**values | changes)


# A pen's way through each digit: corners that its strokes keep near to, across and down, from 0 to
# 1.
STROKES = {
    "0": ["0.5,0 0.1,0.1 0,0.5 0.1,0.9 0.5,1 0.9,0.9 1,0.5 0.9,0.1 0.5,0"],
    "1": ["0.6,0 0.4,1"],
    "2": ["0.05,0.25 0.15,0 0.8,-0.05 1,0.3 0.6,0.6 0,1", "0,1 1,0.97"],
    "3": [
        "0.05,0.1 0.5,-0.05 1,0.1 0.9,0.45 0.35,0.48",
        "0.35,0.48 0.95,0.48 1,0.9 0.6,1.05 0,0.9",
    ],
    "4": ["0.2,0 0,0.55", "0,0.55 1,0.5", "0.8,0 0.7,1"],
    "5": ["0.9,0 0.25,0", "0.25,0 0.15,0.42", "0.15,0.42 0.7,0.3 1,0.6 0.9,1 0.4,1.05 0,0.9"],
    "6": ["0.75,0 0.2,0.2 -0.05,0.7 0.1,1.05 0.8,1.1 1,0.7 0.7,0.45 0.05,0.75"],
    "7": ["0,0.05 1,0", "1,0 0.6,0.5 0.35,1"],
    "8": [
        "0.9,0.1 0.4,-0.1 0,0.2 0.4,0.45 1,0.65 0.8,1.05 0.2,1.05 0,0.8 0.4,0.5 0.95,0.3 0.9,0.1"
    ],
    "9": ["0.95,0.2 0.6,-0.1 0,0.1 0.1,0.5 0.7,0.5 0.95,0.2", "0.95,0.2 0.85,1"],
}


def write_digits(
    ink: npt.NDArray[np.uint8],
    digits: str,
    left: float,
    top: float,
    *,
    height: float = 60,
    pen: int = 5,
) -> None:
    """Write digits with a round pen, 255, from left to right; what is not a digit is left out, as a
    space.
    """
    width, apart = 0.55 * height, 0.9 * height
    for place, digit in enumerate(digits):
        for stroke in STROKES.get(digit, []):
            points = np.array(
                [[float(part) for part in corner.split(",")] for corner in stroke.split()]
            )
            for _ in range(
                3 if len(points) > 2 else 0
            ):  # cuts corners until they are round (Chaikin)
                cut = np.stack(
                    [
                        0.75 * points[:-1] + 0.25 * points[1:],
                        0.25 * points[:-1] + 0.75 * points[1:],
                    ],
                    axis=1,
                ).reshape(-1, 2)
                points = np.concatenate([points[:1], cut, points[-1:]])
            way = points * [0.55 * width if digit == "1" else width, height] + [
                left + apart * place,
                top,
            ]
            cv2.polylines(
                ink, [np.rint(16 * way).astype(np.int32)], False, 255, pen, cv2.LINE_AA, 4
            )
