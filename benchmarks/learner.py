"""A service that learns: a store, the versions and their retrainings in a folder, without HTTP."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flaskapi.arrays import Bytes, Floats
from flaskapi.learning.judge import Judgement, ask
from flaskapi.learning.retrain import RetrainingResult, RetrainOrder, promote, retrain
from flaskapi.reading.protocols import Classifier
from flaskapi.submissions.database import Database
from flaskapi.submissions.labels import Said, say_many
from flaskapi.versions.registry import Registry
from tests.fakes import encode, make_submission
from tests.servers import ROOT

MODEL = ROOT / "models" / "my_model.h5"


class Turn(NamedTuple):
    """One retraining, and what it took."""

    done: RetrainingResult
    took_s: float

    @property
    def promoted(self) -> bool:
        """Whether the candidate serves now."""
        return bool(self.done.candidate) and not self.done.reasons

    @property
    def mnist_wrong(self) -> tuple[int, int]:
        """Errors on MNIST's test set, of the model that served and of the candidate."""
        before, after = zip(*self._judgement.mnist, strict=True)
        return sum(not one.right for one in before), sum(not one.right for one in after)

    def describe(self) -> dict[str, str]:
        """The columns of a table."""
        judgement = self._judgement
        return {
            "labels": str(len(self.done.chosen.learned)),
            "suspicious": str(len(self.done.chosen.suspicious)),
            "better, worse": f"{len(judgement.better)}, {len(judgement.worse)}",
            "p": f"{judgement.p_value:.2g} of {judgement.needed:.2g}",
            "promoted": "yes" if self.promoted else "no: " + " ".join(self.done.reasons),
            "MNIST, wrong": " -> ".join(map(str, self.mnist_wrong)),
            "s": f"{self.took_s:.0f}",
        }

    @property
    def _judgement(self) -> Judgement:
        assert self.done.judgement
        return self.done.judgement


class Learner:
    """Takes labelled images and retrains.

    Args:
        folder: has its store and its versions; what is there stays.
        data: where MNIST lies.
    """

    def __init__(self, folder: Path, data: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._data = data
        self._store = Database(f"sqlite:///{folder}/submissions.db", "process")
        self._registry = Registry(folder / "versions", MODEL, folder / "cache")

    def send(self, images: Bytes, labels: Iterable[int], senders: Iterable[str] = ()) -> None:
        """Keep images with their labels; identical images count once.

        Args:
            images: as the network sees them, `uint8 (n, 28, 28)`, 255 is ink.
            labels: what they are said to be.
            senders: the addresses that say so; without any, an operator says it twice.
        """
        kept = [
            make_submission(image=encode(255 - image), normalized=image.tobytes())
            for image in images
        ]
        self._store.record(kept)
        said = [Said(None, "sender", client=name.encode()) for name in senders]
        for one in said or [Said(None, "operator")] * 2:
            say_many(
                self._store,
                [
                    (image.id, one._replace(label=str(label)))
                    for image, label in zip(kept, labels, strict=True)
                ],
            )

    def turn(self) -> Turn:
        """Retrain, and promote the candidate if it may serve."""
        os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
        started_s = time.perf_counter()
        done = retrain(
            self._store, self._registry, RetrainOrder(self._data), lambda share, said: None
        )
        if done.candidate and not done.reasons:
            promote(self._registry, done, "benchmark")
        return Turn(done, time.perf_counter() - started_s)

    @property
    def serving(self) -> Classifier:
        """The model that serves."""
        return self._registry.load(self._registry.read().version)

    def load(self, version: str | None) -> Classifier:
        """A version, or that which serves."""
        return self._registry.load(version) if version else self.serving


def count_misread(model: Classifier, images: Bytes, labels: Bytes) -> int:
    """How many images a model reads as something else."""
    return int((ask(model, images).argmax(axis=1) != labels).sum())


def find_margin(answers: Floats, labels: Bytes) -> Floats:
    """How much surer a model is of the label than of the next digit, `(n,)`; below 0 it misreads
    the image.
    """
    of_label = answers[np.arange(len(labels)), labels]
    others = answers.copy()
    others[np.arange(len(labels)), labels] = -1
    return np.asarray(of_label - others.max(axis=1))
