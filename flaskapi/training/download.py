"""MNIST for a training: from a path, or by Keras's own download."""

from pathlib import Path

import keras

from flaskapi.errors import DatasetError
from flaskapi.sources.mnist import Dataset, load_dataset


def load_or_download(source: Path | None) -> Dataset:
    """Read MNIST, or a data set of its form; None is for Keras's own copy.

    Raises:
        DatasetError: a file is missing, truncated or of another form, or the download failed.
    """
    if source is not None:
        return load_dataset(source)
    try:
        (train_images, train_labels), (test_images, test_labels) = keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises bare Exception where the download fails
        raise DatasetError(
            f"MNIST could not be downloaded ({error}). Give a copy with --data: a folder with its "
            "four files, or an .npz."
        ) from error
    return Dataset(train_images, train_labels, test_images, test_labels)
