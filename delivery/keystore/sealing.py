"""Encrypt what a key store keeps: where the site's master key comes from, and how keys wrap keys and rows.

Three levels. The *master key* of a site comes from outside the store (`MasterKey`) and is forgotten again as soon as
the *wrapping key* is derived from it and from the store's `shred secret <faintlink.delivery.keystore.anchor>`. The
wrapping key wraps *epoch keys*, which seal rows. Whoever overwrites the shred secret makes every copy of the store
unreadable, wherever the copies are and whoever has the master key.

Nonces are 96 random bits from the operating system, which stay apart when a process is forked or a machine is cloned,
as counters do not. An epoch key seals no more than `MOST_SEALS` rows and each is used by one process only, so that two
nonces of a key are equal with probability below 2^-34.

Nothing here logs key material or shows it in a ``repr``.

Sources: AES-GCM and the bound on random nonces: NIST SP 800-38D, 8.2.2 and 8.3; HKDF: RFC 5869.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import ConfigError, StoreError
from faintlink.core.private import write_private

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
MOST_SEALS = 2**31
"""Rows under one epoch key; SP 800-38D allows 2^32 for random nonces."""
CREDENTIALS = "CREDENTIALS_DIRECTORY"
_CAN_DECRYPT_INTO = hasattr(AESGCM, "decrypt_into")
"""Old versions of the library leave a copy in memory that nobody can overwrite."""
_PURPOSE = b"faintlink key store 1: wrapping key"


class MasterKey(Protocol):
    """Where a site's master key comes from: a file, a credential of the service manager, a hardware module."""

    def read(self) -> bytearray:
        """Return the 32 bytes; the caller overwrites them.

        Raises
        ------
        ConfigError
            It is not there, has another length, or is open to others.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileMasterKey:
    """A master key in a file of mode 0600 or less."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> "FileMasterKey":
        """Draw a new key and write it.

        Raises
        ------
        RunExistsError
            The file exists: the store sealed under its key would be lost.
        """
        key = OsEntropy().draw(KEY_BYTES, "master key")
        return cls(write_private(path, key, hint="a master key is never replaced: its store would be lost"))

    @classmethod
    def credential(cls, name: str) -> "FileMasterKey":
        """Return the key that systemd hands to the service (``LoadCredential`` or ``LoadCredentialEncrypted``).

        Raises
        ------
        ConfigError
            The process was not started with credentials.
        """
        folder = os.environ.get(CREDENTIALS)
        if not folder:
            raise ConfigError(
                f"the credential {name!r} was asked for, and {CREDENTIALS} is not set",
                hint=f"start the service with LoadCredentialEncrypted={name}:…, or name a master key file",
            )
        return cls(Path(folder) / name)

    def read(self) -> bytearray:
        """Return the 32 bytes; the caller overwrites them."""
        key = bytearray(KEY_BYTES + 1)
        try:
            # Without a buffer in between, which nobody would overwrite.
            with self.path.open("rb", buffering=0) as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                size = file.readinto(key)
        except OSError as error:
            raise ConfigError(
                f"the master key {self.path} cannot be read: {error.strerror}",
                hint="a new site makes one; an old store cannot be opened without its own",
            ) from error
        if mode & 0o077:
            raise ConfigError(
                f"{self.path} must be its owner's only (mode 600), it has mode {mode:o}",
                hint="chmod 600; if others may have read it, void the store's keys",
            )
        if size != KEY_BYTES:
            raise ConfigError(f"{self.path} does not hold the {KEY_BYTES} bytes of a master key", hint="is it damaged?")
        del key[KEY_BYTES:]
        return key


class Cipher:
    """AES-256-GCM under one key: nonce, ciphertext and tag in one piece."""

    def __init__(self, key: bytes | bytearray) -> None:
        self._gcm = AESGCM(key)
        self.uses = 0
        """Seals so far."""

    def __repr__(self) -> str:
        return f"Cipher({self.uses} uses)"

    def seal(self, plain: bytes | bytearray | memoryview, about: bytes) -> bytes:
        """Encrypt ``plain`` and bind it to ``about``."""
        self.uses += 1
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._gcm.encrypt(nonce, plain, about)

    def open(self, sealed: bytes, about: bytes) -> bytearray:
        """Decrypt into bytes that the caller overwrites.

        Raises
        ------
        StoreError
            It was changed, moved to another place, or is sealed under another key.
        """
        nonce, data = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        plain = bytearray(max(0, len(data) - TAG_BYTES))
        try:
            if _CAN_DECRYPT_INTO:
                self._gcm.decrypt_into(nonce, data, about, plain)
            else:
                plain[:] = self._gcm.decrypt(nonce, data, about)
        except (InvalidTag, ValueError):
            raise StoreError(
                "a sealed row of the key store does not open",
                hint="the store was changed by another hand, or this is not its master key; recover the store",
            ) from None
        return plain


def wrapping_key(master: MasterKey, shred_secret: bytes | bytearray, store_id: str) -> Cipher:
    """Return the cipher that wraps the epoch keys of a store."""
    key = master.read()
    try:
        derived = HKDF(SHA256(), KEY_BYTES, bytes(shred_secret), _PURPOSE + store_id.encode()).derive(key)
    finally:
        wipe(key)
    return Cipher(derived)


def bound(*names: str | int) -> bytes:
    """Return names as bytes that no other list of names gives: what a sealed row is bound to."""
    return json.dumps(names).encode()


def wipe(*secrets: bytearray) -> None:
    """Overwrite secrets with zeros."""
    for secret in secrets:
        secret[:] = bytes(len(secret))
