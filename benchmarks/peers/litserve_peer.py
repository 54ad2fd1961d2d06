"""A peer: LitServe, by its documentation ("Deploy a model", with a file as the request)."""

import argparse
from pathlib import Path

import litserve
import numpy as np
import onnxruntime
from fastapi import UploadFile
from PIL import Image

MODEL = Path(__file__).resolve().parents[2] / "models" / "my_model.onnx"


class Digits(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(MODEL, options)
        (self.source,) = self.session.get_inputs()

    def decode_request(self, request: UploadFile):
        image = Image.open(request.file).convert("L").resize((28, 28))
        pixels = np.asarray(image, np.float32) / 255
        return pixels.reshape(1, *self.source.shape[1:])

    def predict(self, batch):
        return self.session.run(None, {self.source.name: batch})[0]

    def encode_response(self, output):
        return {"digit": int(output.argmax())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    server = litserve.LitServer(Digits(), accelerator="cpu", workers_per_device=2)
    server.run(
        host="127.0.0.1",
        port=parser.parse_args().port,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
