"""What a caller asks of a run of the runtime surface, whatever its kind, and the command that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from runwright.config import Settings
from runwright.domain.agent_terms import Budget
from runwright.domain.approval import DECIDERS, decidable
from runwright.domain.commands import IdempotencyKey, Submit
from runwright.domain.globs import require_glob
from runwright.domain.runtime_terms import GateTerms, Mode, RunPolicy, RuntimeTerms
from runwright.domain.tenancy import Role
from runwright.engine.engine import Engine
from runwright.errors import Denied, InvalidRequest
from runwright.governance.step_models import Models
from runwright.governance.submission import Kind, Origin, submission

QUEUE = "runtime"
_canonical = msgspec.json.Encoder(order="sorted").encode


class RunOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What every order says, or leaves as it is."""

    mode: Mode = "audit_readonly"
    repo: str | None = None
    ref: str | None = None
    objective: str = ""
    models: Models = Models()
    budget: Budget = Budget()
    warn_at_pct: int = 80
    policy: RunPolicy = RunPolicy()
    gate: GateTerms = GateTerms()
    labels: dict[str, str] = {}
    queue: str = QUEUE
    priority: int = 0
    idempotency_key: str | None = None


def require_mode(order: RunOrder, settings: Settings) -> None:
    """Raise `Denied` for a mode that this server makes no runs in."""
    allowed = settings.runtime_modes
    if allowed and order.mode not in allowed:
        detail = f"this server makes no runs in the mode {order.mode}"
        raise Denied(detail, code="runs.mode_not_allowed", data={"allowed": list(allowed)})


def require_policy(policy: RunPolicy) -> None:
    """Raise `InvalidRequest` for what no command can be given, and for patterns that are none."""
    if policy.network != "deny":
        told = "commands have no network here, and none can be opened; say deny"
        raise InvalidRequest.at("policy.network", told)
    for name in ("allow", "deny"):
        for place, glob in enumerate(getattr(policy.paths, name)):
            try:
                require_glob(glob)
            except ValueError as wrong:
                raise InvalidRequest.at(f"policy.paths.{name}[{place}]", str(wrong)) from None


def require_decidable(roles: Sequence[Role], path: str) -> None:
    """Raise `InvalidRequest` for roles of which none may decide: what they are asked could only expire."""
    if not decidable(roles):
        raise InvalidRequest.at(path, f"none of them may decide; name one of {', '.join(DECIDERS)}")


async def commanded(
    engine: Engine, origin: Origin, order: RunOrder, terms: RuntimeTerms, *, kind: str, executor: str
) -> Submit:
    """Return the command that creates the run of an order."""
    return await submission(
        engine,
        origin,
        Kind(kind=kind, executor=executor, queue=order.queue),
        terms,
        {"objective": order.objective},
        idempotency=_idempotency(f"{origin.project.project_id}/{kind}.create", order),
        idempotency_key=order.idempotency_key,
        priority=order.priority,
        labels=order.labels,
    )


def _idempotency(scope: str, order: RunOrder) -> IdempotencyKey | None:
    if order.idempotency_key is None:
        return None
    digest = sha256(_canonical(replace(order, idempotency_key=None))).hexdigest()
    return IdempotencyKey(scope, order.idempotency_key, digest)
