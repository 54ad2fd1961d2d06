"""Load a version so that it can serve at once: it has answered, and is warm."""

from collections.abc import Callable

from flaskapi.errors import FlaskapiError, ModelUnavailableError
from flaskapi.reading.protocols import Classifier
from flaskapi.versions.smoke import check_answers

Load = Callable[[str], Classifier]  # by the version's name


def make_loader(load: Load, warm: Callable[[Classifier], None]) -> Load:
    """Make of what loads a version what also lets it answer, and warms it up.

    The function that is given raises ModelUnavailableError where any of these fails.
    """

    def load_and_try(version: str) -> Classifier:
        try:
            classifier = load(version)
            check_answers(classifier)
            warm(classifier)
        except FlaskapiError as error:
            raise ModelUnavailableError(str(error)) from error
        except Exception as error:  # whatever a model comes up with
            raise ModelUnavailableError(f"{version} cannot answer: {error}") from error
        return classifier

    return load_and_try
