"""Whether a message really comes from the helpdesk: its signature over the raw body, and that it is not an old one.

    Zendesk     base64 of HMAC-SHA256 over timestamp + body; the timestamp is a header, at most five minutes away
    Intercom    `sha1=` and hex of HMAC-SHA1 over the body, as its protocol has it; the body says when it was made, at
                most a day ago, since Intercom sends again what was not taken

Several secrets may be valid at once, so that one can be replaced by another. Compared in constant time.
"""

import base64
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Protocol

from models.errors import NotGenuine

#: How far a message's own moment may lie away, before and ahead.
ZENDESK_WINDOW = timedelta(minutes=5)
INTERCOM_WINDOW = timedelta(hours=24)
_SKEW = timedelta(minutes=5)


class Headers(Protocol):
    """The headers of a request."""

    def get(self, name: str, default: str, /) -> str:
        """A header, or the default."""


def zendesk(headers: Headers, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raise `NotGenuine` unless Zendesk signed this body within the last minutes."""
    stamp = headers.get("X-Zendesk-Webhook-Signature-Timestamp", "")
    given = headers.get("X-Zendesk-Webhook-Signature", "")
    right = [_zendesk(secret, stamp, body) for secret in secrets]
    _compare(given, right)
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        raise NotGenuine("The signature's timestamp is no time.") from None
    _recent(at if at.tzinfo else at.replace(tzinfo=UTC), ZENDESK_WINDOW, now)


def _zendesk(secret: str, stamp: str, body: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), stamp.encode() + body, sha256)).decode()


def intercom(headers: Headers, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raise `NotGenuine` unless Intercom signed this body and made it within the last day."""
    given = headers.get("X-Hub-Signature", "")
    right = ["sha1=" + hmac.new(secret.encode(), body, "sha1").hexdigest() for secret in secrets]
    _compare(given, right)
    try:
        at = datetime.fromtimestamp(float(json.loads(body)["created_at"]), UTC)
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
        raise NotGenuine("The message does not say when it was made.") from None
    _recent(at, INTERCOM_WINDOW, now)


def _compare(given: str, right: Sequence[str]) -> None:
    presented = given.encode("utf-8", "surrogateescape")
    # Every secret is tried, so that the time taken says nothing.
    fits = [hmac.compare_digest(presented, one.encode()) for one in right]
    if not any(fits):
        raise NotGenuine("The signature does not fit the body.")


def _recent(at: datetime, window: timedelta, now: datetime) -> None:
    if not now - window <= at <= now + _SKEW:
        raise NotGenuine("The message is too old, or from the future; it may have been sent by somebody else again.")
