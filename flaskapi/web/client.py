"""Tell clients apart without learning who they are.

A client is identified by a keyed hash of its address. The key is made once, in the instance folder.
Without it nobody can find the address by trying all addresses.
"""

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from flask import Flask, current_app, request

_KEY_BYTES, _CLIENT_BYTES = 32, 16
# Some proxies add the port: 192.0.2.1:50123, [2001:db8::1]:50123.
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+", re.ASCII)


class _Key(NamedTuple):
    secret: bytes
    lasts: bool  # the same in every process, and after a restart


def init_app(app: Flask) -> None:
    """Trust as many proxies as the setting says. Each appends the address that sent it the request
    to X-Forwarded-For.
    """
    if proxies := app.config["TRUSTED_PROXIES"]:
        from werkzeug.middleware.proxy_fix import ProxyFix

        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]  # as Flask's documentation does


def client() -> bytes:
    """Identify the client of this request within this process: 16 bytes, the HMAC-SHA256 of its
    address.
    """
    place = _place(request.remote_addr or "", current_app.config["CLIENT_IPV6_BITS"])
    return hmac.digest(_key().secret, place.encode(), hashlib.sha256)[:_CLIENT_BYTES]


def lasting_client() -> bytes | None:
    """The same, to be stored; None if the key cannot be kept in the instance folder, because the
    same client would then have another hash tomorrow.
    """
    return client() if _key().lasts else None


def _key() -> _Key:
    key: _Key | None = current_app.extensions.get("flaskapi-client-key")
    if key is None:
        try:
            key = _Key(read_key(Path(current_app.instance_path) / "client.key"), lasts=True)
        except OSError as error:
            current_app.logger.error(
                "client.key cannot be kept, so labels are stored without their sender: %s", error
            )
            key = _Key(secrets.token_bytes(_KEY_BYTES), lasts=False)
        current_app.extensions["flaskapi-client-key"] = key
    return key


def read_key(path: Path) -> bytes:
    """Read the key. The first process makes it, whole, and readable only by its own user.

    Raises:
        OSError: the key can be neither read nor made.
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
        raise OSError(f"{path} does not hold {_KEY_BYTES} bytes; erase it, and a new one is made.")
    return key


def _place(address: str, network_bits: int) -> str:
    """Reduce an address to what identifies the client: of IPv6 only the network.

    Args:
        address: as the server or a proxy writes it, perhaps with a port or a zone.
        network_bits: the number of bits of the network in an IPv6 address.
    """
    if found := _WITH_PORT.fullmatch(address.strip()):
        address = found[1] or found[2]
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(
            parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), network_bits), strict=False)
        )
    return str(parsed)
