"""Wait until every process of a running service serves a version, or name those that do not."""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from flaskapi.errors import FlaskapiError, ServiceUnreachableError

if TYPE_CHECKING:
    from flaskapi.versions.registry import Registry

TIMEOUT_S = 10.0
SILENT_S = 12.0  # a process reports every five seconds
DATABASE = ""  # stands for all instances, in place of an address
_AGAIN_S = 0.1


def add_wait(command: argparse.ArgumentParser) -> None:
    """Add `--wait` and `--timeout` to a command."""
    command.add_argument(
        "--wait",
        metavar="URL",
        nargs="?",
        const=DATABASE,
        help="wait until all processes of the service at this address, such as "
        "http://127.0.0.1:8000, serve it; without an address, where VERSIONS_STORE is "
        "`database`: all processes of all instances",
    )
    command.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help=f"wait at most this long ({TIMEOUT_S:g})",
    )


def check_wait(options: argparse.Namespace, registry: "Registry") -> None:
    """Check `--timeout`, and that a service answers at `--wait`, before anything is changed.

    Args:
        options: those of the command.
        registry: has the reports of all instances, where it is shared.

    Raises:
        FlaskapiError: one of them is not valid.
    """
    if options.wait is None:
        return
    if not 0 < options.timeout <= 3600:
        raise FlaskapiError(
            f"--timeout is {options.timeout:g}; it must be above 0, and at most 3,600 seconds."
        )
    _ask(options, registry)


def wait_for(options: argparse.Namespace, generation: int, registry: "Registry") -> int:
    """If `--wait` is given, wait until all processes serve this generation, or one no longer can.
    Gives the exit status.

    Raises:
        ServiceUnreachableError: no such service answers there.
        StoreUnavailableError: the database, which has the reports, cannot be read.
    """
    if options.wait is None:
        return 0
    begun_s = time.monotonic()
    while True:
        processes = _ask(options, registry)
        others = [one for one in processes if one["generation"] != generation]
        # Another version took its place: this one may have failed at once.
        is_over = all(one["generation"] > generation for one in others)
        waited_s = time.monotonic() - begun_s
        if not others:
            where = _count_instances(processes)
            print(f"All {len(processes)} processes{where} serve it, after {waited_s:.1f} s.")
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
                    f"error: process {_name(one)} serves {one['version']}, generation "
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


def _count_instances(processes: list[dict[str, Any]]) -> str:
    instances = {one["instance"] for one in processes if "instance" in one}
    return f" of {len(instances)} instances" if len(instances) > 1 else ""


def _name(process: dict[str, Any]) -> str:
    """A process as a person finds it, and for how long nothing was heard of it."""
    if "instance" not in process:
        return str(process["pid"])
    name = f"{process['pid']} of {process['instance']}"
    silent_s = process["silent_s"]
    return f"{name}, not heard of for {silent_s:.0f} s," if silent_s > SILENT_S else name


def _ask(options: argparse.Namespace, registry: "Registry") -> list[dict[str, Any]]:
    return (
        _ask_database(registry)
        if options.wait == DATABASE
        else _ask_service(options.wait, options.timeout)
    )


def _ask_database(registry: "Registry") -> list[dict[str, Any]]:
    from flaskapi.versions.shared import SharedRegistry

    if not isinstance(registry, SharedRegistry):
        raise FlaskapiError(
            "--wait needs the address of a service, such as http://127.0.0.1:8000: VERSIONS_STORE "
            "is `folder`, so nobody knows of other instances."
        )
    found = [one._asdict() for one in registry.reports()]
    if not found:
        raise ServiceUnreachableError(
            "No process of any instance has reported to the database in the last ten minutes."
        )
    return [{name: value for name, value in one.items() if value is not None} for one in found]


def _ask_service(url: str, timeout_s: float) -> list[dict[str, Any]]:
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
