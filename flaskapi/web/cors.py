"""Pages of other origins: which may ask this service, by the setting CORS_ORIGINS.

A browser lets a foreign page read an answer only if the answer names the page's origin. But a form
of any page is sent without asking, so what a foreign page sent is not kept unless it is allowed.
"""

from flask import Flask, Response, current_app, request
from werkzeug.datastructures import HeaderSet

# What a page may read beside what every page may.
_READ = HeaderSet(("X-Request-ID", "Retry-After", "Location", "ETag", "WWW-Authenticate"))
_PREFLIGHT_S = 7200  # that a browser may remember an answer; Chromium remembers none longer
_OWN = ("same-origin", "none")  # of Sec-Fetch-Site: this origin, or a person who typed the address


def init_app(app: Flask) -> None:
    """Answer pages of other origins, where any may ask; else nothing is done for any request."""
    if app.config["CORS_ORIGINS"]:
        app.after_request(_add_headers)


def is_foreign_page() -> bool:
    """Did a page of another origin send this request, which CORS_ORIGINS does not name?

    Browsers name the origin of every POST. Where they say whether it is that of the service
    (`Sec-Fetch-Site`), that is believed; over plain HTTP they do not, and the host is compared. So
    does Go's `http.CrossOriginProtection`; other programs send neither, and are no pages.
    """
    origin = request.origin
    if origin is None or _is_allowed(origin):
        return False
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN
    return origin.partition("://")[2] != request.host


def _is_allowed(origin: str) -> bool:
    allowed: tuple[str, ...] = current_app.config["CORS_ORIGINS"] or ()
    return origin in allowed or "*" in allowed


def _add_headers(response: Response) -> Response:
    everybody = "*" in current_app.config["CORS_ORIGINS"]
    if not everybody:
        response.vary.add("Origin")
    origin = request.origin
    if origin is None or not _is_allowed(origin):
        return response
    response.access_control_allow_origin = "*" if everybody else origin
    response.access_control_expose_headers = _READ
    if request.method == "OPTIONS" and request.access_control_request_method:
        response.access_control_allow_methods = response.allow
        response.access_control_allow_headers = request.access_control_request_headers
        response.access_control_max_age = _PREFLIGHT_S
    return response
