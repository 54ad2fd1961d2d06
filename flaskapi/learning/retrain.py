"""One retraining: the order of the steps."""

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from flaskapi.arrays import Bytes
from flaskapi.errors import VersionError
from flaskapi.learning import Example, to_arrays
from flaskapi.learning.choose import Chosen, Doubt, choose, find_doubts
from flaskapi.learning.judge import Judgement, Pair, ask, compare, count_wrong
from flaskapi.serving.classifier import OnnxClassifier, load_classifier
from flaskapi.sources.mnist import Dataset
from flaskapi.submissions import Store
from flaskapi.submissions.labelled import read_labelled
from flaskapi.versions.pointer import MODEL_FILE
from flaskapi.versions.registry import Registry

LEAST = 20  # images to train with; fewer teach nothing that a test on a third as many could show
ENOUGH = -(-LEAST * 4 // 3)  # labelled images, of which three quarters are to train with
BEGUN, TRAINED, COMPILED = 0.02, 0.8, 0.95  # the share of the time that is over then, about
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
    candidate: str | None = None  # the version that was made
    judgement: Judgement | None = None
    doubted: tuple[
        Doubt, ...
    ] = ()  # labels that were used, and that the candidate contradicts all the same
    reasons: tuple[str, ...] = ()  # why it does not serve; empty where it may
    generation: int = 0  # of the version that serves, when it was compared
    test_images: Bytes | None = None  # MNIST's, in the order of the judgement


def retrain(
    store: Store, registry: Registry, order: RetrainOrder, progress: Progress
) -> RetrainingResult:
    """Make a candidate of the serving model and the labelled submissions, register it as a version,
    and judge it.

    Args:
        store: has the submissions.
        registry: has the serving model, and gets the candidate.
        order: what to do.
        progress: is told how far it is, 0 to 1, and what is done now.

    Raises:
        FlaskapiError: the store, MNIST, the serving model or that of MODEL_PATH cannot be read, or
            the candidate cannot be written.
    """
    progress(0.0, "Reading the labels.")
    pointer = registry.read()
    serving = registry.load(pointer.version)
    labelled = read_labelled(store, order.since)
    chosen = choose(
        labelled, lambda examples: ask(serving, to_arrays(examples)[0]), order.uncertain_below
    )
    result = RetrainingResult(serving.version, chosen, generation=pointer.generation)
    if len(chosen.learned) < LEAST:
        reason = (
            f"There are {len(chosen.learned)} images to learn from; {LEAST} are needed. A quarter "
            f"of the labelled images is held back: label about {ENOUGH} or more."
        )
        return result._replace(reasons=(reason,))
    if order.dry_run:
        return result
    first = None if pointer.version == MODEL_FILE else registry.load(MODEL_FILE)
    progress(BEGUN, f"Training on {len(chosen.learned):,} labelled images and MNIST.")
    dataset = _load(order.data)
    with tempfile.TemporaryDirectory(prefix="flaskapi-retrain-") as folder:
        artifact = Path(folder) / "my_model.h5"
        _train(
            registry.artifact(pointer.version), dataset, chosen.learned, order, artifact, progress
        )
        progress(TRAINED, "Compiling the candidate.")
        candidate = load_classifier(artifact, Path(folder))
        ids = sorted(str(id) for one in chosen.learned for id in one.ids)
        version = registry.add(artifact, submissions=ids)
    progress(COMPILED, "Comparing both models.")
    judgement = _judge(serving, candidate, first, dataset, chosen.held_back, order.uncertain_below)
    used = [*chosen.learned, *chosen.held_back]
    doubted = find_doubts(
        used, lambda examples: ask(candidate, to_arrays(examples)[0]), order.uncertain_below
    )
    progress(1.0, "Done.")
    return result._replace(
        candidate=version.name,
        judgement=judgement,
        doubted=tuple(doubted),
        reasons=tuple(judgement.reasons),
        test_images=dataset.test_images,
    )


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
) -> None:
    # Not at the top: it takes seconds, and a dry run needs none of it.
    from flaskapi.artifacts.artifact import save_artifact
    from flaskapi.training.finetune import FinetuneRecipe, finetune

    recipe = FinetuneRecipe(seed=order.seed)
    recipe = recipe if order.steps is None else recipe._replace(steps=order.steps)

    def told(share: float) -> None:
        progress(BEGUN + (TRAINED - BEGUN) * share, "")

    model, card = finetune(source, dataset, to_arrays(learned), recipe, progress=told)
    save_artifact(model, card, target)


def _judge(
    serving: OnnxClassifier,
    candidate: OnnxClassifier,
    first: OnnxClassifier | None,
    dataset: Dataset,
    held_back: list[Example],
    uncertain_below: float,
) -> Judgement:
    wrong_at_first = count_wrong(first, dataset.test_images, dataset.test_labels) if first else None
    names = [f"test-{place:05}" for place in range(len(dataset.test_labels))]
    mnist: list[Pair] = compare(
        serving, candidate, dataset.test_images, dataset.test_labels, names, uncertain_below
    )
    pixels, labels = to_arrays(held_back)
    compared = compare(
        serving, candidate, pixels, labels, [one.name for one in held_back], uncertain_below
    )
    return Judgement(mnist, compared, wrong_at_first)
