"""Validate values against JSON Schemas (2020-12): those of jobs, and those that came with an output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from runwright.domain.job import Job, JobDefinition
from runwright.domain.json_schema import PROBLEMS_MAX, BadSchema, JsonSchema
from runwright.domain.outcome import Completed, Failed, Outcome
from runwright.domain.run import Spec
from runwright.engine.orders import Order
from runwright.engine.values import Values
from runwright.errors import FieldError, InvalidRequest
from runwright.store.base import Store
from runwright.store.queries import jobs as q

KNOWN_MAX = 1000


def require_valid(value: Any, schema: Any) -> None:
    """Raise `InvalidRequest` for a value that is not what its schema says (`output.schema_mismatch`), or a bad schema.

    Nothing is fetched: a schema that refers to another document is refused.
    """
    try:
        judge = JsonSchema(schema)
    except BadSchema as broken:
        raise InvalidRequest(f"the schema is no JSON Schema: {broken}", code="output.schema_invalid") from broken
    problems = judge.problems(value, "value", len(msgspec.json.encode(value)))
    if problems:
        raise InvalidRequest(fields=problems, code="output.schema_mismatch")


class JobSchemas:
    """The schemas of jobs' versions, compiled once. A version never changes, so nothing here grows old."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str], JsonSchema] = {}

    def require_payload(self, job: Job, order: Order, size: int) -> None:
        """Raise `InvalidRequest` (`payload.schema_mismatch`) for a payload (of `size` bytes) that the job refuses."""
        if job.definition.payload_schema is None:
            return
        judge = self._compiled(job.job_version_id, "payload", job.definition.payload_schema)
        _require(judge, order.payload, size, items=job.definition.batch is not None and order.replay_of is not None)

    async def require_new_payload(self, spec: Spec, payload: Any, size: int) -> None:
        """Raise `InvalidRequest` for a payload that a run cannot have: its version of the job refuses it."""
        definition = None if spec.job_version_id is None else await self._definition(spec.job_version_id)
        if definition is None or definition.payload_schema is None:
            return
        judge = self._compiled(spec.job_version_id or "", "payload", definition.payload_schema)
        _require(judge, payload, size, items=definition.batch is not None)

    async def judged(self, spec: Spec, outcome: Completed, values: Values, failed: Callable[..., Failed]) -> Outcome:
        """Return the outcome of finished work: failed, and not to be tried again, if its job takes no such result."""
        result = values.open(spec.project_id, spec.run_id, "result", outcome.sealed)
        size = 0 if outcome.result is None else outcome.result.bytes
        wrong = await self._result_problems(spec.job_version_id or "", result, size)
        if not wrong:
            return outcome
        text = "the result is not what the job's result_schema says: "
        text += "; ".join(f"{field.path}: {field.message}" for field in wrong)
        refused = failed("ResultInvalid", text, retryable=False, code="result.schema_mismatch")
        return msgspec.structs.replace(refused, trace=outcome.trace)

    async def _result_problems(self, job_version_id: str, result: Any, size: int) -> list[FieldError]:
        judge = self._known.get((job_version_id, "result"))
        if judge is None:
            definition = await self._definition(job_version_id)
            if definition is None or definition.result_schema is None:
                return []
            judge = self._compiled(job_version_id, "result", definition.result_schema)
        return judge.problems(result, "result", size)

    async def _definition(self, job_version_id: str) -> JobDefinition | None:
        rows = await self._store.fetch(q.VERSION, job_version_id=job_version_id)
        return q.version(rows[0]).definition if rows else None

    def _compiled(self, job_version_id: str, of: str, schema: dict[str, Any]) -> JsonSchema:
        found = self._known.get((job_version_id, of))
        if found is None:
            found = JsonSchema(schema)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[job_version_id, of] = found
        return found


def _require(judge: JsonSchema, payload: dict[str, Any], size: int, *, items: bool) -> None:
    parts = _items(payload) if items else [("payload", payload)]
    problems = [problem for name, part in parts for problem in judge.problems(part, name, size)]
    if problems:
        raise InvalidRequest(fields=problems[:PROBLEMS_MAX], code="payload.schema_mismatch")


def _items(payload: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the payloads of a batch that is replayed, with their places."""
    items = payload.get("items")
    for place, item in enumerate(items if isinstance(items, list) else ()):
        yield f"payload.items[{place}].payload", item.get("payload") if isinstance(item, dict) else item
