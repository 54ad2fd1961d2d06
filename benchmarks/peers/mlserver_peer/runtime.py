"""A peer: MLServer, by its documentation ("Custom inference runtimes").

It takes numbers, and decodes no picture.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import decode_args

MODEL = Path(__file__).resolve().parents[3] / "models" / "my_model.onnx"


class Digits(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(MODEL, options)
        (self.source,) = self.session.get_inputs()
        return True

    @decode_args
    async def predict(self, pixels: np.ndarray) -> np.ndarray:
        batch = pixels.astype(np.float32).reshape(-1, *self.source.shape[1:])
        return self.session.run(None, {self.source.name: batch})[0].argmax(axis=1)
