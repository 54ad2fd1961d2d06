"""Many retrainings in a row, each with forty new labels: does what they forget add up?"""

import math
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.checkpoint import Checkpoint
from benchmarks.circle import HANDS, Tried, write
from benchmarks.learner import Learner
from flaskapi.learning.judge import MORE_ERRORS

NEW = 40  # labels for each retraining
ORDINARY = 3  # of so many retrainings the last is of ordinary handwriting
COLUMNS = (
    "retraining",
    "hand",
    "labels",
    "suspicious",
    "better, worse",
    "p",
    "promoted",
    "MNIST, wrong",
    "s",
    "then serves, MNIST wrong",
)


def main(data: Path, count: int, minutes: float | None, checkpoint: Path | None) -> None:
    """Print a row for each retraining as it comes, and then how many more errors on MNIST there
    are.

    Args:
        data: where MNIST lies.
        count: how many retrainings.
        minutes: no retraining begins that would probably end later; None: all are done.
        checkpoint: keeps each row, and the store and versions in a folder beside it.
    """
    kept = Checkpoint(checkpoint)
    until_s = time.monotonic() + 60 * (math.inf if minutes is None else minutes)
    with tempfile.TemporaryDirectory(prefix="flaskapi-row-") as temporary:
        folder = Path(f"{checkpoint}.d") if checkpoint else Path(temporary)
        learner, tried = Learner(folder / "row", data), Tried(data)
        rows: list[dict[str, Any]] = []
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
        for place in range(count):
            name, longest_s = f"row, {place + 1}", max((row["s"] for row in rows), default=0.0)
            if name not in kept and time.monotonic() + longest_s > until_s:
                break

            def retrain(place: int = place) -> dict[str, Any]:
                return _turn(learner, tried, place)

            rows.append(kept.measure(name, retrain))
            print(f"| {place + 1} | {' | '.join(rows[-1]['columns'])} |", flush=True)
    if rows:
        print(conclude(rows))


def conclude(rows: list[dict[str, Any]]) -> str:
    """How far the last model that served is from the first."""
    first, last = rows[0]["before"], rows[-1]["serving"]
    holds = "holds" if max(row["serving"] for row in rows) <= first + MORE_ERRORS else "is broken"
    return (
        f"{sum(row['promoted'] for row in rows)} of {len(rows)} were promoted. Of MNIST's test "
        f"set the first model misreads {first}, the last that serves {last}. The bound of "
        f"{MORE_ERRORS} more {holds}."
    )


def choose_hand(place: int) -> str | None:
    """Whose digits are labelled for one of the retrainings; None: ordinary handwriting."""
    if place % ORDINARY == ORDINARY - 1:
        return None
    return list(HANDS)[place % len(HANDS)]


def _turn(learner: Learner, tried: Tried, place: int) -> dict[str, Any]:
    """Label new digits, and retrain on all that are labelled until now."""
    images, labels = (part[place * NEW : (place + 1) * NEW] for part in tried.held_out)
    hand = choose_hand(place)
    learner.send(write(HANDS[hand], images, labels) if hand else images, labels.tolist())
    turn = learner.turn()
    before, after = turn.mnist_wrong
    serving = after if turn.promoted else before
    return {
        "columns": [hand or "ordinary", *turn.describe().values(), str(serving)],
        "promoted": turn.promoted,
        "before": before,
        "serving": serving,
        "s": turn.took_s,
    }
