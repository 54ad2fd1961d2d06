"""Every answer tells browsers to run nothing, guess nothing and be framed by nobody."""

import pytest
from flask import Flask, Response

from flaskapi.web.security import HEADERS


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/nothing", "/problems/"])
def test_every_answer_bears_them(app: Flask, path: str) -> None:
    headers = app.test_client().get(path).headers
    assert {name: headers.get_all(name) for name in HEADERS} == {
        name: [value] for name, value in HEADERS.items()
    }


def test_a_page_may_have_a_policy_of_its_own(app: Flask) -> None:
    policy = "default-src 'self'"

    @app.get("/page")
    def page() -> Response:
        return Response("<p>", headers={"Content-Security-Policy": policy})

    headers = app.test_client().get("/page").headers
    assert [policy] == headers.get_all("Content-Security-Policy")
    assert "nosniff" == headers["X-Content-Type-Options"]
