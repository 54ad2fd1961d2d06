"""`python -m flaskapi score`: the plan, the processes that work on it, and what is said of it."""

import json
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import chain, islice
from typing import Any, NamedTuple

from tqdm import tqdm

from flaskapi.commands import tell_why
from flaskapi.commands.predict.command import INTERRUPTED
from flaskapi.commands.predict.workers import (
    begin_worker,
    load_reader,
    uninterrupted_children,
)
from flaskapi.commands.score import plan
from flaskapi.commands.score.places import UnreachableError, find_place, is_address
from flaskapi.commands.score.plan import FinishedParts, ScoreTask, plan_tasks
from flaskapi.commands.score.scorer import PREDICTIONS, Counts, Scorer, ScoreWork, tell_settings
from flaskapi.errors import FlaskapiError, MissingImageError, WorkerDiedError
from flaskapi.reading.many import Route

GO_ON = "The finished parts stay; the same command goes on after them."
MANIFEST = "manifest.json"
RAY_EXTRA = (
    "--ray needs the extra 'ray', on every machine of the cluster: .venv/bin/pip install "
    "--constraint requirements.txt --editable '.[ray]'"
)
Job = tuple[ScoreTask, int]  # with how many of its parts are done
_AHEAD = 2  # tasks that wait for each process
_LOOK_S = 0.5


class ScoreOrder(NamedTuple):
    """The options of the command."""

    sources: list[str]
    target: str
    route: Route
    processes: int
    shard: tuple[int, int]  # the first of two is 1, 2
    cluster: str | None = None  # the address of a Ray cluster; None: processes of this machine


def score_sources(order: ScoreOrder) -> int:
    """Read all images of the sources that are not done. Returns the exit status.

    Raises:
        FlaskapiError: nothing can be read or written, or the target is that of other work.
    """
    _check_apart(order)
    reader, config = load_reader(order.route)
    settings = tell_settings(reader, config["MAX_REQUEST_BYTES"])
    version = reader.classifier.version
    work = ScoreWork(order.sources[0], order.target, order.route, version, settings)
    try:
        jobs = _Jobs(order, _agree(order, work))
    except UnreachableError as error:
        raise FlaskapiError(str(error)) from error
    if order.cluster is not None:
        counted = _find_cluster()(jobs, work, order.cluster)
    elif order.processes == 1:
        scorer = Scorer(work, reader, config["MAX_REQUEST_BYTES"])
        counted = _score_here(jobs, scorer)
    else:
        counted = _score_by_processes(jobs, work, order.processes)
    return _watch(counted, jobs)


def _find_cluster() -> Callable[[Iterable[Job], ScoreWork, str], Iterator[Counts]]:
    try:
        from flaskapi.commands.score.cluster import score_on_cluster
    except ImportError as error:
        raise FlaskapiError(f"{error.name or error} is not installed. {RAY_EXTRA}") from error
    return score_on_cluster


def _watch(counted: Iterator[Counts], jobs: "_Jobs") -> int:
    images = failed = 0
    try:
        with closing(counted), tqdm(unit=" images", disable=None) as bar:  # type: ignore[type-var]
            for part in counted:
                images, failed = images + part.images, failed + part.failed
                bar.update(part.images)
    except KeyboardInterrupt:
        print(f"Interrupted. {GO_ON}", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        raise FlaskapiError(f"{tell_why(error)} {GO_ON}") from error
    except (UnreachableError, WorkerDiedError) as error:
        raise FlaskapiError(f"{error} {GO_ON}") from error
    before = f" Tasks that were done before: {jobs.before:,}." if jobs.before else ""
    print(f"Images: {images:,}, of them without an answer: {failed:,}.{before}", file=sys.stderr)
    return 1 if failed else 0


def _check_apart(order: ScoreOrder) -> None:
    """Check that rows are not written where images are looked for.

    Raises:
        FlaskapiError: they would be.
    """
    if (
        len({source.partition("://")[0] if is_address(source) else "" for source in order.sources})
        > 1
    ):
        raise FlaskapiError(
            "All sources must be files of this machine, or all addresses of one kind."
        )

    if order.cluster is not None:
        for place in (*order.sources, order.target):
            if not is_address(place) and not os.path.isabs(place):
                raise FlaskapiError(
                    f"{place} is another folder on each machine: with --ray a path begins with /."
                )

    def whole(place: str) -> str:
        # Below what a pattern with `**` begins with, anything may be one of its files.
        fixed = re.split(r"[^/]*[*?\[]", place, maxsplit=1)[0] if "**" in place else place
        return (fixed if is_address(place) else os.path.realpath(fixed)).rstrip("/") + "/"

    for source in order.sources:
        if whole(order.target).startswith(whole(source)):
            raise FlaskapiError(f"{order.target} lies in {source}: name a target outside of it.")


def _agree(order: ScoreOrder, work: ScoreWork) -> Callable[[], None]:
    """Hold what this target is of against what an earlier run wrote. Returns what writes it.

    Raises:
        FlaskapiError: it was begun with other sources, another model or in another form.
    """
    place, path = find_place(order.target), f"{order.target}/{MANIFEST}"
    now = {"sources": order.sources, "route": order.route, "model": work.model, "rows": plan.ROWS}
    if MANIFEST not in place.names(order.target):
        return lambda: place.write(path, json.dumps(now, indent=1).encode() + b"\n")
    with place.open(path) as file:
        try:
            before = dict(json.loads(file.read()))
        except (ValueError, TypeError) as error:
            raise FlaskapiError(f"{path} is not of this command: name another target.") from error
    if different := [key for key in now if now[key] != before.get(key)]:
        key = different[0]
        raise FlaskapiError(
            f"{order.target} was begun with another value of '{key}': {before.get(key)!r}, and now "
            f"it is {now[key]!r}. Name another target."
        )
    return lambda: None


class _Jobs:
    """The tasks of this shard that are not done, in order. The sources are listed meanwhile."""

    def __init__(self, order: ScoreOrder, begin: Callable[[], None]) -> None:
        """Give the order, and what is called before the first task."""
        self._order, self._begin, self.before = order, begin, 0
        names = find_place(order.target).names(f"{order.target}/{PREDICTIONS}")
        self._progress = FinishedParts(names)

    def __iter__(self) -> Iterator[Job]:
        source = find_place(self._order.sources[0])
        found = chain.from_iterable(map(source.find, self._order.sources))
        shard, shards = self._order.shard
        number = -1
        for number, task in enumerate(plan_tasks(found)):
            if number == 0:
                self._begin()
            if self._progress.is_of_another(task):
                raise FlaskapiError(
                    f"The sources have changed since {self._order.target} was begun: files were "
                    f"added, removed or replaced. Name another target."
                )
            if number % shards != shard - 1:
                continue
            if self._progress.is_done(task):
                self.before += 1
            else:
                yield task, self._progress.count_parts(task)
        if number < 0:
            raise MissingImageError("The sources contain no image.")


def _score_here(jobs: _Jobs, scorer: Scorer) -> Iterator[Counts]:
    for task, done in jobs:
        yield from scorer.score(task, done)


def _score_by_processes(jobs: _Jobs, work: ScoreWork, processes: int) -> Iterator[Counts]:
    """Have tasks done by several processes, each with a model of its own.

    Raises:
        WorkerDiedError: a process ended.
    """
    context = multiprocessing.get_context("spawn")
    # Two counts for each process, which alone adds to them, and a flag for all to stop.
    shared: Any = context.RawArray("q", 2 * processes + 1)
    pool = ProcessPoolExecutor(
        processes, context, initializer=_begin, initargs=(work, shared, context.Value("i", 0))
    )
    waiting, coming, told = set[Future[None]](), iter(jobs), Counts(0, 0)
    try:
        while True:
            with uninterrupted_children():
                more = islice(coming, _AHEAD * processes - len(waiting))
                waiting |= {pool.submit(_score_task, *job) for job in more}
            if not waiting:
                break
            ended, waiting = wait(waiting, _LOOK_S, FIRST_COMPLETED)
            for future in ended:
                future.result()
            now = Counts(sum(shared[0:-1:2]), sum(shared[1::2]))
            yield Counts(now.images - told.images, now.failed - told.failed)
            told = now
    except BrokenProcessPool as error:
        raise WorkerDiedError("A process ended early: it was killed, or memory ran out.") from error
    finally:
        shared[-1] = 1
        pool.shutdown(cancel_futures=True)


# Used only in a worker process.
_worker: list[Any] = []


def _begin(work: ScoreWork, shared: Any, numbers: Any) -> None:
    begin_worker()
    with numbers.get_lock():
        number = numbers.value
        numbers.value += 1
    _worker[:] = [work, shared, 2 * number]


def _score_task(task: ScoreTask, done: int) -> None:
    work, shared, place = _worker[:3]
    if len(_worker) == 3:
        _worker.append(Scorer(work))
    for counts in _worker[3].score(task, done):
        shared[place] += counts.images
        shared[place + 1] += counts.failed
        if shared[-1]:
            return
