"""API keys: shown once, kept as a hash, good for what they say."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.errors import ContractError
from models.store.keys import SCOPES, USE_STEP, ApiKey, create_key, list_keys, revoke_key, touch_key, verify_key
from models.store.tables import api_keys
from tests.store.cast import DAY, T


def verify(engine: Engine, presented: str) -> ApiKey | None:
    with engine.connect() as conn:
        return verify_key(conn, presented)


def test_a_key_opens(store: Engine) -> None:
    key, secret = create_key(store, " CRM ", ["write", "read", "read"], T)
    assert (key.name, key.scopes, key.created_at, key.last_used_at, key.revoked_at) == (
        "CRM",
        ("read", "write"),
        T,
        None,
        None,
    )
    assert secret.startswith(f"ebb_{key.key_id}_")
    assert verify(store, secret) == key


def test_nothing_else_opens(store: Engine) -> None:
    key, secret = create_key(store, "CRM", ["read"], T)
    other, _ = create_key(store, "other", ["admin"], T)
    crossed = secret.replace(key.key_id, other.key_id)
    wrong = [
        "",
        "ebb",
        "ebb__",
        secret[:-1],
        secret + "0",
        secret.upper(),
        "abc" + secret[3:],
        crossed,
        "🌊",
        f"ebb_{key.key_id}_",
    ]
    assert [verify(store, presented) for presented in wrong] == [None] * len(wrong)


def test_the_secret_is_not_kept(store: Engine) -> None:
    key, secret = create_key(store, "CRM", ["read"], T)
    with store.connect() as conn:
        row = conn.execute(sa.select(api_keys)).one()
    assert secret.rsplit("_", 1)[1] not in str(row)
    assert len(bytes.fromhex(secret.rsplit("_", 1)[1])) == 32
    assert secret.rsplit("_", 1)[1] not in repr(key)


def test_keys_differ(store: Engine) -> None:
    made = {create_key(store, "CRM", ["read"], T)[1] for _ in range(5)}
    assert len(made) == 5


def test_a_revoked_key_stays_listed_and_opens_nothing(store: Engine) -> None:
    key, secret = create_key(store, "CRM", ["read"], T)
    revoke_key(store, key.key_id, T + DAY)
    revoke_key(store, key.key_id, T + 2 * DAY)
    assert verify(store, secret) is None
    with store.connect() as conn:
        assert [(k.key_id, k.revoked_at) for k in list_keys(conn)] == [(key.key_id, T + DAY)]


def test_an_unknown_key_cannot_be_revoked(store: Engine) -> None:
    with pytest.raises(ContractError, match="no key 'x'; list them with: ebbtide keys list"):
        revoke_key(store, "x", T)


def test_use_is_remembered_once_a_minute(store: Engine) -> None:
    _, secret = create_key(store, "CRM", ["read"], T)
    seen = []
    for later in (timedelta(0), USE_STEP / 2, USE_STEP, 1.5 * USE_STEP):
        key = verify(store, secret)
        assert key is not None
        touch_key(store, key, T + later)
        after = verify(store, secret)
        assert after is not None
        seen.append(after.last_used_at)
    assert seen == [T, T, T + USE_STEP, T + USE_STEP]


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [(["read"], ["read"]), (["write"], ["write"]), (["read", "write"], ["read", "write"]), (["admin"], list(SCOPES))],
)
def test_scopes(sqlite_store: Engine, scopes: list[str], allowed: list[str]) -> None:
    key, _ = create_key(sqlite_store, "CRM", scopes, T)
    assert [scope for scope in SCOPES if key.allows(scope)] == allowed


@pytest.mark.parametrize(
    ("name", "scopes", "reason"),
    [("CRM", ["root"], "got root"), ("CRM", [], "got none"), (" ", ["read"], "needs a name")],
)
def test_what_is_no_key_is_refused(sqlite_store: Engine, name: str, scopes: list[str], reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        create_key(sqlite_store, name, scopes, T)
