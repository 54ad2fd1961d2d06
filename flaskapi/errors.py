"""The errors of this project. They know no HTTP: `web/errors.py` translates them into answers."""


class FlaskapiError(Exception):
    """The base of every error that this project raises on purpose. A caller may read its text."""


class MissingImageError(FlaskapiError):
    """The request carries no image."""


class InvalidRequestError(FlaskapiError):
    """The request cannot be understood; the text names the invalid part."""


class TooLargeError(FlaskapiError):
    """More bytes or pixels than the limits allow; the text names the limit."""


class UnsupportedImageError(FlaskapiError):
    """The bytes are not an image, or the format is not supported."""


class InvalidImageError(FlaskapiError):
    """An image of a known format that cannot be decoded whole: truncated or corrupt."""


class NoDigitFoundError(FlaskapiError):
    """The image shows no ink: it is blank, or has only grain or lines."""


class UnauthorizedError(FlaskapiError):
    """The key that the route needs is missing, or not valid."""


class ForbiddenError(FlaskapiError):
    """This caller may not use the route, or nobody may yet; the text says what would allow it."""


class RateLimitedError(FlaskapiError):
    """A key exceeds its own rate limit; the text says when to try again."""

    def __init__(self, reason: str, retry_after_s: int = 1) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class NotFoundError(FlaskapiError):
    """Nothing has this name or identifier; the text names it."""


class ConflictError(FlaskapiError):
    """The request does not fit the current state; the text says why and what to do."""


class IdempotencyKeyReusedError(FlaskapiError):
    """An idempotency key came with another upload before; the text says what to do."""


class OverloadedError(FlaskapiError):
    """The service cannot do this in time; the text says what there is too much of."""


class ModelUnavailableError(FlaskapiError):
    """No model can answer; the text says why."""


class StoreUnavailableError(FlaskapiError):
    """Submissions cannot be kept or looked up; the text says why."""

    def __init__(
        self,
        reason: str,
        *,
        lasting: bool = False,
        only_keeping: bool = False,
        lost: bool = False,
        public: str | None = None,
    ) -> None:
        """Give the reason, for the log and for operators.

        Args:
            lasting: the store does not recover by itself; a person has to act.
            only_keeping: nothing more can be kept, but stored data can be read and erased.
            lost: one image is missing or damaged where its row says; others can be read.
            public: a text without hosts, users and paths, for callers.
        """
        super().__init__(reason)
        self.lasting, self.only_keeping, self.lost = lasting, only_keeping, lost
        self.public = public or reason


class ModelFileError(FlaskapiError):
    """A file that this service cannot use as a model; the text says what it is and what is
    needed.
    """


class VersionError(FlaskapiError):
    """A version that does not exist or must not serve; the text says why."""


class DatasetError(FlaskapiError):
    """A data set that cannot be read; the text names the file and what was expected."""


class ServiceUnreachableError(FlaskapiError):
    """No such service answers at an address; the text names the address."""


class WorkerDiedError(FlaskapiError):
    """A process that was reading images ended unexpectedly."""


class SettingError(FlaskapiError):
    """A setting with a bad value; the text names the setting and what was expected."""
