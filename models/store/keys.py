"""API keys: handed out once, kept as a hash.

A key reads `ebb_<id>_<secret>`; the id finds the row, the secret is 256 random bits. At rest we keep its SHA-256.
A slow hash protects passwords because people choose guessable ones; 2^256 secrets cannot be guessed at any speed,
and a fast hash lets every request be checked in microseconds.
"""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.errors import ContractError
from models.store.engine import writing
from models.store.tables import api_keys

PREFIX = "ebb"
#: `read`: scores, lists, model. `write`: history. `admin`: keys and models, and everything the others may.
SCOPES = ("read", "write", "admin")
#: `last_used_at` is this coarse, so that reading does not mean writing.
USE_STEP = timedelta(minutes=1)

_NOBODY = sha256(b"").hexdigest()


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept; the secret is not part of it."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def allows(self, scope: str) -> bool:
        """Whether the key may do this; `admin` may do everything, `write` does not include `read`."""
        return scope in self.scopes or "admin" in self.scopes


def create_key(engine: Engine, name: str, scopes: Iterable[str], created_at: datetime) -> tuple[ApiKey, str]:
    """Make a key; gives it and its full text, which is never shown again. Raises `ContractError`."""
    wanted = frozenset(scopes)
    unknown = sorted(wanted - set(SCOPES))
    if unknown or not wanted:
        raise ContractError(f"A key needs scopes out of {', '.join(SCOPES)}; got {', '.join(unknown) or 'none'}.")
    if not name.strip():
        raise ContractError("A key needs a name that says who uses it.")
    secret = secrets.token_hex(32)
    key = ApiKey(secrets.token_hex(6), name.strip(), tuple(s for s in SCOPES if s in wanted), created_at, None, None)
    row = {"key_id": key.key_id, "name": key.name, "scopes": list(key.scopes), "created_at": created_at}
    with writing(engine) as conn:
        conn.execute(api_keys.insert().values(**row, hash=_hash(secret)))
    return key, f"{PREFIX}_{key.key_id}_{secret}"


def verify_key(conn: Connection, presented: str) -> ApiKey | None:
    """The key this text is; None if it is none of ours or revoked. Wrong secrets take as long as right ones."""
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    row = conn.execute(sa.select(api_keys).where(api_keys.c.key_id == key_id)).one_or_none()
    right = hmac.compare_digest(_hash(secret), row.hash if row else _NOBODY)
    if row is None or not right or prefix != PREFIX or row.revoked_at is not None:
        return None
    return _key(row)


def touch_key(engine: Engine, key: ApiKey, at: datetime) -> None:
    """Remember that the key was used, at most once per `USE_STEP`."""
    if key.last_used_at is not None and at - key.last_used_at < USE_STEP:
        return
    with writing(engine) as conn:
        conn.execute(api_keys.update().where(api_keys.c.key_id == key.key_id).values(last_used_at=at))


def revoke_key(engine: Engine, key_id: str, at: datetime) -> None:
    """Refuse the key from now on; it stays listed. Raises `ContractError` for an unknown one."""
    mine = api_keys.c.key_id == key_id
    with writing(engine) as conn:
        if conn.scalar(sa.select(sa.func.count()).select_from(api_keys).where(mine)) == 0:
            raise ContractError(f"There is no key {key_id!r}; list them with: ebbtide keys list")
        conn.execute(api_keys.update().where(mine, api_keys.c.revoked_at.is_(None)).values(revoked_at=at))


def list_keys(conn: Connection) -> list[ApiKey]:
    """All keys, oldest first, revoked ones included."""
    query = sa.select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
    return [_key(row) for row in conn.execute(query).all()]


def _key(row: sa.Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(row.key_id, row.name, tuple(row.scopes), row.created_at, row.last_used_at, row.revoked_at)


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
