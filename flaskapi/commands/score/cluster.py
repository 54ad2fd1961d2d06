"""Tasks of `score` on the machines of a Ray cluster, through Ray Data."""

import contextlib
import logging
import pickle
import re
import socket
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import ray
import ray.data

from flaskapi.commands.score.places import UnreachableError
from flaskapi.commands.score.plan import ScoreTask
from flaskapi.commands.score.scorer import Counts, Scorer, ScoreWork
from flaskapi.errors import FlaskapiError, WorkerDiedError

_TOGETHER = 1024  # tasks that Ray is given at once: it holds their names in memory
_REACHED_S = 10  # Ray itself tries for minutes
# Of a task whose process ends. Until Ray knows that a machine is gone, each second takes one.
_MOST_TRIES = 30


class _Worker:
    """One for each processor of the cluster; it loads the model once."""

    def __init__(self) -> None:
        self._scorer: Scorer | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        work, task, done = pickle.loads(batch["job"][0])  # noqa: S301 made below
        images = failed = 0
        try:
            self._scorer = self._scorer or Scorer(work)
            for counts in self._scorer.score(task, done):
                images, failed = images + counts.images, failed + counts.failed
            error, is_final = "", False
        # As text: Ray would wrap it, and ask for the task again.
        except (FlaskapiError, UnreachableError, OSError) as raised:
            error, is_final = str(raised), isinstance(raised, FlaskapiError)
        return {
            "images": [images],
            "failed": [failed],
            "error": [error],
            "is_final": [is_final],
        }


def _limit_tries() -> dict[str, Any]:
    """By default Ray tries for ever, also what ends each process that tries it."""
    return {"max_restarts": _MOST_TRIES, "max_task_retries": _MOST_TRIES}


def score_on_cluster(
    jobs: Iterable[tuple[ScoreTask, int]], work: ScoreWork, address: str
) -> Iterator[Counts]:
    """Have tasks done by one process for each processor of a cluster. What a machine had begun when
    it ended, another does again.

    Args:
        jobs: tasks, and how many of the parts of each are done.
        work: its sources and target can be reached from every machine.
        address: of the cluster, such as `10.0.0.1:6379` or `auto`; this machine is one of it.

    Raises:
        FlaskapiError: the cluster cannot be reached, or a machine has no model, another one or
            other settings.
        UnreachableError: a machine cannot read or write.
        WorkerDiedError: Ray has given up, as where a process ended again and again.
    """
    with _connected(address):
        coming = iter(jobs)
        while some := list(islice(coming, _TOGETHER)):
            # Whole in each row: what else a process was made of may be lost with a machine.
            items = [{"job": pickle.dumps((work, *job))} for job in some]
            counted = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
                _Worker,
                batch_size=1,
                num_cpus=1,
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=len(items)),
                ray_remote_args_fn=_limit_tries,
            )
            try:
                for row in counted.iter_rows():
                    if row["error"]:
                        kind = FlaskapiError if row["is_final"] else UnreachableError
                        raise kind(row["error"])
                    yield Counts(int(row["images"]), int(row["failed"]))
            except ray.exceptions.RayError as error:
                raise WorkerDiedError(f"The cluster cannot go on: {_tell(error)}") from error


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    host, _, port = address.rpartition(":")
    try:
        if host:
            socket.create_connection((host.strip("[]"), int(port)), _REACHED_S).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        raise FlaskapiError(
            f"The Ray cluster {address} cannot be reached: {_tell(error)}"
        ) from error
    try:
        # The command has a bar of its own.
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        yield
    finally:
        ray.shutdown()


def _tell(error: Exception) -> str:
    """The last line of what Ray says, which has the reason, without its colours."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return lines[-1].strip() if lines else repr(error)
