"""API keys: handed out once, kept as a hash.

A key reads `ebb_<id>_<secret>`; the id finds the row, the secret is 256 random bits. At rest we keep its SHA-256.
A slow hash protects passwords because people choose guessable ones; 2^256 secrets cannot be guessed at any speed,
and a fast hash lets every request be checked in microseconds.

    created   secret 1 opens
    rotated   secret 2 opens, and for the declared overlap secret 1, so that nobody has to be fast
    expired   nothing opens; so after a revocation
"""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.clock import isoformat
from models.errors import ContractError, KeyEnded, UnknownKey
from models.store.audit import By, audit
from models.store.books import EVERYBODY, Book
from models.store.engine import writing
from models.store.tables import api_keys

PREFIX = "ebb"
#: `read`: scores, lists, model. `write`: history. `score`: scores of what the caller sends along, which is all that
#: `read` may, too. `admin`: keys and models, and everything the others may.
SCOPES = ("read", "write", "score", "admin")
#: A scope -> the scopes that include it.
_INCLUDED = {"score": frozenset({"read"})}
#: `last_used_at` is this coarse, so that reading does not mean writing.
USE_STEP = timedelta(minutes=1)
#: How long the secret before may go on working after a rotation.
OVERLAP, LONGEST_OVERLAP = timedelta(days=1), timedelta(days=30)

#: No digest is like this, not even that of no secret at all.
_NOBODY = "-" * 64
_MOST_OF_BOOK = 100


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept; the secret is not part of it.

    `book`: the accounts it may know of. `valid_until`: when the secret that was presented stops working; None: never.
    """

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime | None = None
    previous_until: datetime | None = None
    book: Book = EVERYBODY
    valid_until: datetime | None = None

    def allows(self, scope: str) -> bool:
        """Whether the key may do this; `admin` may do everything, `read` may `score`, `write` may not `read`."""
        mine = {*self.scopes}
        return scope in mine or "admin" in mine or bool(_INCLUDED.get(scope, frozenset()) & mine)


def create_key(
    target: Engine | Connection,
    name: str,
    scopes: Iterable[str],
    created_at: datetime,
    *,
    expires_at: datetime | None = None,
    book: Book = EVERYBODY,
    by: By | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; gives it and its full text, which is never shown again. Raises `ContractError`.

    `by`: who makes it, for the audit log; None: the service itself.
    """
    wanted = _checked(name, frozenset(scopes), book)
    if expires_at is not None and expires_at <= created_at:
        raise ContractError("A key that expires must do so in the future.")
    secret = secrets.token_hex(32)
    key = ApiKey(
        secrets.token_hex(6), name.strip(), wanted, created_at, None, None,
        expires_at=expires_at, book=book, valid_until=expires_at,
    )  # fmt: skip
    row = {
        **{name: getattr(key, name) for name in ("key_id", "name", "created_at", "expires_at")},
        "scopes": list(wanted),
        "owners": list(book.owners) or None,
        "segments": list(book.segments) or None,
    }
    with writing(target) as conn:
        conn.execute(api_keys.insert().values(**row, hash=_hash(secret)))
        _tell(conn, by or By("service", created_at), "key.created", key)
    return key, _text(key.key_id, secret)


def verify_key(conn: Connection, presented: str, at: datetime) -> ApiKey | None:
    """The key this text is at a moment; None if it is none of ours, revoked or expired.

    Wrong secrets take as long as right ones.
    """
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    row = conn.execute(sa.select(api_keys).where(api_keys.c.key_id == key_id)).one_or_none()
    hashed = _hash(secret)
    right = hmac.compare_digest(hashed, row.hash if row else _NOBODY)
    before = hmac.compare_digest(hashed, (row and row.previous_hash) or _NOBODY)
    if row is None or not (right or before) or prefix != PREFIX or row.revoked_at is not None:
        return None
    until = min((moment for moment in (row.expires_at, None if right else row.previous_until) if moment), default=None)
    return None if until is not None and at >= until else _key(row, until)


def touch_key(engine: Engine, key: ApiKey, at: datetime) -> None:
    """Remember that the key was used, at most once per `USE_STEP`."""
    if key.last_used_at is not None and at - key.last_used_at < USE_STEP:
        return
    with writing(engine) as conn:
        conn.execute(api_keys.update().where(api_keys.c.key_id == key.key_id).values(last_used_at=at))


def rotate_key(
    engine: Engine, key_id: str, at: datetime, overlap: timedelta = OVERLAP, by: By | None = None
) -> tuple[ApiKey, str]:
    """Give the key a new secret; the present one goes on working for `overlap`, one before it stops at once.

    Gives the key and its new full text. Raises `UnknownKey`, `KeyEnded` for one that is revoked or expired, and
    `ContractError` for an overlap below zero or above `LONGEST_OVERLAP`.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise ContractError(f"The overlap of two secrets is from nothing to {LONGEST_OVERLAP.days} days.")
    secret = secrets.token_hex(32)
    with writing(engine) as conn:
        row = _found(conn, key_id)
        if row.revoked_at is not None or (row.expires_at is not None and at >= row.expires_at):
            raise KeyEnded(f"The key {key_id} is revoked or has expired; make a new one.")
        before = {"previous_hash": row.hash, "previous_until": at + overlap}
        conn.execute(api_keys.update().where(api_keys.c.key_id == key_id).values(hash=_hash(secret), **before))
        key = _key(_found(conn, key_id))
        _tell(conn, by or By("service", at), "key.rotated", key, overlap_seconds=overlap.total_seconds())
    return key, _text(key_id, secret)


def revoke_key(engine: Engine, key_id: str, at: datetime, by: By | None = None) -> ApiKey:
    """Refuse the key from now on; it stays listed. Raises `UnknownKey`."""
    with writing(engine) as conn:
        key = _key(_found(conn, key_id))
        if key.revoked_at is None:
            conn.execute(api_keys.update().where(api_keys.c.key_id == key_id).values(revoked_at=at))
            _tell(conn, by or By("service", at), "key.revoked", key)
        return _key(_found(conn, key_id))


def list_keys(conn: Connection) -> list[ApiKey]:
    """All keys, oldest first, revoked ones included."""
    query = sa.select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
    return [_key(row) for row in conn.execute(query).all()]


def _checked(name: str, wanted: frozenset[str], book: Book) -> tuple[str, ...]:
    """The scopes in their order. Raises `ContractError` where they, the name or the book make no key."""
    unknown = sorted(wanted - set(SCOPES))
    if unknown or not wanted:
        raise ContractError(f"A key needs scopes out of {', '.join(SCOPES)}; got {', '.join(unknown) or 'none'}.")
    if not name.strip():
        raise ContractError("A key needs a name that says who uses it.")
    if book.restricted and "admin" in wanted:
        raise ContractError("An admin key sees everybody; it cannot be restricted to owners or segments.")
    members = (*book.owners, *book.segments)
    if len(members) > _MOST_OF_BOOK or not all(member and "\0" not in member for member in members):
        raise ContractError(f"A key is restricted to at most {_MOST_OF_BOOK} owners and segments, each with its name.")
    return tuple(scope for scope in SCOPES if scope in wanted)


def _tell(conn: Connection, by: By, action: str, key: ApiKey, **more: Any) -> None:
    limits = {"owners": list(key.book.owners), "segments": list(key.book.segments)}
    until = None if key.expires_at is None else isoformat(key.expires_at)
    said = {"name": key.name, "scopes": list(key.scopes), "expires_at": until}
    audit(conn, by, action, key.key_id, **said, **limits, **more)


def _found(conn: Connection, key_id: str) -> Any:
    row = conn.execute(sa.select(api_keys).where(api_keys.c.key_id == key_id)).one_or_none()
    if row is None:
        raise UnknownKey(f"There is no key {key_id!r}; list them with: ebbtide keys list")
    return row


def _key(row: Any, valid_until: datetime | None = None) -> ApiKey:
    same = ("key_id", "name", "created_at", "last_used_at", "revoked_at", "expires_at", "previous_until")
    book = Book(tuple(row.owners or ()), tuple(row.segments or ()))
    values = {name: getattr(row, name) for name in same}
    return ApiKey(**values, scopes=tuple(row.scopes), book=book, valid_until=valid_until)


def _text(key_id: str, secret: str) -> str:
    return f"{PREFIX}_{key_id}_{secret}"


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
