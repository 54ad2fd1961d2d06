"""What can go wrong, in the domain's words. Nothing here knows HTTP: `web/errors.py` translates."""


class FlaskapiError(Exception):
    """The base of every error that this project raises on purpose; its text is fit for the
    caller.
    """


class MissingImageError(FlaskapiError):
    """The request carries no image."""


class InvalidRequestError(FlaskapiError):
    """The request cannot be understood; the text names the part at fault."""


class TooLargeError(FlaskapiError):
    """More bytes or pixels than the limits allow; the text names the limit."""


class UnsupportedImageError(FlaskapiError):
    """The bytes are not an image, or of a format that is not read."""


class InvalidImageError(FlaskapiError):
    """An image of a known format that cannot be decoded whole: truncated or corrupt."""


class NoDigitFoundError(FlaskapiError):
    """Nothing stands out from the ground: the image is blank, or only grain or lines are on it."""


class UnauthorizedError(FlaskapiError):
    """The caller bears no key where one is needed, or none that is good."""


class ForbiddenError(FlaskapiError):
    """This caller may not do this here, or nobody yet; the text says what would open it."""


class RateLimitedError(FlaskapiError):
    """A key is used more often than its own limit allows; the text says when to come back."""

    def __init__(self, reason: str, retry_after_s: int = 1) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class NotFoundError(FlaskapiError):
    """There is nothing of this name or identifier; the text names it."""


class ConflictError(FlaskapiError):
    """What was asked for cannot be as things stand; the text says why, and what can be done."""


class OverloadedError(FlaskapiError):
    """There is more to do than can be done in time; the text says of what."""


class ModelUnavailableError(FlaskapiError):
    """There is no model to answer with; the text says why."""


class StoreUnavailableError(FlaskapiError):
    """Submissions cannot be kept or looked up; the text says why."""

    def __init__(
        self,
        reason: str,
        *,
        lasting: bool = False,
        only_keeping: bool = False,
        public: str | None = None,
    ) -> None:
        """Say why, for the log and for operators.

        Args:
            lasting: the store does not come back by itself; a person has to do something.
            only_keeping: nothing more can be kept; what is kept can be looked up and erased.
            public: what a stranger may read, where the reason names hosts, users or paths.
        """
        super().__init__(reason)
        self.lasting, self.only_keeping, self.public = lasting, only_keeping, public or reason


class ModelFileError(FlaskapiError):
    """A file that cannot serve as this service's model; the text says what it is and what is
    needed.
    """


class VersionError(FlaskapiError):
    """A version of the model that is not there, or that must not serve; the text says why."""


class DatasetError(FlaskapiError):
    """A data set that cannot be read; the text names the file and what was expected of it."""


class ServiceUnreachableError(FlaskapiError):
    """No service of this kind answers at an address; the text names it."""


class WorkerDiedError(FlaskapiError):
    """A process that read images ended in the middle of its work."""


class SettingError(FlaskapiError):
    """A setting with a bad value; the text names its key and what was expected."""
