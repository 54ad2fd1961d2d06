from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from flaskapi.errors import FlaskapiError
from flaskapi.submissions import SCOPES
from flaskapi.submissions.database import Database
from flaskapi.submissions.keys import any_key, find_key, list_keys, make_key, note_use, revoke_key
from flaskapi.submissions.migrate import migrate
from flaskapi.submissions.tables import keys


def test_a_key_is_found_by_its_token_alone(store: Database) -> None:
    assert not any_key(store)
    tokens = {name: make_key(store, name) for name in ("ada", "bob")}
    assert any_key(store)
    for name, token in tokens.items():
        found = find_key(store, token)
        assert found is not None
        assert name == found.name
    for wrong in (
        "",
        "flaskapi_",
        tokens["ada"][:-1],
        tokens["ada"] + "x",
        tokens["ada"].upper(),
        "ÿ",
        "ada",
    ):
        assert find_key(store, wrong) is None


def test_tokens_are_random_and_nothing_that_is_kept_contains_one(
    store: Database, engine: sa.Engine
) -> None:
    tokens = [make_key(store, f"key{number}") for number in range(20)]
    assert 20 == len(set(tokens))
    assert all(len(token.removeprefix("flaskapi_")) == 43 for token in tokens)  # 256 bits in base64
    with engine.connect() as connection:
        kept = repr(connection.execute(sa.select(keys)).all())
    assert not [token for token in tokens if token.removeprefix("flaskapi_") in kept]


def test_a_revoked_key_opens_nothing_and_stays_in_the_list(store: Database) -> None:
    token, other = make_key(store, "bob"), make_key(store, "ada")
    assert revoke_key(store, "bob")
    assert find_key(store, token) is None
    assert find_key(store, other) is not None
    assert [False, False] == [revoke_key(store, name) for name in ("bob", "no\0body")]
    assert any_key(store)
    assert [("ada", False), ("bob", True)] == [
        (key.name, key.revoked_at is not None) for key in list_keys(store)
    ]


def test_a_name_is_given_once_for_labels_bear_it(store: Database) -> None:
    token = make_key(store, "ada")
    for _ in range(2):
        with pytest.raises(FlaskapiError, match="named 'ada'"):
            make_key(store, "ada")
        assert (find_key(store, token) is None) == bool(list_keys(store)[0].revoked_at)
        revoke_key(store, "ada")
    assert 1 == len(list_keys(store))


def test_a_key_keeps_its_scopes_its_end_and_its_limit(store: Database) -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    token = make_key(
        store, "ada", scopes=["label", "predict"], expires_at=end, rate_limit="5 per minute"
    )
    found = find_key(store, token)
    assert found is not None
    assert ("predict label", end, "5 per minute") == found[4:]
    assert [True, True, False] == [found.opens(scope) for scope in SCOPES]
    whole = find_key(store, make_key(store, "bob"))
    assert whole is not None
    assert [True] * 3 == [whole.opens(scope) for scope in SCOPES]


def test_a_key_that_was_made_before_there_were_scopes_is_an_operators(
    store: Database, engine: sa.Engine
) -> None:
    token = make_key(store, "ada")
    store.close()
    migrate(engine, "r0004")
    found = find_key(store, token)
    assert found is not None
    assert ("operate", None, None) == found[4:]


def test_a_key_that_has_expired_is_not_found(store: Database) -> None:
    assert find_key(store, make_key(store, "ada", expires_at=datetime.now(UTC))) is None
    assert ["ada"] == [key.name for key in list_keys(store)]


def test_the_last_use_is_noted_once_a_minute(store: Database) -> None:
    token, begun = make_key(store, "ada"), datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
    noted = []
    for seconds in (0, 30, 59, 60, 61, 150):
        key = find_key(store, token)
        assert key is not None
        note_use(store, key, begun + timedelta(seconds=seconds))
        used_at = list_keys(store)[0].used_at
        assert used_at is not None
        noted.append((used_at - begun).total_seconds())
    assert [0, 0, 0, 60, 60, 150] == noted
