"""Signatures: who vouches for an artefact, and whom a deployment trusts.

    signer = SigningKey.read("/run/secrets/signing.pem")
    put(root, plain, facts, now(), signer=signer)           # or later: sign(root, model_id, signer)
    load(root, model_id, Trust.of(["ed25519:..."], required=True))

What is signed is the manifest's digest, which covers the hash of every file. A signature says who made or approved
an artefact; it does not say which artefact should be in service.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from models.errors import ArtefactError, SettingsError, UnsafeArtefact
from models.registry.manifest import Manifest

ALGORITHM = "ed25519"
#: Set before the digest, so that a signature made for something else is never one of an artefact.
_PURPOSE = b"ebbtide artefact manifest\n"
_KEY_ID = re.compile("[0-9a-f]{16}")
_PUBLIC_BYTES, _SIGNATURE_BYTES = 32, 64


@dataclass(frozen=True)
class Standing:
    """What a signature is worth here. `state`: unsigned, signed (by a trusted key), unknown_key, bad.

    `key_id`: of the key the signature names; None where there is none.
    """

    state: str
    key_id: str | None = None

    def __str__(self) -> str:
        told = {
            "unsigned": "unsigned",
            "signed": f"signed by the key {self.key_id}",
            "unknown_key": f"signed by the key {self.key_id}, which EBBTIDE_VERIFY_KEYS does not list",
            "bad": "the signature is bad: it was not made for this artefact",
        }
        return told[self.state]


@dataclass(frozen=True)
class Trust:
    """Whose signatures count (key id -> public key, 32 bytes), and whether an artefact needs one.

    The default asks for nothing. A signature that names a trusted key and does not fit is refused in any case.
    """

    keys: Mapping[str, bytes] = field(default_factory=dict)
    required: bool = False

    @classmethod
    def of(cls, public_keys: Iterable[str], *, required: bool = False) -> "Trust":
        """From keys as `ebbtide keys signing-key` shows them. Raises `SettingsError` for one that is none."""
        return cls({key_id(raw): raw for raw in map(public_bytes, public_keys)}, required)

    def standing(self, manifest: Manifest) -> Standing:
        """What the manifest's signature is worth by these keys."""
        if manifest.signature is None:
            return Standing("unsigned")
        named, signature = _parts(manifest.signature)
        if named is None or signature is None:
            return Standing("bad", named)
        if named not in self.keys:
            return Standing("unknown_key", named)
        fits = _fits(self.keys[named], signature, _message(manifest))
        return Standing("signed" if fits else "bad", named)

    def check(self, manifest: Manifest) -> None:
        """Raise `UnsafeArtefact` unless the artefact may be used here."""
        standing = self.standing(manifest)
        if standing.state == "bad" and (self.keys or self.required):
            raise UnsafeArtefact(f"The artefact {manifest.model_id} is refused: {standing}; find out who changed it.")
        if self.required and standing.state != "signed":
            raise UnsafeArtefact(
                f"The artefact {manifest.model_id} is refused, because EBBTIDE_REQUIRE_SIGNED is set: {standing}; "
                "where you vouch for it, sign it with `ebbtide models sign`."
            )


@dataclass(frozen=True)
class SigningKey:
    """A private key that signs manifests."""

    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def read(cls, text: str) -> "SigningKey":
        """From what `EBBTIDE_SIGNING_KEY` says: the path of a PEM file, or the PEM text itself.

        Raises `SettingsError`, which never repeats the key.
        """
        wanted = SettingsError(
            "EBBTIDE_SIGNING_KEY must be an Ed25519 private key without a password: the path of a PEM file, or the PEM "
            "text itself; `ebbtide keys signing-key --out FILE` makes one."
        )
        try:
            content = text.encode() if text.lstrip().startswith("-----BEGIN") else Path(text).read_bytes()
            key = load_pem_private_key(content, password=None)
        except OSError as error:
            raise SettingsError(f"EBBTIDE_SIGNING_KEY names a file that cannot be read: {error.strerror}.") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise wanted from None
        if not isinstance(key, Ed25519PrivateKey):
            raise wanted
        return cls(key)

    @property
    def public(self) -> str:
        """The public key as one line, for `EBBTIDE_VERIFY_KEYS`."""
        return f"{ALGORITHM}:{base64.b64encode(self._key.public_key().public_bytes_raw()).decode()}"

    @property
    def key_id(self) -> str:
        """The public key's short name."""
        return key_id(self._key.public_key().public_bytes_raw())

    def sign(self, manifest: Manifest) -> str:
        """The value of the manifest's entry `signature`."""
        signature = base64.b64encode(self._key.sign(_message(manifest))).decode()
        return f"{ALGORITHM}:{self.key_id}:{signature}"


def create_key(path: Path) -> SigningKey:
    """Write a new private key to a file that only its owner may read. Raises `ArtefactError` where one is there."""
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise ArtefactError(f"{path} exists already; a key is never overwritten.") from None
    except OSError as error:
        raise ArtefactError(f"The key cannot be written to {path}: {error.strerror}.") from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return SigningKey(key)


def key_id(public: bytes) -> str:
    """The short name of a public key: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def public_bytes(text: str) -> bytes:
    """The 32 bytes of a public key written as `ed25519:<base64>`. Raises `SettingsError`."""
    algorithm, _, encoded = text.strip().partition(":")
    raw = _decoded(encoded)
    if algorithm != ALGORITHM or raw is None or len(raw) != _PUBLIC_BYTES:
        raise SettingsError(
            f"EBBTIDE_VERIFY_KEYS holds {text.strip()!r}, which is no public key; those look like ed25519:NahW... and "
            "`ebbtide keys signing-key` shows them."
        )
    return raw


def _message(manifest: Manifest) -> bytes:
    return _PURPOSE + manifest.digest().encode()


def _parts(signature: str) -> tuple[str | None, bytes | None]:
    """The key id a signature names, and its bytes; None for what is not of the form."""
    parts = signature.split(":")
    if len(parts) != 3 or parts[0] != ALGORITHM or not _KEY_ID.fullmatch(parts[1]):
        return None, None
    raw = _decoded(parts[2])
    return parts[1], raw if raw is not None and len(raw) == _SIGNATURE_BYTES else None


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _fits(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True
