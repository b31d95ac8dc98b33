"""Validate values against the JSON Schemas (2020-12) that came with them."""

from __future__ import annotations

from typing import Any, NoReturn

import jsonschema_rs

from runwright.errors import FieldError, InvalidRequest

PROBLEMS_MAX = 10


def require_valid(value: Any, schema: Any) -> None:
    """Raise `InvalidRequest` for a value that is not what its schema says (`output.schema_mismatch`), or a bad schema.

    Nothing is fetched: a schema that refers to another document is refused.
    """
    try:
        validator = jsonschema_rs.Draft202012Validator(schema, retriever=_refuse)
    except (ValueError, TypeError) as broken:
        raise InvalidRequest(f"the schema is no JSON Schema: {broken}", code="output.schema_invalid") from broken
    problems = [
        FieldError("/".join(["value", *map(str, error.instance_path)]), error.message)
        for error, _ in zip(validator.iter_errors(value), range(PROBLEMS_MAX), strict=False)
    ]
    if problems:
        raise InvalidRequest(fields=problems, code="output.schema_mismatch")


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"a schema may not refer to {uri}")
