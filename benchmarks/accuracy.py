"""How many digits come back right through `/predict`: MNIST's test images sent as files, and any labelled folders."""

import csv
import tempfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from flask.testing import FlaskClient

from flaskapi import create_app
from flaskapi.training.dataset import load_dataset
from tests.fakes import encode


def main(mnist: Path | None, folders: list[Path]) -> None:
    """Print the errors on each set."""
    with tempfile.TemporaryDirectory() as instance:
        app = create_app({"INSTANCE_PATH": instance})
        client = app.test_client()
        if mnist is not None or not folders:
            data = load_dataset(mnist)
            batch = data.test_images[..., np.newaxis].astype(np.float32) / 255
            probabilities = app.extensions["flaskapi"].classifier.probabilities
            said = np.concatenate([probabilities(batch[start : start + 500]) for start in range(0, len(batch), 500)]).argmax(axis=1)
            print(f"{'MNIST test, as arrays':44}{int((said != data.test_labels).sum()):6} wrong of {len(batch)}")
            _report("MNIST test, as PNG", client, ((encode(image), int(label)) for image, label in zip(*data[2:], strict=True)))
            large = ((_dark_on_light(image), int(label)) for image, label in zip(*data[2:], strict=True))
            _report("MNIST test, as 280x280 JPEG, dark on light", client, large)
        for folder in folders:
            with (folder / "labels.csv").open(newline="") as file:
                rows = [(folder / row["file"], int(row["label"])) for row in csv.DictReader(file)]
            _report(folder.name, client, ((path.read_bytes(), label) for path, label in rows))


def _dark_on_light(image: np.ndarray) -> bytes:
    return encode(255 - cv2.resize(image, (280, 280), interpolation=cv2.INTER_LINEAR), "JPEG", quality=90)


def _report(name: str, client: FlaskClient, images: Iterable[tuple[bytes, int]]) -> None:
    outcomes = []
    for data, label in images:
        answer = client.post("/predict", data=data, content_type="application/octet-stream").get_json(force=True)
        outcomes.append(answer.get("digit") == label)
    print(f"{name:44}{outcomes.count(False):6} wrong of {len(outcomes)}   {sum(outcomes) / len(outcomes):8.2%} right", flush=True)
