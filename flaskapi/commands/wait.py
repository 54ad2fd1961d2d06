"""Wait until every process of a running service serves a version, or name those that do not."""

import argparse
import json
import sys
import time
from typing import Any

from flaskapi.errors import FlaskapiError, ServiceUnreachableError

TIMEOUT_S = 10.0
_AGAIN_S = 0.1


def add_wait(command: argparse.ArgumentParser) -> None:
    """Add `--wait` and `--timeout` to a command."""
    command.add_argument(
        "--wait",
        metavar="URL",
        help="wait until all processes of the service at this address, such as "
        "http://127.0.0.1:8000, serve it",
    )
    command.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help=f"wait at most this long ({TIMEOUT_S:g})",
    )


def check_wait(options: argparse.Namespace) -> None:
    """Check `--timeout`, and that a service answers at `--wait`, before anything is changed.

    Raises:
        FlaskapiError: one of them is not valid.
    """
    if options.wait is None:
        return
    if not 0 < options.timeout <= 3600:
        raise FlaskapiError(
            f"--timeout is {options.timeout:g}; it must be above 0, and at most 3,600 seconds."
        )
    _ask(options.wait, options.timeout)


def wait_for(options: argparse.Namespace, generation: int) -> int:
    """If `--wait` is given, wait until all processes serve this generation, or one no longer can.
    Gives the exit status.

    Raises:
        ServiceUnreachableError: no such service answers there.
    """
    if options.wait is None:
        return 0
    begun_s = time.monotonic()
    while True:
        processes = _ask(options.wait, options.timeout)
        others = [one for one in processes if one["generation"] != generation]
        # Another version took its place: this one may have failed at once.
        is_over = all(one["generation"] > generation for one in others)
        waited_s = time.monotonic() - begun_s
        if not others:
            print(f"All {len(processes)} processes serve it, after {waited_s:.1f} s.")
            return 0
        if is_over or waited_s > options.timeout:
            for one in others:
                later = (
                    " Another version was promoted or rolled back to meanwhile."
                    if one["generation"] > generation
                    else ""
                )
                refused = one.get("refused")
                if refused == "unavailable":  # the answer without an operator's key
                    refused = "it cannot be used there; the service's log has the reason."
                why = f": {refused}" if refused else f".{later}"
                print(
                    f"error: process {one['pid']} serves {one['version']}, generation "
                    f"{one['generation']}{why}",
                    file=sys.stderr,
                )
            after_s = round(min(waited_s, options.timeout), 1)
            print(
                f"error: {len(others)} of {len(processes)} processes do not serve it after "
                f"{after_s:g} s.",
                file=sys.stderr,
            )
            return 1
        time.sleep(_AGAIN_S)


def _ask(url: str, timeout_s: float) -> list[dict[str, Any]]:
    # Not at the top: these take an eighth of a second to load, and every command comes here.
    import http.client
    import urllib.error
    import urllib.request

    address = url.rstrip("/") + "/health/ready"
    if not address.startswith(("http://", "https://")):
        raise ServiceUnreachableError(
            f"{url}: expected an address that begins with http:// or https://."
        )
    try:
        try:
            with urllib.request.urlopen(address, timeout=timeout_s) as response:  # noqa: S310 checked above
                answer = json.load(response)
        except urllib.error.HTTPError as error:  # not ready, but the answer lists the processes
            with error:
                answer = json.load(error)
        processes: list[dict[str, Any]] = answer["processes"]
        return [
            one
            | {
                "pid": int(one["pid"]),
                "generation": int(one["generation"]),
                "version": str(one["version"]),
            }
            for one in processes
        ]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise ServiceUnreachableError(
            f"{address}: no such service answers there: {error}"
        ) from error
