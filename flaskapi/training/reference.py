"""The distribution of the digits that a network learned from, for its card. Digits that are sent
later are compared with it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapi.arrays import Bytes
from flaskapi.digits.likeness import ink_share, stroke_px
from flaskapi.drift import EDGES, to_reference

# Of varied digits, about: 45 % are degraded, 15 % of those made coarse, 60 % of those as if 10 to
# 20 pixels high.
COARSE = 0.04


def describe_digits(images: Bytes, labels: Bytes, *, augmented: bool) -> dict[str, Any]:
    """Count digits by ink share, stroke width and label.

    Their size and contrast in a picture are not counted, since MNIST's authors set them: 20 pixels
    and full contrast. The expected size follows from `augment.py`. The expected contrast is enough,
    since preparing a picture makes the strongest ink 1.

    Args:
        images: `uint8 (n, 28, 28)`, 255 the ink; as they are, not varied.
        labels: `(n,)`, 0 to 9.
        augmented: they are varied while the network learns.
    """
    # All at once take four times the memory.
    pixels = (image.astype(np.float32) / np.float32(255) for image in images)
    shares, strokes = zip(*((ink_share(digit), stroke_px(digit)) for digit in pixels), strict=True)
    values: dict[str, npt.ArrayLike] = {"ink_share": shares, "stroke_px": strokes, "digit": labels}
    places = {
        name: np.searchsorted(np.array(EDGES[name]), np.asarray(found), side="right")
        for name, found in values.items()
    }
    counts: dict[str, list[float]] = {
        name: np.bincount(at, minlength=len(EDGES[name]) + 1).tolist()
        for name, at in places.items()
    }
    coarse = COARSE if augmented else 0.0
    return to_reference(counts | {"size_px": [0, coarse, 1 - coarse], "contrast": [0, 1]})
