"""Batches of digits to learn from. They are made without Keras, so that other processes can make
them at little cost.
"""

import signal
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from flaskapi.arrays import Bytes, Floats
from flaskapi.handwriting.augment import augment
from flaskapi.handwriting.glyphs import flag_sevens
from flaskapi.handwriting.outliers import draw_outliers
from flaskapi.labels import DIGITS, NO_DIGIT

OUTLIERS = 40_000  # drawn once, varied in each epoch
# Times as many of them in the last epochs: what teachers say of digits makes a network surer of all
# else too.
FINISHING_OUTLIERS = 1.6
AHEAD = 4  # batches for each process that makes them


class Maker:
    """Makes the batches of any epoch. In each, the images are shuffled and varied again; the same
    seed gives the same batches.

    Args:
        images: `uint8 (n, 28, 28)`, 255 the ink.
        labels: `(n,)`, what they are.
        size: digits in a batch.
        seed: the source of all randomness.
        is_augmented: vary them.
        outliers_share: pictures of no digit, beside the digits of each batch.
        gently_from: from this epoch on they are varied gently, with more pictures of no digit.
    """

    def __init__(
        self,
        images: Bytes,
        labels: Bytes,
        *,
        size: int,
        seed: int,
        is_augmented: bool,
        outliers_share: float,
        gently_from: int,
    ) -> None:
        self._images, self._labels, self._size, self._seed = images, labels, size, seed
        self._is_augmented, self._outliers_share, self._gently_from = (
            is_augmented,
            outliers_share,
            gently_from,
        )
        self._outliers = draw_outliers(
            OUTLIERS if outliers_share else 0, images, labels, np.random.default_rng(seed)
        )

    def __len__(self) -> int:
        return -(-len(self._images) // self._size)

    def make(self, epoch: int, index: int) -> tuple[Floats, Floats]:
        """Make one batch: `float32 (n, 28, 28)` in [0, 1], 1 the ink, and the targets, `float32 (n,
        10)`.
        """
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._images))
        chosen = order[index * self._size : (index + 1) * self._size]
        rng = np.random.default_rng([self._seed, epoch, index])
        images, labels = self._images[chosen], self._labels[chosen]
        if self._is_augmented:
            images, labels = flag_sevens(images, labels, rng)
        gently = epoch >= self._gently_from
        if others := round(
            self._outliers_share * (FINISHING_OUTLIERS if gently else 1) * len(chosen)
        ):
            images = np.concatenate(
                [images, self._outliers[rng.integers(0, len(self._outliers), others)]]
            )
            labels = np.concatenate([labels, np.full(others, NO_DIGIT, np.uint8)])
        pixels = (
            augment(images, labels, rng, gently=gently)
            if self._is_augmented
            else images.astype(np.float32) / np.float32(255)
        )
        return pixels, targets(labels)


def targets(labels: Bytes) -> Floats:
    """The targets of the network, `float32 (n, 10)`."""
    return np.vstack(
        [np.eye(DIGITS, dtype=np.float32), np.full((1, DIGITS), 1 / DIGITS, np.float32)]
    )[labels]


class Pool:
    """Processes that make batches before they are needed. The batches are the same as the maker's
    own.
    """

    def __init__(self, maker: Maker, processes: int) -> None:
        self._batches, self._ahead = len(maker), AHEAD * processes
        self._made: dict[tuple[int, int], Future[tuple[Floats, Floats]]] = {}
        # Not forked: the libraries that train have threads, and a fork of a process with threads
        # may never wake up.
        self._processes = ProcessPoolExecutor(
            processes, get_context("spawn"), initializer=_keep, initargs=(maker,)
        )

    def make(self, epoch: int, index: int) -> tuple[Floats, Floats]:
        """See `Maker.make`. The following batches, also of the next epoch, are made meanwhile."""
        wanted = [
            (epoch + step // self._batches, step % self._batches)
            for step in range(index, index + self._ahead)
        ]
        self._made = {at: self._made.get(at) or self._processes.submit(_make, *at) for at in wanted}
        return self._made[epoch, index].result()

    def close(self) -> None:
        """Stop the processes."""
        self._processes.shutdown(cancel_futures=True)


_kept: Maker


def _keep(maker: Maker) -> None:
    global _kept
    _kept = maker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training, which stops them


def _make(epoch: int, index: int) -> tuple[Floats, Floats]:
    return _kept.make(epoch, index)
