"""Pixels in, prepared digits out. Nothing here knows of networks, storage or HTTP.

An image is `uint8 (height, width)`; a prepared digit is `float32 (28, 28)` in [0, 1], 1 the ink, as MNIST was made.
"""

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Digit = npt.NDArray[np.float32]
