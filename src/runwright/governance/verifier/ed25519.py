"""Verify signatures of Ed25519 as RFC 8032 (5.1.7) has it, slowly and in public: there is nothing to keep secret."""

from __future__ import annotations

from hashlib import sha512

Point = tuple[int, int, int, int]  # (X, Y, Z, T) with x = X/Z, y = Y/Z, x·y = T/Z

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the owner of a public key (32 bytes) made this signature (64 bytes) of a message."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, point = _decompress(public_key), _decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or point is None or scalar >= Q:
        return False
    challenge = int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % Q
    x, y, z, t = key
    return _equal(_sum_of(scalar, BASE, challenge, (P - x, y, z, P - t)), point)


def _plus(one: Point, other: Point) -> Point:
    a, b = (one[1] - one[0]) * (other[1] - other[0]) % P, (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _sum_of(scalar: int, point: Point, other: int, beside: Point) -> Point:
    """Return scalar·point + other·beside, both in one go (Straus)."""
    either = {(1, 0): point, (0, 1): beside, (1, 1): _plus(point, beside)}
    found = (0, 1, 1, 0)
    for place in range(max(scalar.bit_length(), other.bit_length()) - 1, -1, -1):
        found = _plus(found, found)
        bits = (scalar >> place & 1, other >> place & 1)
        if bits != (0, 0):
            found = _plus(found, either[bits])
    return found


def _equal(one: Point, other: Point) -> bool:
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


def _decompress(encoded: bytes) -> Point | None:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


_Y = 4 * pow(5, P - 2, P) % P
_FOUND = _decompress(_Y.to_bytes(32, "little"))
BASE: Point = _FOUND if _FOUND is not None else (0, 1, 1, 0)
