"""A peer: the way of the old tutorials, Keras in the web process and `model.predict` in the view."""

import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras  # noqa: E402 the environment comes first
import numpy as np  # noqa: E402
from flask import Flask, jsonify, request  # noqa: E402
from PIL import Image  # noqa: E402

application = Flask(__name__)
model = keras.models.load_model(Path(__file__).resolve().parents[2] / "models" / "my_model.h5")


@application.post("/predict")
def predict():
    image = np.asarray(Image.open(request.files["file"]).resize((28, 28)), np.float32) / 255
    return jsonify(digit=int(np.argmax(model.predict(image.reshape(1, 28, 28, 1)))))


@application.get("/health/live")
def live():
    return jsonify(status="live")
