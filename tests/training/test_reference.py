import numpy as np
import pytest

from flaskapi.drift import EDGES, find_reference
from flaskapi.training.reference import describe_digits


def test_a_reference_has_the_share_of_the_digits_in_each_bin() -> None:
    """Three bars in 28x28, 20 high: two are 2 wide, 5 % of all, and one 8 wide, 20 %."""
    images = np.zeros((3, 28, 28), np.uint8)
    images[:2, 4:24, 13:15] = 255
    images[2, 4:24, 10:18] = 255
    found = describe_digits(images, np.array([1, 1, 0], np.uint8), augmented=False)
    assert [0.6667, *[0] * 8, 0.3333] == found["ink_share"]["shares"]
    assert [0.6667, *[0] * 8, 0.3333] == found["stroke_px"]["shares"]
    assert [0.3333, 0.6667, *[0] * 8] == found["digit"]["shares"]
    assert "the model's card" == find_reference({"reference": found})[0]


@pytest.mark.parametrize(("augmented", "coarse"), [(True, 0.04), (False, 0.0)])
def test_size_is_expected_as_it_is_varied_and_contrast_to_be_enough(
    augmented: bool, coarse: float
) -> None:
    found = describe_digits(
        np.full((1, 28, 28), 255, np.uint8), np.zeros(1, np.uint8), augmented=augmented
    )
    assert {"edges": list(EDGES["size_px"]), "shares": [0, coarse, 1 - coarse]} == found["size_px"]
    assert [0, 1] == found["contrast"]["shares"]
