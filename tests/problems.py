"""The one shape of errors, specified once for all tests."""

from werkzeug.test import TestResponse

MEMBERS = ["type", "title", "status", "detail", "request_id"]


def read_problem(response: TestResponse) -> tuple[int, str]:
    """Check that an answer is a problem of the one shape, and give its status and name.

    An error is `application/problem+json` with type, title, status, detail and request_id, in this
    order, and nothing else but `checks` and `processes`. Below `/v2/` it is `application/json`, and
    has the detail again as `error`. Its status and its request's identifier are those of the
    headers; a 429 and a 503 say when to come back, a 405 what is allowed, a 401 how to
    authenticate.
    """
    document = response.get_json()
    more = {"checks", "processes"}
    if response.request.path.startswith("/v2/"):
        assert "application/json" == response.content_type
        assert document["detail"] == document["error"]
        more.add("error")
    else:
        assert "application/problem+json" == response.content_type
    assert MEMBERS == [member for member in document if member not in more]
    name = document["type"].removeprefix("/problems/")
    assert name.replace("-", " ").capitalize() == document["title"]
    assert response.status_code == document["status"]
    assert response.headers["X-Request-ID"] == document["request_id"]
    assert document["detail"]
    assert (response.status_code in (429, 503)) == ("Retry-After" in response.headers)
    assert (response.status_code == 405) == ("Allow" in response.headers)
    assert (response.status_code == 401) == ("Bearer" == response.headers.get("WWW-Authenticate"))
    return response.status_code, name
