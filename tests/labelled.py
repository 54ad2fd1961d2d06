"""Drawn digits in a store, with what people say that they are."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import cv2
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from fakes import STROKES, encode, make_submission

from flaskapi.digits.encode import to_bytes
from flaskapi.digits.normalize import normalize_digit
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.tables import labels

Strokes = dict[str, list[str]]

# Another hand: a 0 with a stroke through it, a 4 whose lower half is closed, a 9 with a loop below,
# a 1 with a long upstroke and a foot.
OTHER_HAND: Strokes = STROKES | {
    "0": [*STROKES["0"], "1.15,-0.1 -0.15,1.1"],
    "1": ["-0.9,0.75 0.6,0", "0.6,0 0.5,1", "-0.2,1 1.2,1"],
    "2": ["0,0.2 0.3,0 0.9,0 1,0.3 0.3,0.95 0,0.9 0.1,0.7 0.4,0.8 0.7,1.05 1.1,0.95"],
    "4": ["0.3,0 0,0.7 0.2,1.05 0.8,1.05 0.9,0.7 0.1,0.65"],
    "6": ["0.2,0 0.15,1", "0.15,0.55 0.6,0.45 1,0.6 0.95,0.95 0.5,1.05 0.15,0.95"],
    "7": ["0,0.2 0.05,0 1,0", "1,0 0.6,0.5 0.5,1", "0.15,0.5 1.0,0.5"],
    "9": [
        "0.9,0.1 0.4,-0.1 0,0.2 0.3,0.5 0.9,0.4",
        "0.9,0.05 0.9,0.9 0.5,1.1 0.05,0.9 0.3,0.75 0.9,0.7",
    ],
}
OTHER_HAND_SLANT, OTHER_HAND_TURN = -0.5, -0.3  # it leans to the left; radians


def write_digit(
    digit: int,
    rng: np.random.Generator,
    strokes: Strokes = STROKES,
    *,
    slant: float = 0,
    turn: float = 0,
) -> npt.NDArray[np.uint8]:
    """Write a digit with a hand that is never twice the same, `uint8 (128, 128)`, dark on light.

    Args:
        slant: how far the top leans to the right, of the height.
        turn: radians.
    """
    image, height = np.zeros((128, 128), np.uint8), 64
    slant, turn = slant + rng.normal(0, 0.08), turn + rng.normal(0, 0.06)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    pen = int(rng.integers(4, 8))
    for stroke in strokes[str(digit)]:
        way = np.array([[float(part) for part in corner.split(",")] for corner in stroke.split()])
        way += rng.normal(0, 0.04, way.shape)
        for _ in range(3 if len(way) > 2 else 0):  # cuts corners until they are round (Chaikin)
            cut = np.stack(
                [0.75 * way[:-1] + 0.25 * way[1:], 0.25 * way[:-1] + 0.75 * way[1:]], axis=1
            ).reshape(-1, 2)
            way = np.concatenate([way[:1], cut, way[-1:]])
        way = (way - 0.5) * [(0.33 if digit == 1 else 0.6) * height, height]
        way[:, 0] -= slant * way[:, 1]
        cv2.polylines(
            image,
            [np.rint(16 * (way @ rotation + 64)).astype(np.int32)],
            False,
            255,
            pen,
            cv2.LINE_AA,
            4,
        )
    return 255 - image


def write_otherwise(digit: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Write a digit with the other hand."""
    return write_digit(digit, rng, OTHER_HAND, slant=OTHER_HAND_SLANT, turn=OTHER_HAND_TURN)


def normalize(images: Iterable[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """What the network sees of images, in MNIST's form: `uint8 (n, 28, 28)`, 255 the ink."""
    return np.stack(
        [np.rint(255 * normalize_digit(image).pixels).astype(np.uint8) for image in images]
    )


class Sent(NamedTuple):
    """A submission, and the digit that it really shows."""

    id: UUID
    digit: int


def as_sent(images: Iterable[npt.NDArray[np.uint8]]) -> list[Submission]:
    """What is kept of images that are sent to `/predict`."""
    return [
        make_submission(image=encode(image), normalized=to_bytes(normalize_digit(image).pixels))
        for image in images
    ]


def send(
    store: Store, images: Iterable[npt.NDArray[np.uint8]], digits: Sequence[int]
) -> list[Sent]:
    """Keep images as if they had been sent to `/predict`."""
    kept = as_sent(images)
    store.record(kept)
    return [Sent(one.id, digit) for one, digit in zip(kept, digits, strict=True)]


def say(
    store: Store, said: Iterable[tuple[UUID, int | str | None]], client: str | None = None
) -> None:
    """Label submissions, as an operator or as a sender of this name."""
    rows = [
        {
            "id": new_id(),
            "submission_id": id,
            "labelled_at": datetime.now(UTC),
            "label": None if label is None else str(label),
            "source": "sender" if client else "operator",
            "client": hashlib.sha256(client.encode()).digest() if client else None,
        }
        for id, label in said
    ]
    store.run(lambda connection: connection.execute(sa.insert(labels), rows))
