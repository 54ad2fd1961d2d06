"""The limit: a Flask view that reads the upload and answers. No service in Flask under this Apache can be faster."""

from flask import Flask, jsonify, request

application = Flask(__name__)


@application.post("/predict")
def predict():
    return jsonify(digit=7, size=len(request.files["file"].read()))


@application.get("/health/live")
def live():
    return jsonify(status="live")
