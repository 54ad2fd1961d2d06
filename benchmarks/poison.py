"""Wrong labels that somebody gives on purpose, and what the circle makes of them."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.checkpoint import Checkpoint
from benchmarks.circle import HANDS, LABELS, Hand, Tried, write
from benchmarks.learner import Learner, Turn, count_misread, find_margin
from flaskapi.arrays import Bytes
from flaskapi.digits.normalize import normalize_digit
from flaskapi.learning.judge import ask

COLUMNS = (
    "way",
    "labels",
    "suspicious",
    "better, worse",
    "p",
    "promoted",
    "MNIST, wrong",
    "s",
    "attacked, misread before -> by the candidate",
)
HONEST = 40  # labels of an operator, in each retraining
NEIGHBOURS, LABELLED_WRONG, ADDRESSES = 20, 500, 50
SLOWLY, EACH_TIME = 10, 20  # retrainings, and wrong labels for each
BADLY_READ = Hand(wide=2.3, slant=-0.4)


def main(data: Path, way: str, checkpoint: Path | None) -> None:
    """Print what one way comes to, a row for each retraining.

    Args:
        data: where MNIST lies.
        way: one of `WAYS`.
        checkpoint: keeps each row, and the store and versions in a folder beside it.
    """
    kept = Checkpoint(checkpoint)
    with tempfile.TemporaryDirectory(prefix="flaskapi-poison-") as temporary:
        folder = Path(f"{checkpoint}.d") if checkpoint else Path(temporary)
        learner, tried = Learner(folder / way, data), Tried(data)
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
        for turn in range(SLOWLY if way == "slow" else 1):
            name = f"{way}, {turn + 1}"

            def poison(turn: int = turn, name: str = name) -> list[str]:
                return [name, *WAYS[way](learner, tried, turn)]

            print(f"| {' | '.join(kept.measure(name, poison))} |", flush=True)


def flip_neighbours(learner: Learner, tried: Tried, turn: int) -> list[str]:
    """Two senders label what looks nearly like one picture as another digit, beside an operator's
    labels of a hand from which there is much to be gained.
    """
    written, digits = tried.draw(*next(iter(HANDS.items())))
    learner.send(written[:HONEST], digits[:HONEST].tolist())
    others, known = _write_badly(tried)
    answers = ask(learner.serving, others)
    margins = find_margin(answers, known)
    target = int(np.argmin(np.where(margins > 0, margins, 1)))  # read rightly, and hardly so
    wrong = int(np.argsort(answers[target])[-2])
    rng = np.random.default_rng(0)
    near = np.stack([_vary(others[target], rng) for _ in range(NEIGHBOURS)])
    learner.send(near, [wrong] * len(near), ("a", "b"))
    shown = others[target][None], known[target][None]
    return _tell(learner, *shown)


def send_from_many(learner: Learner, tried: Tried, turn: int) -> list[str]:
    """Fifty addresses label 500 pictures of a hand that is read badly as the next digit, each
    picture by two of them.
    """
    written, digits = tried.held_out
    learner.send(written[:HONEST], digits[:HONEST].tolist())
    others, known = _write_badly(tried)
    for pair in range(ADDRESSES // 2):
        part = slice(pair, LABELLED_WRONG, ADDRESSES // 2)
        wrong = (known[part] + 1) % 10
        learner.send(others[part], wrong.tolist(), (f"address {2 * pair}", f"{2 * pair + 1}"))
    return _tell(learner, others[LABELLED_WRONG:], known[LABELLED_WRONG:])


def poison_slowly(learner: Learner, tried: Tried, turn: int) -> list[str]:
    """At each retraining two senders label the sevens as ones that the model now reads most
    nearly so.
    """
    written, digits = tried.held_out
    new = slice(turn * HONEST, (turn + 1) * HONEST)
    learner.send(written[new], digits[new].tolist())
    others, known = _write_badly(tried, only=7)
    half = len(others) // 2
    order = np.argsort(find_margin(ask(learner.serving, others[:half]), known[:half]))
    chosen = others[order[: (turn + 1) * EACH_TIME]]
    learner.send(chosen, [1] * len(chosen), ("a", "b"))
    return _tell(learner, others[half:], known[half:])


WAYS: dict[str, Callable[[Learner, Tried, int], list[str]]] = {
    "neighbours": flip_neighbours,
    "addresses": send_from_many,
    "slow": poison_slowly,
}


def _write_badly(tried: Tried, only: int | None = None) -> tuple[Bytes, Bytes]:
    """Digits of a hand that is read badly, 900 or all of one kind, with what they are."""
    images, labels = tried.held_out
    chosen = slice(len(HANDS) * LABELS, None) if only is None else labels == only
    images, labels = images[chosen][:900], labels[chosen][:900]
    return write(BADLY_READ, images, labels), labels


def _vary(image: Bytes, rng: np.random.Generator) -> Bytes:
    """The same picture with its ink a little changed."""
    noisy = np.clip(image + rng.normal(0, 30, image.shape) * (image > 0), 0, 255)
    return np.rint(255 * normalize_digit(255 - noisy.astype(np.uint8)).pixels).astype(np.uint8)


def _tell(learner: Learner, images: Bytes, labels: Bytes) -> list[str]:
    """Retrain, and say what came of it and how the attacked pictures are read."""
    before = learner.serving
    turn: Turn = learner.turn()
    candidate = learner.load(turn.done.candidate)
    counts = (count_misread(model, images, labels) for model in (before, candidate))
    return [*turn.describe().values(), " -> ".join(map(str, counts)) + f" of {len(labels)}"]
