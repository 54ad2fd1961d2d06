"""Stand-ins that are simple enough to know their answers, and drawn digits to send."""

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image


class FixedClassifier:
    """Answers `digit` with `confidence` to every image; the rest of the probability goes to the next digit.

    `batches` holds what it was asked.
    """

    version = "2026-01-01-00000000"

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
        answer = np.zeros((page.shape[0] // 4, page.shape[1] // 4, 15), np.float32)
        answer[..., 0], answer[..., 1 + self._digit] = -9, 9
        _, _, stats, _ = cv2.connectedComponentsWithStats((page > 0.5).astype(np.uint8))
        for x, y, width, height, _ in stats[1:] / 4:
            row, column = int(y + height / 2), int(x + width / 2)
            answer[row, column, 0] = self._presence
            answer[row, column, 11:] = x + width / 2 - column - 0.5, y + height / 2 - row - 0.5, np.log(width), np.log(height)
        return answer


def draw_digit(digit: int, *, side: int = 280, thickness: int | None = None, dark_on_light: bool = True) -> npt.NDArray[np.uint8]:
    """Draw a digit with a round pen in the middle of a square, `uint8 (side, side)`."""
    scale, pen = side / 40, thickness or max(1, side // 14)
    (width, height), _ = cv2.getTextSize(str(digit), cv2.FONT_HERSHEY_SIMPLEX, scale, pen)
    image = np.zeros((side, side), np.uint8)
    cv2.putText(image, str(digit), ((side - width) // 2, (side + height) // 2), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, pen, cv2.LINE_AA)
    return 255 - image if dark_on_light else image


def encode(image: npt.NDArray[np.uint8] | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """Encode pixels as an image file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, form, **options)
    return buffer.getvalue()
