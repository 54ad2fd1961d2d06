"""The problems that callers can receive, each with its status and its meaning (RFC 9457)."""

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
    errors.IdempotencyKeyReusedError: 422,
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
    "missing-image": "The request contains no image, or an empty one.",
    "invalid-request": "The request cannot be understood: malformed multipart or JSON, a damaged "
    "archive, or a bad value.",
    "unauthorized": "This address needs a key, and the key of the request is missing, unknown, "
    "revoked or expired.",
    "forbidden": "The key has a scope that does not allow this, or no key has been made yet.",
    "not-found": "There is nothing at this address, or no submission has this id.",
    "conflict": "The request does not fit the current state: for example, a name is already taken, "
    "or a version must not serve.",
    "method-not-allowed": "The address does not allow this method; the header Allow lists the "
    "methods that it allows.",
    "too-large": "The request has more bytes, pixels, parts or images than the limits allow.",
    "unsupported-image": "This is not an image or an archive, or its format is not supported.",
    "invalid-image": "The image cannot be decoded completely: it is truncated or damaged.",
    "no-digit-found": "The image shows no digit: it is blank, or has only grain or lines.",
    "idempotency-key-reused": "The header Idempotency-Key came with another image or query before.",
    "rate-limited": "This client sends more requests than the limits allow; the header "
    "Retry-After says when to try again.",
    "model-unavailable": "No model can answer at the moment.",
    "store-unavailable": "The request needs the store, which cannot keep or read anything at the "
    "moment.",
    "overloaded": "The service has more requests than it can answer in time. Try again later.",
    "internal-error": "An error occurred in the service; its log has the details under this "
    "request_id.",
}


def describe(error: Exception, *, base: str = "", request_id: str | None = None) -> dict[str, Any]:
    """Give the problem document of an error, for one image of many. An unexpected error is logged.

    Args:
        error: the exception that was raised.
        base: the prefix of every address.
        request_id: the id of the request, if there is one.
    """
    if isinstance(error, errors.FlaskapiError):
        name, status, detail = name_of(type(error)), STATUS[type(error)], detail_of(error)
    else:
        logging.getLogger("flaskapi").error("an image of many could not be read", exc_info=error)
        name, status, detail = "internal-error", 500, PROBLEMS["internal-error"]
    return make_document(name, status, detail, base=base, request_id=request_id)


def detail_of(error: errors.FlaskapiError) -> str:
    """The text of an error for callers: without hosts, users and paths of the store."""
    return error.public if isinstance(error, errors.StoreUnavailableError) else str(error)


def make_document(
    name: str, status: int, detail: str, *, base: str = "", request_id: str | None = None
) -> dict[str, Any]:
    """Give the members of a problem document; outside of a request there is no `request_id`."""
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
