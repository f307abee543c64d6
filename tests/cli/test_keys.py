"""`ebbtide keys`: made, listed, rotated and revoked; a secret stands alone on standard output, once."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.key_commands import keys


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EBBTIDE_DATABASE_URL", f"sqlite:///{tmp_path / 'ebbtide.db'}")

    def run(*args: str) -> Result:
        return CliRunner().invoke(keys, args)

    return run


def test_a_key_from_its_making_to_its_end(run):
    made = run("create", "--name", "ana", "--scope", "read", "--owner", "ana@example.org", "--expires", "2100-01-01")
    secret = made.stdout.strip()
    key_id = secret.split("_")[1]
    assert "only ana@example.org; until 2100-01-01T00:00:00Z" in made.stderr
    rotated = run("rotate", key_id, "--overlap", "2d")
    assert rotated.stdout.strip() != secret
    assert rotated.stdout.startswith(f"ebb_{key_id}_")
    assert "the secret before works until" in rotated.stderr
    listed = run("list").stdout
    for told in (key_id, "ana@example.org", "2100-01-01"):
        assert told in listed
    assert secret.rsplit("_", 1)[1] not in listed
    assert run("revoke", key_id).exit_code == 0
    assert "revoked" in str(run("rotate", key_id).exception)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("create", "--name", "x", "--scope", "admin", "--segment", "smb"), "cannot be restricted"),
        (("create", "--name", "x", "--scope", "read", "--expires", "2020-01-01"), "in the future"),
        (("rotate", "nobody"), "no key 'nobody'"),
        (("rotate", "nobody", "--overlap", "31d"), "30 days"),
    ],
)
def test_what_is_refused(run, args, said):
    got = run(*args)
    assert got.exit_code == 1
    assert said in str(got.exception)
    assert got.stdout == ""
