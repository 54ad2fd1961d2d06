"""A peer: BentoML, by its documentation ("Create online API Services"), with an image as input."""

from __future__ import annotations

from pathlib import Path

import bentoml
import numpy as np
import onnxruntime
from PIL import Image

MODEL = Path(__file__).resolve().parents[2] / "models" / "my_model.onnx"


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Digits:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(MODEL, options)
        (self.source,) = self.session.get_inputs()

    @bentoml.api(route="/predict")
    def predict(self, file: Image.Image) -> dict[str, int]:
        pixels = np.asarray(file.convert("L").resize((28, 28)), np.float32) / 255
        batch = pixels.reshape(1, *self.source.shape[1:])
        return {"digit": int(self.session.run(None, {self.source.name: batch})[0].argmax())}
