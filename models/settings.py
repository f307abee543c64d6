"""Every setting of a deployment, in one list: what it is called, its default, what it does, how it is read.

Settings come from the environment only. A value that cannot be understood stops the start with a sentence that
names the variable; so does a misspelt name, which would otherwise be a setting silently not made.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from models.errors import SettingsError

if TYPE_CHECKING:
    from models.registry import Trust
    from models.webhooks.guard import Network

PREFIX = "EBBTIDE_"


@dataclass(frozen=True)
class Setting:
    """One variable. `parse` gives the value or raises `ValueError` with what is wanted, as in "a whole number".

    The value of a `secret` one is never shown.
    """

    name: str
    default: str
    help: str
    parse: Callable[[str], Any]
    secret: bool = False

    @property
    def attribute(self) -> str:
        """Its name in `Settings`."""
        return self.name.removeprefix(PREFIX).lower()


def _database_url(text: str) -> str:
    parts = urlsplit(text)
    scheme = parts.scheme.partition("+")[0]
    if scheme == "sqlite" and parts.path.lstrip("/") not in ("", ":memory:"):
        return text
    if scheme in ("postgresql", "postgres") and parts.path.strip("/"):
        return text
    raise ValueError("sqlite:///path/file.db or postgresql://user:password@host/database")


def _folder(text: str) -> Path:
    if not text:
        raise ValueError("a folder")
    return Path(text)


def _currency(text: str) -> str:
    if not re.fullmatch("[A-Z]{3}", text):
        raise ValueError("a currency code of three capital letters, such as EUR")
    return text


def _margin(text: str) -> float:
    wanted = ValueError("a share above 0 and at most 1, such as 0.8")
    try:
        value = float(text)
    except ValueError:
        raise wanted from None
    if not 0 < value <= 1:
        raise wanted
    return value


def _megabytes(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise ValueError("a whole number of megabytes from 1 to 9999")
    return int(text)


def _quota(text: str) -> tuple[int, int] | None:
    if text == "none":
        return None
    found = re.fullmatch("([1-9][0-9]{0,8})/(second|minute|hour)", text)
    if not found:
        raise ValueError("a number of requests per second, minute or hour, such as 600/minute, or none")
    return int(found[1]), {"second": 1, "minute": 60, "hour": 3600}[found[2]]


def _redis_url(text: str) -> str:
    if text and urlsplit(text).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("redis://host:6379/0, for example")
    return text


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return parse


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


def _public_keys(text: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in text.split(",") if part.strip())
    if keys:
        from models.registry.signing import public_bytes  # noqa: PLC0415

        for key in keys:
            public_bytes(key)
    return keys


def _secrets(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _networks(text: str) -> "tuple[Network, ...]":
    from models.webhooks.guard import parse_networks  # noqa: PLC0415

    return parse_networks(text)


def _timezone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise ValueError("the name of a time zone, such as Europe/Berlin") from None


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "EBBTIDE_DATABASE_URL",
        "sqlite:///data/ebbtide.db",
        "the store: a SQLite file or a PostgreSQL database",
        _database_url,
        secret=True,
    ),
    Setting("EBBTIDE_ARTIFACTS", "./artefacts", "the folder of the artefacts", _folder),
    Setting("EBBTIDE_CURRENCY", "EUR", "the currency of accounts that do not name theirs", _currency),
    Setting(
        "EBBTIDE_MARGIN",
        "1.0",
        "the share of revenue that is lost with an account, in expected_revenue_loss",
        _margin,
    ),
    Setting("EBBTIDE_MAX_BODY_MB", "32", "the largest request body accepted, in megabytes", _megabytes),
    Setting(
        "EBBTIDE_LOG_LEVEL",
        "info",
        "how much is logged: debug, info, warning or error",
        _one_of("debug", "info", "warning", "error"),
    ),
    Setting("EBBTIDE_TIMEZONE", "UTC", "the time zone of reports and of their days and months", _timezone),
    Setting(
        "EBBTIDE_SCORE_ON_WRITE",
        "inline",
        "when new facts arrive, score their accounts before answering (inline), soon after (worker) "
        "or with the next run only (off)",
        _one_of("inline", "worker", "off"),
    ),
    Setting(
        "EBBTIDE_RATE_LIMIT",
        "6000/minute",
        "how often a key may ask, per second, minute or hour, such as 600/minute; none: as often as it likes",
        _quota,
    ),
    Setting(
        "EBBTIDE_REDIS_URL",
        "",
        "a Redis in which all processes count a key's requests together; without one each process counts alone",
        _redis_url,
        secret=True,
    ),
    Setting(
        "EBBTIDE_IDEMPOTENCY_HOURS",
        "24",
        "for how many hours the answer to a write with an Idempotency-Key is given again: 24 to 720",
        _whole(24, 720),
    ),
    Setting(
        "EBBTIDE_IDEMPOTENCY_MOST",
        "100000",
        "how many such answers are kept per API key; beyond them its writes with an Idempotency-Key are refused",
        _whole(100, 10_000_000),
    ),
    Setting(
        "EBBTIDE_SIGNING_KEY",
        "",
        "the Ed25519 private key that signs new artefacts: the path of a PEM file, or the PEM text itself",
        str,
        secret=True,
    ),
    Setting(
        "EBBTIDE_VERIFY_KEYS",
        "",
        "the public keys whose signatures count, separated by commas: `ed25519:...`",
        _public_keys,
    ),
    Setting(
        "EBBTIDE_REQUIRE_SIGNED",
        "0",
        "1: artefacts that none of the public keys signed are not opened",
        _switch,
    ),
    Setting(
        "EBBTIDE_WEBHOOK_ALLOW",
        "",
        "networks that webhooks may call although they are not on the public internet, separated by commas",
        _networks,
    ),
    Setting(
        "EBBTIDE_ZENDESK_SECRETS",
        "",
        "opens the live door for Zendesk: the webhook's signing secret, or several separated by commas",
        _secrets,
        secret=True,
    ),
    Setting(
        "EBBTIDE_INTERCOM_SECRETS",
        "",
        "opens the live door for Intercom: the app's client secret, or several separated by commas",
        _secrets,
        secret=True,
    ),
)


@dataclass(frozen=True)
class Settings:
    """The settings of a deployment, understood. One field per entry of `SETTINGS`."""

    database_url: str
    artifacts: Path
    currency: str
    margin: float
    max_body_mb: int
    log_level: str
    timezone: ZoneInfo
    score_on_write: str
    rate_limit: tuple[int, int] | None
    redis_url: str = field(repr=False)
    idempotency_hours: int
    idempotency_most: int
    signing_key: str = field(repr=False)
    verify_keys: tuple[str, ...]
    require_signed: bool
    webhook_allow: "tuple[Network, ...]"
    zendesk_secrets: tuple[str, ...] = field(repr=False)
    intercom_secrets: tuple[str, ...] = field(repr=False)

    def to_plain(self) -> dict[str, str]:
        """What can be told of them: name -> value as text; of a secret one, whether it is set."""
        values = ((setting, getattr(self, setting.attribute)) for setting in SETTINGS)
        return {
            setting.name: ("set" if value else "") if setting.secret else _plain(value) for setting, value in values
        }

    @property
    def trust(self) -> "Trust":
        """Whose artefacts are opened here."""
        from models.registry import Trust  # noqa: PLC0415 - heavy, and most commands open no artefact

        return Trust.of(self.verify_keys, required=self.require_signed)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings out of an environment; absent or empty variables have their default.

        Raises `SettingsError` naming the variable.
        """
        _refuse_misspelt(environ)
        settings = cls(**{setting.attribute: _read(setting, environ) for setting in SETTINGS})
        if settings.require_signed and not settings.verify_keys:
            raise SettingsError("EBBTIDE_REQUIRE_SIGNED needs EBBTIDE_VERIFY_KEYS: no signature could be checked.")
        return settings


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read(setting: Setting, environ: Mapping[str, str]) -> Any:
    text = environ.get(setting.name, "").strip() or setting.default
    try:
        return setting.parse(text)
    except ValueError as error:
        shown = "" if setting.secret else f", not {text!r}"
        raise SettingsError(f"{setting.name} must be {error}{shown}.") from None


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    names = [setting.name for setting in SETTINGS]
    for name in sorted(environ):
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.9) if name.startswith(PREFIX) else []
        if close and name not in names:
            raise SettingsError(f"{name} is not a setting; did you mean {close[0]}?")
