"""Load a version so that it can serve at once: tested, and warm."""

from collections.abc import Callable

from flaskapi.errors import FlaskapiError, ModelUnavailableError
from flaskapi.reading.protocols import Classifier
from flaskapi.versions.smoke import check_answers

Load = Callable[[str], Classifier]  # by the version's name


def make_loader(load: Load, warm: Callable[[Classifier], None]) -> Load:
    """Turn a function that loads a version into one that also tests it and warms it up.

    The result raises ModelUnavailableError if any of these fails.
    """

    def load_and_try(version: str) -> Classifier:
        try:
            classifier = load(version)
            check_answers(classifier)
            warm(classifier)
        except FlaskapiError as error:
            raise ModelUnavailableError(str(error)) from error
        except Exception as error:  # a model may raise anything
            raise ModelUnavailableError(f"{version} cannot answer: {error}") from error
        return classifier

    return load_and_try
