"""Without a path, Keras is asked for MNIST."""

from pathlib import Path

import pytest

from flaskapi.errors import DatasetError
from flaskapi.sources.mnist import Dataset
from flaskapi.training.download import load_or_download

pytestmark = pytest.mark.train


def test_where_the_download_fails_the_error_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import keras

    def unreachable() -> None:
        # As bare as Keras raises it.
        raise Exception("URL fetch failure: Name or service not known")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", unreachable)
    with pytest.raises(
        DatasetError,
        match=r"URL fetch failure: .* --data: a folder with its four files, or an \.npz",
    ):
        load_or_download(None)


def test_without_a_source_keras_is_asked(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    import keras

    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (dataset[:2], dataset[2:]))
    for one, other in zip(dataset, load_or_download(None), strict=True):
        assert (one == other).all()


def test_a_path_is_read_and_nothing_downloaded(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.npz"):
        load_or_download(tmp_path / "none.npz")
