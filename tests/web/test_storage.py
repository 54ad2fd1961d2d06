"""How much is kept, and what is erased when."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from fakes import make_submission
from flask import Flask
from operators import make_app, operator, store_of

from flaskapi.submissions.housekeeping import take_turn


def test_what_is_kept_is_counted_with_the_room_that_it_takes(keeping: Flask) -> None:
    client, ada = keeping.test_client(), operator(keeping)
    before = client.get("/storage", headers=ada).get_json()
    assert (0, None, None) == (before["submissions"], before["oldest_at"], before["oldest_goes_at"])
    store_of(keeping).record([make_submission(image=bytes(200_000)) for _ in range(3)])
    after = client.get("/storage", headers=ada).get_json()
    assert 3 == after["submissions"]
    assert after["used_bytes"] > before["used_bytes"] + 150_000
    assert 0 < after["disk"]["free_bytes"] < after["disk"]["size_bytes"]
    assert 0 < after["disk"]["reserve_bytes"] <= 1 << 30


def test_the_limits_and_when_the_oldest_goes_are_said(tmp_path: Path) -> None:
    app = make_app(tmp_path, KEEP_DAYS=30, KEEP_SUBMISSIONS=1000, HOUSEKEEPING="on")
    client, ada, now = app.test_client(), operator(app), datetime.now(UTC)
    store_of(app).record([make_submission(received_at=now - timedelta(days=2))])
    found = client.get("/storage", headers=ada).get_json()
    goes_at = datetime.fromisoformat(found["oldest_goes_at"])
    assert abs(goes_at - now - timedelta(days=28)) < timedelta(seconds=1)
    assert (30, 1000, None, 0.5) == tuple(found["limits"].values())[:4]
    assert take_turn(store_of(app))
    at = client.get("/storage", headers=ada).get_json()["housekeeping_at"]
    assert timedelta(minutes=9) < datetime.fromisoformat(at) - now <= timedelta(minutes=11)
    store_of(app).close()
