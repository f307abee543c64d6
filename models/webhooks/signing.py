"""Signatures of messages by Standard Webhooks: `v1,` and base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`.

A message carries one signature per secret that is valid at the moment, so a receiver may change to a new secret while
the old one still works.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

from models.errors import ContractError

PREFIX = "whsec_"
#: Random bytes of a new secret; the standard asks for 24 to 64.
SECRET_BYTES = 32


def new_secret() -> str:
    """A secret nobody can guess, as it is handed to the receiver."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes a secret stands for. Raises `ContractError`."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ContractError(f"A webhook secret reads {PREFIX} and then 24 to 64 bytes in base64.")
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message by one secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, sha256)).decode()


def headers(secrets_: Iterable[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a message sent at a moment. The id stays the same however often it is sent."""
    timestamp = int(at.timestamp())
    signatures = [sign(secret, message_id, timestamp, body) for secret in secrets_]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
