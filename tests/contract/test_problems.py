"""What a caller reads of an error."""

from flaskapi.contract.problems import describe
from flaskapi.errors import InvalidImageError, StoreUnavailableError


def test_of_the_store_a_caller_reads_no_host_user_or_path() -> None:
    error = StoreUnavailableError("No route to 10.0.0.5, user flaskapi.", public="It is down.")
    assert "It is down." == describe(error)["detail"]


def test_of_an_image_a_caller_reads_what_is_wrong_with_it() -> None:
    document = describe(InvalidImageError("It is cut off."), base="/digits", request_id="mine")
    assert ("It is cut off.", "/digits/problems/invalid-image", "mine") == (
        document["detail"],
        document["type"],
        document["request_id"],
    )
