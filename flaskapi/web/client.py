"""Who asks, as far as this service wants to know: one client can be told from another, and nothing
else is known of it.

A client is its address under a keyed hash. Without the key, which is made once, in the instance
folder, nobody can find the address by trying them all.
"""

import hashlib
import hmac
import ipaddress
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from flask import Flask, current_app, request

_KEY_BYTES, _CLIENT_BYTES = 32, 16
_NETWORK_BITS = 64  # of an IPv6 address: what one household or one server has to itself


class _Key(NamedTuple):
    secret: bytes
    lasts: bool  # the same in every process, and after a restart


def init_app(app: Flask) -> None:
    """Believe as many proxies as the settings say: each adds to X-Forwarded-For, at its end, who
    asked it.
    """
    if proxies := app.config["TRUSTED_PROXIES"]:
        from werkzeug.middleware.proxy_fix import ProxyFix

        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]  # as Flask's documentation does


def client() -> bytes:
    """Tell the client of this request from others that ask this process: 16 bytes, HMAC-SHA256 of
    its address.
    """
    return hmac.digest(_key().secret, _place(request.remote_addr or "").encode(), hashlib.sha256)[
        :_CLIENT_BYTES
    ]


def lasting_client() -> bytes | None:
    """The same, to be kept; None where the instance folder cannot keep the key, so that the same
    client would be another tomorrow.
    """
    return client() if _key().lasts else None


def _key() -> _Key:
    key: _Key | None = current_app.extensions.get("flaskapi-client-key")
    if key is None:
        try:
            key = _Key(read_key(Path(current_app.instance_path) / "client.key"), lasts=True)
        except OSError as error:
            current_app.logger.error(
                "no client.key can be kept, so that labels do not bear who gave them: %s", error
            )
            key = _Key(secrets.token_bytes(_KEY_BYTES), lasts=False)
        current_app.extensions["flaskapi-client-key"] = key
    return key


def read_key(path: Path) -> bytes:
    """Read the key. Whichever process comes first makes it, whole, and readable by nobody else on
    this machine.

    Raises:
        OSError: it can be neither read nor made.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            os.link(own, path)
        except FileExistsError:
            pass  # another process was first
        finally:
            own.unlink(missing_ok=True)
    if len(key := path.read_bytes()) != _KEY_BYTES:
        raise OSError(f"{path} does not hold {_KEY_BYTES} bytes; erase it, and it is made anew.")
    return key


def _place(address: str) -> str:
    """An address, or the network that it is one of where one client has many."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(
            parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), _NETWORK_BITS), strict=False)
        )
    return str(parsed)
