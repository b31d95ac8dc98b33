"""A key of AES-256-GCM. What is large goes through it a piece at a time: a thread lets others run in between."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import AEADDecryptionContext, AEADEncryptionContext, Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

PIECE_BYTES = 1 << 20
TAG_BYTES = 16


class SealingKey:
    """Seals and opens; the bytes are the same, in pieces or whole."""

    def __init__(self, key: bytes) -> None:
        self._whole = AESGCM(key)
        self._key = AES(key)

    def encrypt(self, head: bytes, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """Return head, nonce, ciphertext and tag."""
        if len(data) <= PIECE_BYTES:
            return head + nonce + self._whole.encrypt(nonce, data, bound)
        sealing = Cipher(self._key, GCM(nonce)).encryptor()
        sealing.authenticate_additional_data(bound)
        pieces = list(_through(sealing, memoryview(data)))
        return b"".join((head, nonce, *pieces, sealing.finalize(), sealing.tag))

    def decrypt(self, nonce: bytes, sealed: memoryview, bound: bytes) -> bytes:
        """Return what was sealed. Raises `InvalidTag` for anything else, and gives nothing of it away."""
        if len(sealed) <= PIECE_BYTES:
            return self._whole.decrypt(nonce, sealed, bound)
        data, tag = sealed[:-TAG_BYTES], bytes(sealed[-TAG_BYTES:])
        opening = Cipher(self._key, GCM(nonce, tag)).decryptor()
        opening.authenticate_additional_data(bound)
        pieces = list(_through(opening, data))
        return b"".join((*pieces, opening.finalize()))


def _through(context: AEADEncryptionContext | AEADDecryptionContext, data: memoryview) -> Iterator[bytes]:
    return (context.update(data[start : start + PIECE_BYTES]) for start in range(0, len(data), PIECE_BYTES))
