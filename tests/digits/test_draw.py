import cv2
import numpy as np
import pytest

from flaskapi.digits import Box, Image
from flaskapi.digits.draw import FoundBox, draw_found

PAGE = np.full((100, 200), 255, np.uint8)
BOX = Box(50, 30, 40, 60)


def draw(confidence: float, *, page: Image = PAGE) -> Image:
    found = [FoundBox(7, confidence, BOX)]
    data = draw_found(page, found, uncertain_below=0.95, suffix=".png")
    drawn: Image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return drawn


def test_a_box_is_green_where_it_is_certain_and_redder_the_less_it_is() -> None:
    corner = BOX.y, BOX.x + 20
    certain, barely, little, none = (draw(share)[corner] for share in (0.95, 0.94, 0.4, 0.0))
    assert certain[1] > certain[2] + 60
    assert barely[1] > little[1] > none[1]
    assert none[2] > none[1] + 60


def test_nothing_but_the_box_and_its_digit_is_drawn() -> None:
    assert PAGE.shape == draw(1).shape[:2]
    changed = np.argwhere((draw(1) != 255).any(axis=2))
    assert (BOX.y + BOX.height + 1, BOX.x + BOX.width + 1) == pytest.approx(
        changed.max(axis=0), abs=1
    )
    assert BOX.x - 1 == pytest.approx(changed.min(axis=0)[1], abs=1)
    assert BOX.y > changed.min(axis=0)[0] + 10


def test_a_box_at_the_edge_is_drawn_as_far_as_there_are_pixels() -> None:
    assert (50, 60, 3) == draw(1, page=PAGE[:50, :60]).shape
