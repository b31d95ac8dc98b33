"""Read the idempotency key of a request."""

from runwright.api.context import Call
from runwright.errors import InvalidRequest

KEY_MAX = 256
HEADERS = {
    "Idempotency-Key": "A name for this request, at most 256 characters: sent again, it finds what it made.",
    "X-Idempotency-Key": "A synonym of `Idempotency-Key`.",
}
_FIELDS = {name: name.lower().encode() for name in HEADERS}
TAKEN = {409: "The name is taken"}
MADE_BEFORE = {200: "What the idempotency key had made before", 409: "The name is taken, or the key was used otherwise"}


def idempotency_key(call: Call) -> str | None:
    """Return the key in the headers, or None. Raises `InvalidRequest` for one that is empty, too long, or two."""
    keys = {name: call.headers[field].decode("latin-1") for name, field in _FIELDS.items() if field in call.headers}
    if not keys:
        return None
    for name, value in keys.items():
        if not 0 < len(value) <= KEY_MAX:
            raise InvalidRequest.at(name, f"must have 1 to {KEY_MAX} characters")
    if len(set(keys.values())) > 1:
        raise InvalidRequest.at("X-Idempotency-Key", "contradicts Idempotency-Key")
    return next(iter(keys.values()))


def key_in_either(call: Call, in_body: str | None) -> str | None:
    """Return the key in the headers or in the body. Raises `InvalidRequest` for two."""
    in_headers = idempotency_key(call)
    if in_headers is not None and in_body is not None and in_headers != in_body:
        raise InvalidRequest.at("idempotency_key", "contradicts the header")
    return in_headers or in_body
