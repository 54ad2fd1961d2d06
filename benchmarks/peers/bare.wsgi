"""A peer: ONNX Runtime and a bare resize, without preparation, limits, errors or metrics."""

import sys
from pathlib import Path

import numpy as np
from flask import Flask, jsonify, request
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from flaskapi.serving.classifier import OnnxClassifier  # noqa: E402 the path comes first

application = Flask(__name__)
classifier = OnnxClassifier(ROOT / "models" / "my_model.onnx")


@application.post("/predict")
def predict():
    image = np.asarray(Image.open(request.files["file"]).convert("L").resize((28, 28)), np.float32) / 255
    return jsonify(digit=int(classifier.probabilities(image.reshape(1, 28, 28, 1)).argmax()))


@application.get("/health/live")
def live():
    return jsonify(status="live")
