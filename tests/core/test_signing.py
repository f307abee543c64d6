"""Signatures: who vouches for an artefact, what is refused, and that it is refused before anything is read."""

import ast
import base64
import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from models.errors import ArtefactError, SettingsError, UnsafeArtefact
from models.registry import (
    Facts,
    SigningKey,
    Trust,
    create_key,
    current,
    load,
    promote,
    put,
    rollback,
    show,
    sign,
    verify,
)
from models.settings import Settings

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
FACTS = Facts("expert prior, uncalibrated", "P0", {"a": "1"}, 0.04, {})


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return create_key(tmp_path / "key.pem")


@pytest.fixture
def other(tmp_path: Path) -> SigningKey:
    return create_key(tmp_path / "other.pem")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def strict(*keys: SigningKey) -> Trust:
    return Trust.of([key.public for key in keys], required=True)


def lenient(*keys: SigningKey) -> Trust:
    return Trust.of([key.public for key in keys])


def rewrite(root: Path, model_id: str, **entries: object) -> None:
    """What somebody can do who can write to the store."""
    path = root / model_id / "manifest.json"
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_a_signed_artefact_is_opened_where_signatures_are_required(root, key, other):
    model_id = put(root, {"x": 1}, FACTS, NOW, signer=key)
    assert load(root, model_id, strict(other, key)).plain == {"x": 1}
    assert str(strict(key).standing(show(root, model_id))) == f"signed by the key {key.key_id}"
    assert show(root, model_id).signature.startswith(f"ed25519:{key.key_id}:")


def test_signing_changes_neither_id_nor_files(root, tmp_path, key):
    model_id = put(root, {"x": 1}, FACTS, NOW)
    assert put(tmp_path / "signed", {"x": 1}, FACTS, NOW, signer=key) == model_id
    assert sign(root, model_id, key) == show(tmp_path / "signed", model_id)
    assert sorted(os.listdir(root / model_id)) == ["manifest.json", "model.joblib"]
    assert stat.S_IMODE((root / model_id / "manifest.json").stat().st_mode) == 0o444
    assert sorted(os.listdir(root)) == [".lock", model_id], "no drafts are left"
    assert put(root, {"x": 1}, FACTS, NOW) == model_id  # storing it again leaves the signature
    verify(root, model_id, strict(key))


def test_a_key_is_rotated_by_listing_both_and_signing_anew(root, key, other):
    model_id = put(root, {"x": 1}, FACTS, NOW, signer=key)
    verify(root, model_id, strict(key, other))
    sign(root, model_id, other)
    verify(root, model_id, strict(key, other))
    with pytest.raises(UnsafeArtefact, match=f"{other.key_id}, which EBBTIDE_VERIFY_KEYS does not list"):
        verify(root, model_id, strict(key))


def of_another_manifest(root: Path, model_id: str, key: SigningKey) -> str:
    return show(root, put(root, {"x": 2}, FACTS, NOW, signer=key)).signature


def truncated(root: Path, model_id: str, key: SigningKey) -> str:
    return show(root, model_id).signature[:-8]


def flipped(root: Path, model_id: str, key: SigningKey) -> str:
    head, _, encoded = show(root, model_id).signature.rpartition(":")
    raw = bytearray(base64.b64decode(encoded))
    raw[5] ^= 1
    return f"{head}:{base64.b64encode(raw).decode()}"


def by_another_key_under_this_ones_name(root: Path, model_id: str, key: SigningKey) -> str:
    forged = SigningKey(Ed25519PrivateKey.generate()).sign(show(root, model_id))
    return f"ed25519:{key.key_id}:{forged.split(':')[2]}"


def of_the_bare_digest(root: Path, model_id: str, key: SigningKey) -> str:
    """As if the key had signed these bytes for another purpose."""
    raw = key._key.sign(show(root, model_id).digest().encode())
    return f"ed25519:{key.key_id}:{base64.b64encode(raw).decode()}"


FORGERIES = (of_another_manifest, truncated, flipped, by_another_key_under_this_ones_name, of_the_bare_digest)


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_bad_signature_is_refused_even_where_none_is_required(forge, root, key):
    model_id = put(root, {"x": 1}, FACTS, NOW, signer=key)
    rewrite(root, model_id, signature=forge(root, model_id, key))
    for trust in (strict(key), lenient(key)):
        assert trust.standing(show(root, model_id)).state == "bad"
        for action in (verify, load):
            with pytest.raises(UnsafeArtefact, match="signature is bad"):
                action(root, model_id, trust)


@pytest.mark.parametrize(
    "signature", ["", "x", "ed25519:", "ed25519:::", "rsa:0011223344556677:AAAA", "ed25519:\x1b[31m:AAAA"]
)
def test_what_has_no_form_of_a_signature_is_bad(signature, root, key):
    model_id = put(root, {"x": 1}, FACTS, NOW)
    rewrite(root, model_id, signature=signature)
    with pytest.raises(UnsafeArtefact, match="signature is bad") as refused:
        verify(root, model_id, strict(key))
    assert "\x1b" not in str(refused.value)


def test_a_stripped_signature_and_an_unknown_key_are_refused_where_one_is_required(root, key, other):
    stripped = put(root, {"x": 1}, FACTS, NOW, signer=key)
    rewrite(root, stripped, signature=None)
    unknown = put(root, {"x": 2}, FACTS, NOW, signer=other)
    for model_id, sentence in ((stripped, "is set: unsigned"), (unknown, "does not list")):
        with pytest.raises(UnsafeArtefact, match=sentence):
            load(root, model_id, strict(key))
        with pytest.raises(UnsafeArtefact, match=sentence):
            promote(root, model_id, "ana", NOW, "why", strict(key))
        load(root, model_id, lenient(key))
    assert current(root) is None


def test_a_changed_file_is_refused_although_the_manifest_is_signed(root, key):
    model_id = put(root, {"x": 1}, FACTS, NOW, {"CARD.md": b"honest"}, signer=key)
    (root / model_id / "CARD.md").chmod(0o644)
    (root / model_id / "CARD.md").write_bytes(b"lovely")
    with pytest.raises(UnsafeArtefact, match=r"CARD\.md .* is not the one its manifest was made for"):
        load(root, model_id, strict(key))


def test_the_signature_is_checked_before_any_file_is_looked_at(root, key):
    model_id = put(root, {"x": 1}, FACTS, NOW)
    (root / model_id / "model.joblib").chmod(0o644)
    (root / model_id / "model.joblib").write_bytes(b"cos\nsystem\n")
    with pytest.raises(UnsafeArtefact, match="is set: unsigned"):
        load(root, model_id, strict(key))


def test_what_does_not_verify_is_not_signed(root, key):
    model_id = put(root, {"x": 1}, FACTS, NOW, {"CARD.md": b"honest"})
    (root / model_id / "CARD.md").chmod(0o644)
    (root / model_id / "CARD.md").write_bytes(b"lovely")
    with pytest.raises(UnsafeArtefact, match="is not the one"):
        sign(root, model_id, key)
    assert show(root, model_id).signature is None


def test_rolling_back_asks_for_a_signature_too(root, key):
    first, second = (put(root, {"x": n}, FACTS, NOW) for n in (1, 2))
    sign(root, second, key)
    promote(root, first, "ana", NOW, "before signatures")
    promote(root, second, "ana", NOW, "why", strict(key))
    with pytest.raises(UnsafeArtefact, match="is set: unsigned"):
        rollback(root, "ana", NOW, "why", strict(key))
    sign(root, first, key)
    assert rollback(root, "ana", NOW, "why", strict(key)).model_id == first


def test_a_key_lies_in_a_file_only_its_owner_reads_and_is_never_overwritten(tmp_path, key):
    path = tmp_path / "key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ArtefactError, match="exists already"):
        create_key(path)
    assert SigningKey.read(str(path)).public == SigningKey.read(path.read_text()).public == key.public
    assert path.read_text().splitlines()[1] not in repr(key)
    with pytest.raises(ArtefactError, match="cannot be written"):
        create_key(tmp_path / "absent" / "key.pem")


def test_what_is_no_signing_key_is_refused_without_repeating_it(tmp_path):
    curve = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    (tmp_path / "curve.pem").write_bytes(curve)
    for text in (curve.decode(), locked.decode(), str(tmp_path / "curve.pem"), "-----BEGIN nonsense"):
        with pytest.raises(SettingsError, match="must be an Ed25519 private key") as refused:
            SigningKey.read(text)
        assert curve.decode().splitlines()[1] not in str(refused.value)
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        SigningKey.read(str(tmp_path / "absent.pem"))


def test_settings_say_whom_to_trust(key, other):
    environ = {"EBBTIDE_VERIFY_KEYS": f"{key.public}, {other.public}", "EBBTIDE_REQUIRE_SIGNED": "1"}
    assert Settings.from_environment(environ).trust == strict(key, other)
    assert Settings.from_environment({}).trust == Trust()
    with pytest.raises(SettingsError, match="EBBTIDE_REQUIRE_SIGNED needs EBBTIDE_VERIFY_KEYS"):
        Settings.from_environment({"EBBTIDE_REQUIRE_SIGNED": "1"})
    for wrong in ("ed25519:AAAA", "MCow", f"{key.public},x", key.public.replace("ed25519", "rsa")):
        with pytest.raises(SettingsError, match="EBBTIDE_VERIFY_KEYS holds"):
            Settings.from_environment({"EBBTIDE_VERIFY_KEYS": wrong})


def test_settings_do_not_show_the_key():
    assert "secret" not in repr(Settings.from_environment({"EBBTIDE_SIGNING_KEY": "secret"}))


def test_one_bit_of_the_manifest_is_under_the_signature(root, key):
    manifest = show(root, put(root, {"x": 1}, FACTS, NOW, signer=key))
    assert strict(key).standing(manifest).state == "signed"
    for change in ({"status": "better"}, {"p_ref": 0.05}, {"files": {}}, {"metrics": {"auc": 1.0}}):
        assert strict(key).standing(replace(manifest, **change)).state == "bad"


def test_whoever_opens_an_artefact_says_whom_to_trust():
    """The default trusts everybody: a command or a service that forgot would open what it was told to refuse."""
    forgot = []
    for path in (path for room in ("api", "training") for path in (ROOT / room).rglob("*.py")):
        calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
        opens = (call for call in calls if getattr(call.func, "id", "") == "load_model")
        forgot += [f"{path.name}:{call.lineno}" for call in opens if len(call.args) + len(call.keywords) < 3]
    assert forgot == []
