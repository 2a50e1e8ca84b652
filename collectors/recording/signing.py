"""Ed25519 signatures of closed recordings, by the library `cryptography` (extra `sign`), imported late.

What is signed: the footer's directory and its fixed block up to the signature. Source: docs/tgrec.md.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.recording.layout import RecordingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NO_KEY_ID, NO_SIGNATURE = bytes(8), bytes(64)
KEY_MOST = 16_384
"""Most bytes of a key file that are read."""


class Signer:
    """A private key that closes recordings. Its text never shows the key.

    key_id: first 8 bytes of the SHA-256 of the public key
    """

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        self._key = key
        self.key_id = key_id(key.public_key())

    def sign(self, data: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(data)


def read_signer(path: Path) -> Signer:
    """The signer of a private key file (PEM, not encrypted), which nobody else may read.

    raises: RecordingError, which names the file and never what is in it
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _key_bytes(path, is_private=True)
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise RecordingError(_no_key(path, "private")) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise RecordingError(_no_key(path, "private"))
    return Signer(key)


def read_public(path: Path) -> "Ed25519PublicKey":
    """The public key in a file (PEM): of the public one, or of the private one it belongs to.

    raises: RecordingError, which names the file and never what is in it
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _key_bytes(path, is_private=False)
    if b"PRIVATE KEY" in data:
        return read_signer(path)._key.public_key()
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError) as error:
        raise RecordingError(_no_key(path, "public")) from error
    if not isinstance(key, Ed25519PublicKey):
        raise RecordingError(_no_key(path, "public"))
    return key


def is_signed_by(key: "Ed25519PublicKey", signature: bytes, data: bytes) -> bool:
    """Whether `signature` is this key's, over `data`."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def key_id(key: "Ed25519PublicKey") -> bytes:
    """By what a footer names the key: 8 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).digest()[:8]


def _key_bytes(path: Path, *, is_private: bool) -> bytes:
    try:
        import cryptography as _needed  # noqa: F401 - looked for before the file, whose name a message repeats
    except ImportError:
        raise RecordingError(
            "signatures need the library `cryptography`: install tidegate[sign], or leave the key out"
        ) from None
    try:
        # Mode and content of one open file: a path could be swapped between two looks. A pipe would block.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            mode = os.fstat(opened).st_mode
            if not stat.S_ISREG(mode):
                raise RecordingError(f"key file {path} is no regular file: name one")
            if is_private and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise RecordingError(f"{path} can be read by others: run `chmod 600 {path}`")
            return file.read(KEY_MOST)
    except OSError as error:
        raise RecordingError(f"key file {path} cannot be read: {error.strerror}") from error


def _no_key(path: Path, kind: str) -> str:
    return f"{path} holds no {kind} Ed25519 key: make one with `openssl genpkey -algorithm ed25519`"
