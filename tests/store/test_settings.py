"""Settings: defaults, values, refusals in words, and a documentation that lists exactly them."""

from dataclasses import fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from models.errors import SettingsError
from models.settings import SETTINGS, Settings

#: 32 bytes that could be a public key; whether a private one belongs to it does not matter here.
PUBLIC = f"ed25519:{'A' * 43}="
DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings(
        database_url="sqlite:///data/ebbtide.db",
        artifacts=Path("artefacts"),
        currency="EUR",
        margin=1.0,
        max_body_mb=32,
        log_level="info",
        timezone=ZoneInfo("UTC"),
        score_on_write="inline",
        rate_limit=(6000, 60),
        redis_url="",
        idempotency_hours=24,
        idempotency_most=100_000,
        signing_key="",
        verify_keys=(),
        require_signed=False,
        webhook_allow=(),
        zendesk_secrets=(),
        intercom_secrets=(),
    )


def test_values_are_understood() -> None:
    settings = Settings.from_environment(
        {
            "EBBTIDE_DATABASE_URL": "postgresql://u:p@host/db",
            "EBBTIDE_ARTIFACTS": "/srv/artefacts",
            "EBBTIDE_CURRENCY": "USD",
            "EBBTIDE_MARGIN": " 0.8 ",
            "EBBTIDE_MAX_BODY_MB": "64",
            "EBBTIDE_LOG_LEVEL": "debug",
            "EBBTIDE_TIMEZONE": "Europe/Berlin",
            "EBBTIDE_SCORE_ON_WRITE": "off",
            "EBBTIDE_RATE_LIMIT": "5/second",
            "EBBTIDE_REDIS_URL": "redis://localhost:6379/0",
            "EBBTIDE_IDEMPOTENCY_HOURS": "48",
            "EBBTIDE_IDEMPOTENCY_MOST": "1000",
            "EBBTIDE_SIGNING_KEY": "/run/secrets/signing.pem",
            "EBBTIDE_VERIFY_KEYS": f"{PUBLIC}, {PUBLIC}",
            "EBBTIDE_REQUIRE_SIGNED": "1",
            "EBBTIDE_WEBHOOK_ALLOW": "10.1.0.0/16, ::1",
            "EBBTIDE_ZENDESK_SECRETS": "one, two",
            "EBBTIDE_INTERCOM_SECRETS": "three",
            "HOME": "/root",
        }
    )
    assert settings == Settings(
        "postgresql://u:p@host/db",
        Path("/srv/artefacts"),
        "USD",
        0.8,
        64,
        "debug",
        ZoneInfo("Europe/Berlin"),
        "off",
        (5, 1),
        "redis://localhost:6379/0",
        48,
        1000,
        "/run/secrets/signing.pem",
        (PUBLIC, PUBLIC),
        True,
        (IPv4Network("10.1.0.0/16"), IPv6Network("::1")),
        ("one", "two"),
        ("three",),
    )


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("EBBTIDE_DATABASE_URL", "mysql://u:secret@host/db", "sqlite:///path/file.db or postgresql"),
        ("EBBTIDE_DATABASE_URL", "sqlite://", "sqlite:///path/file.db"),
        ("EBBTIDE_DATABASE_URL", "sqlite:///:memory:", "sqlite:///path/file.db"),
        ("EBBTIDE_DATABASE_URL", "postgresql://host", "postgresql://user:password@host/database"),
        ("EBBTIDE_CURRENCY", "euro", "three capital letters, such as EUR, not 'euro'"),
        ("EBBTIDE_MARGIN", "80%", "a share above 0"),
        ("EBBTIDE_MARGIN", "0", "a share above 0"),
        ("EBBTIDE_MARGIN", "nan", "a share above 0"),
        ("EBBTIDE_MAX_BODY_MB", "1e3", "a whole number of megabytes"),
        ("EBBTIDE_MAX_BODY_MB", "0", "a whole number of megabytes"),
        ("EBBTIDE_LOG_LEVEL", "INFO!", "one of debug, info, warning, error"),
        ("EBBTIDE_TIMEZONE", "Berlin", "the name of a time zone"),
        ("EBBTIDE_TIMEZONE", "../etc/passwd", "the name of a time zone"),
        ("EBBTIDE_SCORE_ON_WRITE", "yes", "one of inline, worker, off"),
        ("EBBTIDE_REQUIRE_SIGNED", "yes", "0 or 1"),
        ("EBBTIDE_WEBHOOK_ALLOW", "everything", "networks separated by commas"),
        ("EBBTIDE_WEBHOOK_ALLOW", "10.0.0.1/8", "networks separated by commas"),
    ],
)
def test_nonsense_refuses_to_start(name: str, value: str, wanted: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({name: value})
    assert str(refused.value).startswith(f"{name} must be ")
    assert wanted in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_misspelt_name_refuses_to_start() -> None:
    with pytest.raises(SettingsError, match="EBBTIDE_DATABSE_URL is not a setting; did you mean EBBTIDE_DATABASE_URL"):
        Settings.from_environment({"EBBTIDE_DATABSE_URL": "sqlite:///x.db"})


def test_variables_of_others_are_left_alone() -> None:
    assert Settings.from_environment({"EBBTIDE_SHARED_DATA": "/data", "MARGIN": "x"}) == Settings.from_environment({})


def test_every_setting_has_a_field() -> None:
    assert [field.name for field in fields(Settings)] == [setting.attribute for setting in SETTINGS]


def test_the_documentation_lists_exactly_the_settings() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    defaults = (f"`{s.default}`" if s.default else "none" for s in SETTINGS)
    assert rows == [f"| `{s.name}` | {default} | {s.help} |" for s, default in zip(SETTINGS, defaults, strict=True)]
