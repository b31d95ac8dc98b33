"""Read a PATCH: the fields that it names are the changes, each replaced whole."""

from typing import Any

import msgspec


def given(patch: msgspec.Struct) -> dict[str, Any]:
    """Return the fields that a request names, null among them."""
    fields = ((name, getattr(patch, name)) for name in patch.__struct_fields__)
    return {name: value for name, value in fields if value is not msgspec.UNSET}
