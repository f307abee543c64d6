"""API keys: shown once, kept as a hash, good for what they say."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.errors import ContractError, KeyEnded, UnknownKey
from models.store.books import Book
from models.store.keys import (
    SCOPES,
    USE_STEP,
    ApiKey,
    create_key,
    list_keys,
    revoke_key,
    rotate_key,
    touch_key,
    verify_key,
)
from models.store.tables import api_keys
from tests.store.cast import DAY, T


def verify(engine: Engine, presented: str, at: datetime = T) -> ApiKey | None:
    with engine.connect() as conn:
        return verify_key(conn, presented, at)


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
    with pytest.raises(UnknownKey, match="no key 'x'; list them with: ebbtide keys list"):
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
    [
        (["read"], ["read", "score"]),
        (["score"], ["score"]),
        (["write"], ["write"]),
        (["read", "write"], ["read", "write", "score"]),
        (["admin"], list(SCOPES)),
    ],
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


def test_a_key_that_expires_opens_until_then(store: Engine) -> None:
    key, secret = create_key(store, "CRM", ["read"], T, expires_at=T + DAY)
    found = verify(store, secret, T + DAY - timedelta(seconds=1))
    assert found == key
    assert found is not None
    assert found.valid_until == T + DAY
    assert verify(store, secret, T + DAY) is None
    with pytest.raises(ContractError, match="in the future"):
        create_key(store, "CRM", ["read"], T, expires_at=T)


def test_two_secrets_open_for_the_overlap(store: Engine) -> None:
    key, first = create_key(store, "CRM", ["read"], T)
    rotated, second = rotate_key(store, key.key_id, T, 2 * DAY)
    assert (rotated.key_id, rotated.previous_until) == (key.key_id, T + 2 * DAY)
    assert first != second
    both = [verify(store, secret, T + DAY) for secret in (first, second)]
    assert [found and found.valid_until for found in both] == [T + 2 * DAY, None]
    assert [verify(store, secret, T + 2 * DAY) is not None for secret in (first, second)] == [False, True]


def test_only_the_latest_two_secrets_open(store: Engine) -> None:
    key, first = create_key(store, "CRM", ["read"], T, expires_at=T + 5 * DAY)
    _, second = rotate_key(store, key.key_id, T, DAY)
    _, third = rotate_key(store, key.key_id, T, 9 * DAY)
    opened = [verify(store, secret, T + 2 * DAY) for secret in (first, second, third)]
    assert [found and found.valid_until for found in opened] == [None, T + 5 * DAY, T + 5 * DAY]
    assert verify(store, f"ebb_{key.key_id}_") is None


def test_no_overlap_ends_the_secret_before_at_once(sqlite_store: Engine) -> None:
    key, first = create_key(sqlite_store, "CRM", ["read"], T)
    _, second = rotate_key(sqlite_store, key.key_id, T, timedelta(0))
    assert verify(sqlite_store, first) is None
    assert verify(sqlite_store, second) is not None


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=31)])
def test_an_overlap_is_bounded(sqlite_store: Engine, overlap: timedelta) -> None:
    key, _ = create_key(sqlite_store, "CRM", ["read"], T)
    with pytest.raises(ContractError, match="30 days"):
        rotate_key(sqlite_store, key.key_id, T, overlap)


def test_what_has_ended_is_not_rotated(sqlite_store: Engine) -> None:
    revoked, _ = create_key(sqlite_store, "CRM", ["read"], T)
    revoke_key(sqlite_store, revoked.key_id, T)
    expired, _ = create_key(sqlite_store, "CRM", ["read"], T, expires_at=T + DAY)
    for key in (revoked, expired):
        with pytest.raises(KeyEnded, match="make a new one"):
            rotate_key(sqlite_store, key.key_id, T + DAY)
    with pytest.raises(UnknownKey, match="no key"):
        rotate_key(sqlite_store, "x", T)


def test_a_revoked_key_has_no_second_secret_either(sqlite_store: Engine) -> None:
    key, first = create_key(sqlite_store, "CRM", ["read"], T)
    _, second = rotate_key(sqlite_store, key.key_id, T, DAY)
    revoke_key(sqlite_store, key.key_id, T)
    assert [verify(sqlite_store, secret) for secret in (first, second)] == [None, None]


def test_a_book_is_kept_with_its_key(store: Engine) -> None:
    book = Book(owners=("ana@example.org", "Bob, O'Neil"), segments=("smb",))
    key, secret = create_key(store, "Ana", ["read"], T, book=book)
    found = verify(store, secret)
    assert found == key
    assert found is not None
    assert found.book == book


@pytest.mark.parametrize("book", [Book(owners=("",)), Book(segments=("a\0",)), Book(owners=("x",) * 101)])
def test_what_is_no_book_is_refused(sqlite_store: Engine, book: Book) -> None:
    with pytest.raises(ContractError, match="at most 100 owners and segments"):
        create_key(sqlite_store, "CRM", ["read"], T, book=book)
