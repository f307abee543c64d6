"""Every setting of a deployment, in one list: what it is called, its default, what it does, how it is read.

Settings come from the environment only. A value that cannot be understood stops the start with a sentence that
names the variable; so does a misspelt name, which would otherwise be a setting silently not made.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from models.errors import SettingsError

PREFIX = "EBBTIDE_"


@dataclass(frozen=True)
class Setting:
    """One variable. `parse` gives the value or raises `ValueError` with what is wanted, as in "a whole number"."""

    name: str
    default: str
    help: str
    parse: Callable[[str], Any]

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


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return parse


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

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings out of an environment; absent or empty variables have their default.

        Raises `SettingsError` naming the variable.
        """
        _refuse_misspelt(environ)
        return cls(**{setting.attribute: _read(setting, environ) for setting in SETTINGS})


def _read(setting: Setting, environ: Mapping[str, str]) -> Any:
    text = environ.get(setting.name, "").strip() or setting.default
    try:
        return setting.parse(text)
    except ValueError as error:
        shown = "" if setting.name == "EBBTIDE_DATABASE_URL" else f", not {text!r}"  # it may hold a password
        raise SettingsError(f"{setting.name} must be {error}{shown}.") from None


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    names = [setting.name for setting in SETTINGS]
    for name in sorted(environ):
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.9) if name.startswith(PREFIX) else []
        if close and name not in names:
            raise SettingsError(f"{name} is not a setting; did you mean {close[0]}?")
