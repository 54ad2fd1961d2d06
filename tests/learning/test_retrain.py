"""Whole retrainings, with the shipped model: what makes no better model does not get one to serve,
and a failure leaves it alone.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import encode, make_submission, write_digits
from labelled import Sent, normalize, say, send, write_digit, write_otherwise
from trainings import compile_here

from flaskapi.errors import VersionError
from flaskapi.learning.advise import LabelAdvice
from flaskapi.learning.choose import Chosen
from flaskapi.learning.judge import ask
from flaskapi.learning.retrain import (
    NOTHING_KEPT,
    RetrainingResult,
    RetrainOrder,
    promote,
    retrain,
)
from flaskapi.serving.classifier import OnnxClassifier
from flaskapi.serving.detector import OnnxDetector
from flaskapi.submissions.database import Database
from flaskapi.versions.pointer import MODEL_FILE
from flaskapi.versions.registry import Registry

NO_ADVICE = LabelAdvice({}, None, ())
MODEL = Path(__file__).parents[2] / "models" / "my_model.h5"


@pytest.fixture(autouse=True)
def _few_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("train"):
        compile_here(monkeypatch)
        monkeypatch.setattr(
            "flaskapi.versions.version.run_command",
            lambda *command: subprocess.CompletedProcess(command, 1),
        )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "versions", MODEL, tmp_path / "cache")


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in: 240 drawn digits to learn from, 60 to be judged by."""
    rng, labels = np.random.default_rng(1), np.arange(300, dtype=np.uint8) % 10
    images = normalize(write_digit(int(digit), rng) for digit in labels)
    path = tmp_path_factory.mktemp("data") / "mnist.npz"
    np.savez(
        path, x_train=images[:240], y_train=labels[:240], x_test=images[240:], y_test=labels[240:]
    )
    return path


def send_digits(store: Database, count: int, *, otherwise: bool = False) -> list[Sent]:
    rng, digits = np.random.default_rng(0), [place % 10 for place in range(count)]
    write = write_otherwise if otherwise else write_digit
    return send(store, (write(digit, rng) for digit in digits), digits)


def write_more(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Others by the hand that the model reads badly, as the network sees them, with what they
    are.
    """
    rng, digits = np.random.default_rng(7), np.arange(count) % 10
    return normalize(write_otherwise(int(digit), rng) for digit in digits), digits


def quiet(share: float, said: str) -> None:
    pass


@pytest.mark.train
def test_wrong_labels_of_operators_and_senders_get_no_worse_model_promoted(
    store: Database, registry: Registry, mnist: Path
) -> None:
    """Of one class of a hand that the model reads badly 30 % are wrong, and so are 300 on which two
    senders agree.
    """
    sent = send_digits(store, 250, otherwise=True)
    nines = [one for one in sent if one.digit == 9]
    wrong = {one.id for one in nines[: round(0.3 * len(nines))]}
    say(store, [(one.id, 4 if one.id in wrong else one.digit) for one in sent])
    others = send_digits(store, 300)
    for client in ("a", "b"):
        say(store, [(one.id, (one.digit + 1) % 10) for one in others], client)
    right = send(store, (write_digit(one, np.random.default_rng(5)) for one in range(9)), range(9))
    for client in ("a", "b"):
        say(store, [(one.id, one.digit) for one in right], client)
    before = registry.load(MODEL_FILE)
    done = retrain(store, registry, RetrainOrder(mnist, steps=8), quiet)
    assert done.judgement
    judged_by = {pair.before.name for pair in done.judgement.labelled}
    assert judged_by <= {str(one.id) for one in sent}, "only operators' labels judge"
    pointed_at = {
        id for doubt in (*done.chosen.suspicious, *done.review) for id in doubt.example.ids
    }
    assert wrong <= pointed_at, "a fifth of what is used is to be looked at again"
    assert len(pointed_at & {one.id for one in others}) > 0.95 * len(others)
    pixels, digits = write_more(300)
    wrong_before, wrong_after = (
        int((ask(one, pixels).argmax(axis=1) != digits).sum())
        for one in (before, registry.load(done.candidate))
    )
    assert done.reasons or wrong_after <= wrong_before
    used = {str(id) for one in done.chosen.learned for id in one.ids}
    assert used == set(registry.get(done.candidate or "").submissions or [])
    assert used & {str(one.id) for one in right}, "senders' labels teach where the model agrees"


@pytest.mark.train
def test_a_candidate_that_could_keep_nothing_of_what_it_learned_is_said_to_be_one(
    store: Database, registry: Registry, mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the serving model, and so would be the copies that judge it: none is trained."""
    from flaskapi.training.finetune import Finetuner

    learn, trained = Finetuner.learn, list[int]()

    def count(self: Finetuner, labelled: Any, *more: Any, **options: Any) -> Any:
        trained.append(len(labelled[0]))
        return learn(self, labelled, *more, **options)

    monkeypatch.setattr(Finetuner, "learn", count)
    monkeypatch.setattr(Finetuner, "_find_share", lambda *_: 0.0)
    sent = send_digits(store, 40, otherwise=True)
    say(store, [(one.id, one.digit) for one in sent])
    done = retrain(store, registry, RetrainOrder(mnist, steps=2), quiet)
    assert NOTHING_KEPT == done.reasons[0]
    assert 1 == len(trained)


def test_labelled_numbers_give_digits_to_learn_from(store: Database, registry: Registry) -> None:
    ink = np.zeros((120, 500), np.uint8)
    write_digits(ink, "5550123", left=30, top=30)
    number = make_submission(image=encode(255 - ink), normalized=None, digits=[], lines=["5550123"])
    store.record([number])
    say(store, [(number.id, "5550123")])
    order = RetrainOrder(None, dry_run=True)
    detector = OnnxDetector(MODEL.with_name("detector.onnx"))
    chosen = retrain(store, registry, order, quiet, detector).chosen
    assert [5, 5, 5, 0, 1, 2, 3] == [one.label for one in chosen.learned]
    assert [] == retrain(store, registry, order, quiet).chosen.learned, "no detector finds them"


@pytest.mark.train
def test_errors_are_counted_from_the_model_of_the_setting_too(
    store: Database, mnist: Path, tmp_path: Path
) -> None:
    """Here that one reads every digit as the next, and another was promoted."""
    from model_files import make_artifact, make_other

    registry = Registry(
        tmp_path / "versions", make_other(tmp_path / "first", shift=1), tmp_path / "cache"
    )
    registry.promote(registry.add(make_artifact(tmp_path / "second", 1)).name, "ada")
    sent = send_digits(store, 30)
    say(store, [(one.id, one.digit) for one in sent])
    judgement = retrain(store, registry, RetrainOrder(mnist, steps=1), quiet).judgement
    assert judgement
    assert (0, 60) == (
        sum(not pair.before.right for pair in judgement.mnist),
        judgement.wrong_at_first,
    )


@pytest.mark.process
def test_of_a_candidate_that_was_compared_with_another_nothing_is_promoted(
    registry: Registry, tmp_path: Path
) -> None:
    from model_files import make_artifact

    first, second = (
        registry.add(make_artifact(tmp_path / str(mark), mark)).name for mark in (1, 2)
    )
    done = RetrainingResult("before", Chosen([], [], [], 0), NO_ADVICE, first, generation=0)
    registry.promote(second, "ada")
    with pytest.raises(VersionError, match="promoted meanwhile"):
        promote(registry, done, "ada")
    assert second == registry.read().version
    promote(registry, done._replace(generation=1), "ada")
    assert first == registry.read().version


@pytest.mark.process
def test_nor_where_another_is_promoted_while_the_candidate_is_loaded(
    registry: Registry, tmp_path: Path
) -> None:
    from model_files import make_artifact

    first, second = (
        registry.add(make_artifact(tmp_path / str(mark), mark)).name for mark in (1, 2)
    )

    class Overtaken(Registry):
        def load(self, name: str) -> OnnxClassifier:
            if name == first:
                registry.promote(second, "bob")
            return super().load(name)

    overtaken = Overtaken(registry.path, MODEL, tmp_path / "cache")
    with pytest.raises(VersionError, match="promoted meanwhile"):
        promote(
            overtaken,
            RetrainingResult("before", Chosen([], [], [], 0), NO_ADVICE, first, generation=0),
            "ada",
        )
    assert second == registry.read().version


@pytest.mark.train
def test_a_disk_that_is_full_is_said_to_be_and_leaves_what_serves_alone(
    store: Database, registry: Registry, mnist: Path
) -> None:
    """No file may grow beyond 100 kB, which is less than a model takes; the database was written
    before.
    """
    sent = send_digits(store, 30)
    say(store, [(one.id, one.digit) for one in sent])
    store.close()
    folder = registry.path.parent
    environment = os.environ | {
        "FLASKAPI_INSTANCE_PATH": str(folder),
        "FLASKAPI_STORE": "on",
        "FLASKAPI_VERSIONS_PATH": "versions",
    }
    command = [
        sys.executable,
        "-m",
        "flaskapi",
        "retrain",
        "--json",
        "--steps",
        "1",
        "--data",
        str(mnist),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert 1 == done.returncode, done.stderr
    assert (
        "error: File too large. The serving version is unchanged." == done.stderr.splitlines()[-1]
    )
    assert not any("done" in json.loads(line) for line in done.stdout.splitlines())
    assert (MODEL_FILE, []) == (registry.read().version, registry.versions())
    assert not list(registry.path.glob("*")), "nothing is left behind"
