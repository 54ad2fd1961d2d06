"""The problems that callers are told of, each with its status and its meaning (RFC 9457)."""

import logging
from typing import Any

from flaskapi import errors

STATUS = {
    errors.MissingImageError: 400,
    errors.InvalidRequestError: 400,
    errors.UnauthorizedError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.RateLimitedError: 429,
    errors.TooLargeError: 413,
    errors.UnsupportedImageError: 415,
    errors.InvalidImageError: 422,
    errors.NoDigitFoundError: 422,
    errors.OverloadedError: 503,
    errors.ModelUnavailableError: 503,
    errors.StoreUnavailableError: 503,
}
# What can be wrong with a picture, or keep it from being answered.
PICTURE_ERRORS = (
    errors.MissingImageError,
    errors.UnsupportedImageError,
    errors.InvalidImageError,
    errors.NoDigitFoundError,
    errors.ModelUnavailableError,
    errors.StoreUnavailableError,
)
PROBLEMS = {
    "missing-image": "The request carries no image, or an empty one.",
    "invalid-request": "The request cannot be understood: malformed multipart or JSON, a damaged "
    "archive, or a bad value.",
    "unauthorized": "A key is needed here, and the request has none, or one that is unknown, was "
    "revoked or has expired.",
    "forbidden": "The address is not open to this caller, whose key has another scope, or to "
    "nobody before a key is made.",
    "not-found": "There is nothing at this address, or no submission of this id.",
    "conflict": "It cannot be as things stand: a name that is taken, or a version that must not "
    "serve.",
    "method-not-allowed": "The address exists, but not for this method; the header Allow names "
    "those it takes.",
    "too-large": "More bytes, pixels, parts or images than the limits allow.",
    "unsupported-image": "Not an image or an archive, or of a format that is not read.",
    "invalid-image": "An image that cannot be decoded whole: truncated or damaged.",
    "no-digit-found": "An image on which nothing stands out: blank, only grain, only lines.",
    "rate-limited": "This client asks more often than the limits allow; the header Retry-After "
    "says when to come back.",
    "model-unavailable": "There is no model to answer with at the moment.",
    "store-unavailable": "Nothing can be kept or looked up at the moment, and what was asked for "
    "needs it.",
    "overloaded": "More requests than the service can answer in time; send it again later.",
    "internal-error": "Something went wrong in the service; its log has it under the same "
    "request_id.",
}


def describe(error: Exception, *, base: str = "", request_id: str | None = None) -> dict[str, Any]:
    """Give the problem document of an error, for one image of many; of a crash the log has more.

    Args:
        error: what was raised.
        base: what stands before the path of every address.
        request_id: of the request, if there is one.
    """
    if isinstance(error, errors.FlaskapiError):
        name, status, detail = name_of(type(error)), STATUS[type(error)], detail_of(error)
    else:
        logging.getLogger("flaskapi").error("an image of many could not be read", exc_info=error)
        name, status, detail = "internal-error", 500, PROBLEMS["internal-error"]
    return make_document(name, status, detail, base=base, request_id=request_id)


def detail_of(error: errors.FlaskapiError) -> str:
    """What a caller may read of an error: of the store, nothing of hosts, users and paths."""
    return error.public if isinstance(error, errors.StoreUnavailableError) else str(error)


def make_document(
    name: str, status: int, detail: str, *, base: str = "", request_id: str | None = None
) -> dict[str, Any]:
    """Give the members of the one shape; outside of a request there is no `request_id`."""
    document = {
        "type": f"{base}/problems/{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }
    return document if request_id is None else document | {"request_id": request_id}


def name_of(kind: type[errors.FlaskapiError]) -> str:
    """The problem's name: `NoDigitFoundError` is `no-digit-found`.

    >>> name_of(errors.NoDigitFoundError)
    'no-digit-found'
    """
    words = "".join(
        f"-{letter.lower()}" if letter.isupper() else letter
        for letter in kind.__name__.removesuffix("Error")
    )
    return words.lstrip("-")
