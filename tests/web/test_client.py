"""Clients are told apart, and nothing else is known of them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from operators import make_app

from flaskapi.web.client import client, lasting_client, read_key


def who_asks(app: Flask) -> Callable[..., bytes]:
    """What the application takes for the client of a request from an address, with X-Forwarded-For
    as somebody sent it.
    """
    app.add_url_rule("/who", "who", lambda: client().hex())
    asking: FlaskClient = app.test_client()

    def ask(address: str, forwarded: str | None = None) -> bytes:
        headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        return bytes.fromhex(
            asking.get("/who", environ_overrides={"REMOTE_ADDR": address}, headers=headers).text
        )

    return ask


def test_one_address_is_one_client_and_another_is_another(app: Flask) -> None:
    ask = who_asks(app)
    assert ask("192.0.2.1") == ask("192.0.2.1")
    assert 4 == len({ask(address) for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "")})
    assert 16 == len(ask("192.0.2.1"))


def test_a_network_that_one_client_has_to_itself_is_one_client(app: Flask) -> None:
    """Of IPv6 the first 64 bits; an IPv4 address that is written as one of IPv6 stays one
    address.
    """
    ask = who_asks(app)
    assert ask("2001:db8:0:1::1") == ask("2001:db8:0:1:ffff:ffff:ffff:ffff")
    assert ask("2001:db8:0:1::1") != ask("2001:db8:0:2::1")
    assert ask("fe80::1%eth0") == ask("fe80::2%eth1")
    assert ask("::ffff:192.0.2.1") == ask("192.0.2.1")


def test_networks_of_one_household_can_be_counted_together(tmp_path: Path) -> None:
    ask = who_asks(make_app(tmp_path, STORE="off", CLIENT_IPV6_BITS=56))
    assert ask("2001:db8:0:100::1") == ask("2001:db8:0:1ff::1")
    assert ask("2001:db8:0:100::1") != ask("2001:db8:0:200::1")


def test_a_port_that_a_proxy_adds_makes_no_other_client(tmp_path: Path) -> None:
    ask = who_asks(make_app(tmp_path, STORE="off", TRUSTED_PROXIES=1))
    for address, written in (
        ("203.0.113.5", "203.0.113.5:50123"),
        ("203.0.113.5", "[::ffff:203.0.113.5]:1"),
        ("2001:db8::1", "[2001:db8::2]:50123"),
        ("2001:db8::1", "[2001:db8::2]"),
    ):
        assert ask(address) == ask("10.0.0.9", written)
    assert ask("10.0.0.9", "203.0.113.5:1") != ask("10.0.0.9", "203.0.113.6:1")


def test_a_forged_header_has_no_effect_where_no_proxy_is_trusted(app: Flask) -> None:
    ask = who_asks(app)
    assert ask("192.0.2.1") == ask("192.0.2.1", "198.51.100.7")


@pytest.mark.parametrize("proxies", [1, 2])
def test_behind_so_many_proxies_the_client_is_who_asked_the_first_whatever_it_sent_itself(
    tmp_path: Path, proxies: int
) -> None:
    ask = who_asks(make_app(tmp_path, STORE="off", TRUSTED_PROXIES=proxies))
    added = ["203.0.113.5", "10.0.0.1"][:proxies]  # by each proxy, who asked it
    assert ask("203.0.113.5") == ask("10.0.0.9", ", ".join(added))
    assert ask("203.0.113.5") == ask("10.0.0.9", ", ".join(["198.51.100.7", "x", *added]))


def test_the_key_is_made_once_by_whoever_comes_first_and_nobody_else_can_read_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "instance" / "client.key"
    with ThreadPoolExecutor(16) as threads:
        keys = set(threads.map(lambda _: read_key(path), range(64)))
    assert 1 == len(keys)
    assert {32} == set(map(len, keys))
    assert 0o600 == path.stat().st_mode & 0o777
    assert [path] == list(path.parent.iterdir())


def test_clients_stay_who_they_are_after_a_restart_and_are_others_elsewhere(tmp_path: Path) -> None:
    """Two services' tables tell nobody that the same address stands in both."""
    first, again, elsewhere = (
        who_asks(make_app(tmp_path / folder, STORE="off"))("192.0.2.1")
        for folder in ("a", "a", "b")
    )
    assert first == again
    assert first != elsewhere


def test_where_the_key_cannot_be_kept_clients_are_told_apart_but_not_remembered(
    tmp_path: Path,
) -> None:
    app = make_app(tmp_path, STORE="off")
    (tmp_path / "client.key").mkdir()  # can be neither read nor made
    ask = who_asks(app)
    app.add_url_rule("/lasting", "lasting", lambda: str(lasting_client()))
    assert ask("192.0.2.1") == ask("192.0.2.1")
    assert ask("192.0.2.1") != ask("192.0.2.2")
    assert "None" == app.test_client().get("/lasting").text


def test_a_key_that_is_not_whole_is_none_for_with_an_empty_one_every_address_could_be_found(
    tmp_path: Path,
) -> None:
    path = tmp_path / "client.key"
    read_key(path)
    path.write_bytes(b"")
    with pytest.raises(OSError, match="erase it"):
        read_key(path)
