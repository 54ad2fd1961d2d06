"""One retraining: the order of the steps."""

import tempfile
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import numpy as np

from flaskapi.arrays import Bytes
from flaskapi.errors import VersionError
from flaskapi.learning import Example, to_arrays
from flaskapi.learning.advise import LabelAdvice, advise, describe, describe_next, find_next
from flaskapi.learning.choose import (
    NO_NUMBERS,
    Chosen,
    Doubt,
    choose,
    find_number_digits,
    rank_doubts,
)
from flaskapi.learning.cross import Crossed, cross
from flaskapi.learning.judge import Judgement, ask, compare, count_wrong, pair_answers
from flaskapi.reading.protocols import Detector
from flaskapi.reading.reader import Reader
from flaskapi.serving.classifier import load_classifier
from flaskapi.sources.mnist import Dataset
from flaskapi.submissions import Store
from flaskapi.submissions.labelled import read_labelled
from flaskapi.submissions.listing import get_submission
from flaskapi.versions.pointer import MODEL_FILE
from flaskapi.versions.registry import Registry

LEAST = 20  # images that operators labelled; fewer can hardly show that a candidate is better
BEGUN, TRAINED, COMPILED = 0.1, 0.85, 0.95  # the share of the time that is over then, about
CROSSED = 0.8  # of the time that training takes, what the copies of the folds take
NOTHING_KEPT = (
    "No part of what it learned is kept: with any, it would misread more of MNIST's digits. "
    "Label more images, also of digits that are read well, and retrain."
)
Progress = Callable[[float, str], None]


class RetrainOrder(NamedTuple):
    """What to retrain with."""

    data: Path | None  # where MNIST lies; None: Keras downloads it
    since: datetime | None = None  # only what was received from then on
    steps: int | None = None  # batches to train with; None: as many as the recipe says
    seed: int = 0
    uncertain_below: float = 0.95  # the setting of that name
    dry_run: bool = False  # only say what would be used


class RetrainingResult(NamedTuple):
    """What came out."""

    serving: str  # the version that serves
    chosen: Chosen
    advice: LabelAdvice
    candidate: str | None = None  # the version that was made
    judgement: Judgement | None = None
    # Labels that were used, the most doubtful first: how likely those who had not learned them take
    # them to be right.
    review: tuple[Doubt, ...] = ()
    reasons: tuple[str, ...] = ()  # why it does not serve; empty where it may
    generation: int = 0  # of the version that serves, when it was compared
    test_images: Bytes | None = None  # MNIST's, in the order of the judgement


def retrain(
    store: Store,
    registry: Registry,
    order: RetrainOrder,
    progress: Progress,
    detector: Detector | None = None,
) -> RetrainingResult:
    """Make a candidate of the serving model and the labelled submissions, register it as a version,
    and judge it.

    Args:
        store: has the submissions.
        registry: has the serving model, and gets the candidate.
        order: what to do.
        progress: is told how far it is, 0 to 1, and what is done now.
        detector: finds the digits of labelled numbers; None leaves numbers out.

    Raises:
        FlaskapiError: the store, MNIST, the serving model or that of MODEL_PATH cannot be read, or
            the candidate cannot be written.
    """
    progress(0.0, "Reading the labels.")
    pointer = registry.read()
    serving = registry.load(pointer.version)
    labelled = read_labelled(store, order.since)
    numbers = NO_NUMBERS
    if detector is not None:
        cut = partial(_cut, store, Reader(serving, detector))
        numbers = find_number_digits(read_labelled(store, order.since, numbers=True), cut)
    chosen = choose(
        labelled,
        lambda examples: ask(serving, to_arrays(examples)[0]),
        order.uncertain_below,
        numbers,
    )
    look = 1 + _count_candidates(registry, serving.version)
    judged = [chosen.learned[place] for place in chosen.evidence]
    names = [one.name for one in judged]
    pixels, labels = to_arrays(judged)
    before = ask(serving, pixels)
    advice = advise(
        pair_answers(before, before, labels, names, order.uncertain_below), look, find_next(store)
    )
    result = RetrainingResult(serving.version, chosen, advice, generation=pointer.generation)
    if len(judged) < LEAST:
        reason = f"There are {len(judged)} images that operators labelled; {LEAST} are needed."
        return result._replace(reasons=(reason,))
    if order.dry_run:
        return result
    progress(0.0, describe(advice))
    first = None if pointer.version == MODEL_FILE else registry.load(MODEL_FILE)
    progress(0.0, f"Training on {len(chosen.learned):,} labelled images and MNIST.")
    dataset = _load(order.data)
    with tempfile.TemporaryDirectory(prefix="flaskapi-retrain-") as folder:
        artifact = Path(folder) / "my_model.h5"
        crossed, share = _train(
            registry.artifact(pointer.version), dataset, chosen.learned, order, artifact, progress
        )
        candidate = load_classifier(artifact, Path(folder))
        ids = sorted({str(id) for one in chosen.learned for id in one.ids})
        version = registry.add(artifact, submissions=ids)
    progress(COMPILED, "Comparing both models.")
    wrong_at_first = count_wrong(first, dataset.test_images, dataset.test_labels) if first else None
    tests = [f"test-{place:05}" for place in range(len(dataset.test_labels))]
    judgement = Judgement(
        compare(
            serving,
            candidate,
            dataset.test_images,
            dataset.test_labels,
            tests,
            order.uncertain_below,
        ),
        pair_answers(
            crossed.before[chosen.evidence],
            crossed.after[chosen.evidence],
            labels,
            names,
            order.uncertain_below,
        ),
        wrong_at_first,
        look,
    )
    progress(1.0, "Done.")
    reasons = judgement.reasons
    if not share:
        reasons.insert(0, NOTHING_KEPT)
    elif reasons and advice.wanted:
        reasons.append(describe_next(advice))
    return result._replace(
        candidate=version.name,
        judgement=judgement,
        review=tuple(rank_doubts(chosen.learned, crossed.before, crossed.after)),
        reasons=tuple(reasons),
        test_images=dataset.test_images,
    )


def _cut(store: Store, reader: Reader, id: UUID, number: str) -> list[bytes] | None:
    """The digits of a submission with that number, as the network sees them."""
    submission = get_submission(store, id)
    digits = reader.cut_number(submission.image, number) if submission else None
    if digits is None:
        return None
    return [np.rint(255 * digit).astype(np.uint8).tobytes() for digit in digits]


def _count_candidates(registry: Registry, serving: str) -> int:
    """Candidates that were made of this version, pruned ones left out."""
    origins = (
        registry.card(version.name).get("retrainings", [{}])[-1].get("from")
        for version in registry.versions()
    )
    return sum(origin == serving for origin in origins)


def promote(registry: Registry, retraining: RetrainingResult, by: str) -> None:
    """Let the candidate serve, unless another version was promoted since it was compared.

    Raises:
        VersionError: one was, or the candidate may not serve.
    """
    if retraining.candidate is None or retraining.reasons:
        raise VersionError("There is no candidate, or it must not serve.")
    registry.promote(retraining.candidate, by, instead_of=retraining.generation)


def _load(data: Path | None) -> Dataset:
    # Not at the top: Keras takes seconds, and a dry run needs none of it.
    from flaskapi.training.download import load_or_download

    return load_or_download(data)


def _train(
    source: Path,
    dataset: Dataset,
    learned: list[Example],
    order: RetrainOrder,
    target: Path,
    progress: Progress,
) -> tuple[Crossed, float]:
    """Train the candidate on all, and for each fold a copy on all others. The candidate is compiled
    beside the target: TensorFlow is here already.

    Neither side is compiled for the folds, so that neither is rounded.

    Returns:
        What was said of the labelled images, and the share of its way that the candidate kept.
    """
    # Not at the top: it takes seconds, and a dry run needs none of it.
    from flaskapi.artifacts.artifact import save_artifact
    from flaskapi.artifacts.compile import compile_artifact
    from flaskapi.training.finetune import Finetuner, FinetuneRecipe

    recipe = FinetuneRecipe(seed=order.seed)
    recipe = recipe if order.steps is None else recipe._replace(steps=order.steps)
    finetuner = Finetuner(source, dataset, recipe)
    arrays = to_arrays(learned)
    candidate = finetuner.learn(arrays, lambda share: progress(_between((1 - CROSSED) * share), ""))
    crossed = cross(
        finetuner,
        learned,
        candidate.share,
        lambda share: progress(_between(1 - CROSSED + CROSSED * share), ""),
    )
    model, card = finetuner.finish(candidate, arrays)
    save_artifact(model, card, target)
    progress(TRAINED, "Compiling the candidate.")
    compile_artifact(target, target.with_suffix(".onnx"))
    return crossed, candidate.share


def _between(share: float) -> float:
    """Of all that is done, while it is trained."""
    return BEGUN + (TRAINED - BEGUN) * share
