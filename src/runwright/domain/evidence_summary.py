"""What a bundle says of a run beside its log: usage, findings, gates and approvals, folded out of the events."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain.delivery_events import Committed
from runwright.domain.events import Event
from runwright.domain.sarif import LEVELS

USED = frozenset({"usage.reported", "usage.recorded"})
GATE, SCAN, COMMIT = "gate.result", "scan.completed", "delivery.committed"
_DONE = {"finding.fixed": "fixed", "finding.suppressed": "suppressed"}


class _Used(msgspec.Struct, frozen=True):
    """What either kind of run says of a model call; a cost that is not known is null."""

    provider: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = 0
    estimated: bool = False


class _Total(msgspec.Struct):
    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0
    calls_of_unknown_cost: int = 0
    calls_estimated: int = 0

    def add(self, used: _Used) -> None:
        self.calls += 1
        self.input_tokens += used.input_tokens + used.prompt_tokens
        self.cached_tokens += used.cached_tokens
        self.output_tokens += used.output_tokens + used.completion_tokens
        self.cost_microusd += used.cost_microusd or 0
        self.calls_of_unknown_cost += used.cost_microusd is None
        self.calls_estimated += used.estimated


_read_used = msgspec.json.Decoder(_Used).decode
_read = msgspec.json.Decoder(dict[str, Any]).decode


class Summary:
    """Takes the events of a run one by one, in order. Of data that the profile withholds only numbers are kept."""

    def __init__(self) -> None:
        self._total = _Total()
        self._models: dict[tuple[str, str], _Total] = {}
        self._findings: dict[str, tuple[dict[str, Any], bool]] = {}
        self._gates: dict[str, dict[str, Any]] = {}
        self._approvals: list[dict[str, Any]] = []
        self.scanned = False
        self.commits: list[Committed] = []
        """What a delivery made, as far as the bundle shows it."""

    def take(self, event: Event, *, shown: bool) -> None:
        """Take an event whose data the bundle shows, or does not."""
        if event.data is None:
            return
        if event.type in USED:
            used = _read_used(event.data)
            self._total.add(used)
            self._models.setdefault((used.provider, used.model), _Total()).add(used)
        elif event.type == GATE:
            data = _read(event.data)
            self._gates[str(data.get("gate_id", event.seq))] = _row(event, data, shown=shown)
        elif event.type.startswith("approval."):
            self._approvals.append(_row(event, _read(event.data), shown=shown))
        elif event.type == COMMIT:
            self.commits += [msgspec.json.decode(event.data, type=Committed)] if shown else []
        elif event.type == SCAN:
            self.scanned = self.scanned or _read(event.data).get("status") != "not_run"
        elif event.type.startswith("finding."):
            data = _read(event.data)
            state = _DONE.get(event.type, str(data.get("baseline_state", "new")))
            name = str(data.get("fingerprint") or data.get("finding_id") or event.seq)
            self._findings[name] = ({**data, "state": state}, shown)
        self.scanned = self.scanned or bool(self._findings or self._gates)

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Return the findings that the bundle shows, each as it was last told."""
        return [data for data, shown in self._findings.values() if shown]

    def usage(self) -> dict[str, Any]:
        """Return what models used, in all and each."""
        models = [
            {"provider": provider, "model": model, **msgspec.structs.asdict(total)}
            for (provider, model), total in sorted(self._models.items())
        ]
        return {"total": msgspec.structs.asdict(self._total), "by_model": models}

    def counts(self) -> dict[str, Any]:
        """Return how many findings there are, by severity and by what became of them."""
        told = [data for data, _ in self._findings.values()]
        live = [each for each in told if each["state"] not in _DONE.values()]
        by_severity = {name: sum(each.get("severity") == name for each in live) for name in LEVELS}
        states = {name: sum(each["state"] == name for each in told) for name in ("new", "unchanged", *_DONE.values())}
        return {**by_severity, **states, "scanned": self.scanned, "findings": self.findings}

    def gates(self) -> list[dict[str, Any]]:
        """Return the last result of each gate."""
        return list(self._gates.values())

    def approvals(self) -> list[dict[str, Any]]:
        """Return what was asked for and decided, in order."""
        return self._approvals


def _row(event: Event, data: dict[str, Any], *, shown: bool) -> dict[str, Any]:
    told = {"seq": event.seq, "type": event.type, "actor": event.actor, "created_at": event.created_at}
    return told | (data if shown else {"withheld": True})
