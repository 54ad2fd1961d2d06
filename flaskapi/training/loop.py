"""The steps of a training, in parts. Each part keeps its state, so that a killed training
continues.
"""

import hashlib
import io
import json
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import keras
import numpy as np

from flaskapi.arrays import Floats
from flaskapi.artifacts.artifact import replacing

KEEP_EVERY_S = 30.0  # what a kill costs at most, beside the batch that was being learned from
SHOW_EVERY_S = 1.0  # on a terminal; elsewhere each epoch is a line
AHEAD = 3  # batches made beside the training

Batch = tuple[Floats, Floats]


class TrainingPart(NamedTuple):
    """One part of a training: a number of steps with a schedule of their own."""

    name: str  # of the file that its state is kept in
    epochs: int
    steps: int  # of an epoch
    cost: float  # of a step, in any unit that all parts share
    is_open: bool = False  # its schedule is the same however many epochs follow

    @property
    def total(self) -> int:
        """The number of all steps."""
        return self.epochs * self.steps


class Training:
    """Runs the parts of a training, and shows how long all of them will still take.

    Args:
        parts: all of them, in the order of `fit`.
        folder: where to keep states; None keeps none.
        identity: what determines the result beside the lengths of the parts, as JSON can hold it;
            if it or a length differs, the training begins again from that part.
        keep_every_s: seconds between two states within an epoch; each epoch's end is kept too.
        out: where progress is shown.
    """

    def __init__(
        self,
        parts: list[TrainingPart],
        *,
        folder: Path | None,
        identity: dict[str, Any],
        keep_every_s: float = KEEP_EVERY_S,
        out: TextIO | None = None,
    ) -> None:
        self._parts = {part.name: part for part in parts}
        self._files = {
            part.name: folder / f"{part.name}-{_digest(identity, parts[: number + 1])}.npz"
            for number, part in enumerate(parts)
            if folder
        }
        self._keep_every_s = keep_every_s
        self._out = out or sys.stdout
        self._done: dict[str, int] = {}  # steps of each part
        self._spent: dict[str, float] = {}  # seconds of each part, of earlier runs too
        self._started, self._cost_here = 0.0, 0.0

    @property
    def hours(self) -> float:
        """The time of all parts together, without the time that a kill lost."""
        return sum(self._spent.values()) / 3600

    def fit(
        self,
        name: str,
        model: keras.Model,
        make: Callable[[int], Batch],
        *,
        first: int = 0,
        validate: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        """Run one part, or the rest of it.

        Args:
            name: the part's.
            model: compiled; holds the averaged weights afterwards if its optimizer averages.
            make: makes the batch of a step, the same for the same step.
            first: what `make` calls the first step of this part.
            validate: measures the model in the form that would be kept, after each epoch.
        """
        part = self._parts[name]
        model.optimizer.build(model.trainable_variables)
        self._done[name], spent = self._restore(part, model)
        self._spent[name] = spent
        began = kept = shown = time.monotonic()
        self._started = self._started or began
        losses: dict[str, float] = {}
        for step, batch in _prefetch(lambda step: make(first + step), self._done[name], part.total):
            logs = model.train_on_batch(*batch, return_dict=True)
            now = time.monotonic()
            if step == self._done[name] and not self._cost_here:
                self._started = shown = now  # the first step is slow: what runs is compiled in it
            self._done[name] = step + 1
            self._spent[name] = spent + now - began
            self._cost_here += part.cost
            share = 1 / min(step % part.steps + 1, 50)
            losses = {key: losses.get(key, 0) * (1 - share) + share * logs[key] for key in logs}
            if (step + 1) % part.steps == 0:
                held_out = self._measure(model, validate) if validate else {}
                self._keep(part, model)
                kept = time.monotonic()
                self._show(part, losses, held_out, is_epoch=True)
            elif now - kept >= self._keep_every_s:
                self._keep(part, model)
                kept = now
            if self._out.isatty() and now - shown >= SHOW_EVERY_S:
                self._show(part, losses, {}, is_epoch=False)
                shown = now
        if model.optimizer.use_ema:
            model.optimizer.finalize_variable_values(model.trainable_variables)

    def forget(self) -> None:
        """Remove the states, once the result is kept elsewhere."""
        for path in self._files.values():
            path.unlink(missing_ok=True)
            for unfinished in path.parent.glob(f".{path.stem}.*{path.suffix}"):
                unfinished.unlink()  # of a run that was killed while it wrote

    def _measure(
        self, model: keras.Model, validate: Callable[[], dict[str, float]]
    ) -> dict[str, float]:
        """Measure with the averaged weights, and continue with the learning ones."""
        if not model.optimizer.use_ema:
            return validate()
        learning = [variable.numpy() for variable in model.trainable_variables]
        model.optimizer.finalize_variable_values(model.trainable_variables)
        try:
            return validate()
        finally:
            for variable, value in zip(model.trainable_variables, learning, strict=True):
                variable.assign(value)

    def _variables(self, model: keras.Model) -> list[Any]:
        """All that a step reads and changes: weights, statistics, random seeds, the optimizer's
        variables.
        """
        return [*model.variables, *model.optimizer.variables]

    def _keep(self, part: TrainingPart, model: keras.Model) -> None:
        if not (path := self._files.get(part.name)):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {
            f"v{number}": keras.ops.convert_to_numpy(variable)
            for number, variable in enumerate(self._variables(model))
        }
        with replacing(path) as temporary:
            np.savez(
                temporary,
                allow_pickle=False,
                step=self._done[part.name],
                seconds=self._spent[part.name],
                **values,
            )

    def _restore(self, part: TrainingPart, model: keras.Model) -> tuple[int, float]:
        path = self._files.get(part.name)
        if not path or not path.is_file():
            return 0, 0.0
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as state:
                variables = self._variables(model)
                values = [state[f"v{number}"] for number in range(len(variables))]
                step, seconds = int(state["step"]), float(state["seconds"])
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return 0, 0.0  # of a disk that lost it: begin anew
        shapes = [tuple(variable.shape) for variable in variables]
        if [value.shape for value in values] != shapes or step > part.total:
            return 0, 0.0
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        print(f"{part.name}: goes on after {step:,} of {part.total:,} steps.", file=self._out)
        return step, seconds

    def _show(
        self,
        part: TrainingPart,
        losses: dict[str, float],
        held_out: dict[str, float],
        *,
        is_epoch: bool,
    ) -> None:
        """Show a bar over all parts, the time that is left, and this part's measures."""
        total = sum(one.total * one.cost for one in self._parts.values())
        # Parts before this one are done, also where their steps were not needed any more.
        names = list(self._parts)
        before = names[: names.index(part.name)]
        done = sum(self._parts[name].total * self._parts[name].cost for name in before)
        done += self._done[part.name] * part.cost
        rate = self._cost_here / max(time.monotonic() - self._started, 1e-6)
        share = done / total
        bar = "#" * round(20 * share) + "." * (20 - round(20 * share))
        epoch = -(-self._done[part.name] // part.steps)
        measures = [f"{key} {value:.4f}" for key, value in losses.items()]
        measures += [f"held-out {key} {value:.4f}" for key, value in held_out.items()]
        line = (
            f"[{bar}] {share:4.0%}, {_duration((total - done) / rate)} left; "
            f"{part.name}: epoch {epoch}/{part.epochs}, {', '.join(measures)}"
        )
        is_terminal = self._out.isatty()
        self._out.write(("\r\x1b[K" if is_terminal else "") + line + ("\n" if is_epoch else ""))
        self._out.flush()


def _prefetch(make: Callable[[int], Batch], first: int, total: int) -> Iterator[tuple[int, Batch]]:
    """Make the batches of the next steps while the training runs."""
    with ThreadPoolExecutor(1) as thread:
        waiting: dict[int, Future[Batch]] = {}
        try:
            for step in range(first, total):
                for ahead in range(step, min(step + AHEAD, total)):
                    if ahead not in waiting:
                        waiting[ahead] = thread.submit(make, ahead)
                yield step, waiting.pop(step).result()
        finally:
            for future in waiting.values():
                future.cancel()


def multiply_adds(model: keras.Model) -> int:
    """The multiply-adds for one image, in convolutions and dense layers."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            places = np.prod([side or 1 for side in layer.output.shape[1:]]) / layer.filters
            total += int(np.prod(layer.kernel.shape) * places)
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def _digest(identity: dict[str, Any], parts: list[TrainingPart]) -> str:
    """A digest of all that determines the state of the last part after this many of its steps."""
    lengths = [part.epochs for part in parts]
    if parts[-1].is_open:
        lengths[-1] = 0
    return hashlib.sha256(json.dumps([identity, lengths], sort_keys=True).encode()).hexdigest()[:12]


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
