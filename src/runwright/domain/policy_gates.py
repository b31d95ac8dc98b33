"""The gates of a policy file: how their ids are spelled, which do something here, and which scanners are whose."""

from __future__ import annotations

from collections.abc import Sequence

from runwright.domain.policy_terms import Behavior, Gate, GateRule, ScannerOptions, Scanning
from runwright.domain.policy_text import Written

SECURITY, STATIC, POLICY, JUDGE = "security", "static_analysis", "policy", "llm_judge"
OWNERSHIP, SCOPED_TESTS = "ownership", "scoped_tests"
COVERAGE = "coverage"
"""The gate that `coverage_min` makes."""
KNOWN = (STATIC, SECURITY, POLICY, JUDGE, OWNERSHIP, SCOPED_TESTS)
"""The gates that do something here; others are kept, and told as not run."""
OFF = frozenset({JUDGE, OWNERSHIP, SCOPED_TESTS})
"""Those that are off unless a policy names them."""
SCANNERS = {
    "secrets": SECURITY,
    "repository": SECURITY,
    "bandit": SECURITY,
    "semgrep": SECURITY,
    "zizmor": SECURITY,
    "dependencies": SECURITY,
    "ruff": SECURITY,
    "ast_grep": SECURITY,
    "ruff_lint": STATIC,
}
"""Scanner → the gate that it belongs to where no gate names it."""
_TAKES = {"semgrep": {"rules"}, "ast_grep": {"rules"}, "dependencies": {"database"}}
_ALIASES = {"security_scan": SECURITY, "static": STATIC}


def spelled(ident: str) -> str:
    """Return the id of a gate as we spell it."""
    ident = ident.strip().lower().replace("-", "_")
    return _ALIASES.get(ident, ident)


def scanner_of(rule_id: str) -> str:
    """Return the scanner whose rule it is; ruff is two of them, and its rules of security are those with an S."""
    tool, _, rule = rule_id.partition(":")
    if tool == "ruff":
        return "ruff" if rule[:1] == "S" and rule[1:2].isdigit() else "ruff_lint"
    return tool.replace("-", "_")


def behavior_of(behavior: Behavior | None, hard: bool | None, default: Behavior = "deny") -> Behavior:
    """Return what counts: the explicit behaviour, else the older `hard`, else the default."""
    if behavior is not None:
        return behavior
    return default if hard is None else "deny" if hard else "allow"


def effective(rules: Sequence[GateRule], written: Written | None = None) -> tuple[Gate, ...]:
    """Return the gates that count: those of the file in its order, then those known here that it does not name.

    Raises `PolicyInvalid` for a gate that is there twice.
    """
    found: list[Gate] = []
    for place, rule in enumerate(rules):
        ident = spelled(rule.id)
        if any(gate.id == ident for gate in found):
            assert written is not None
            raise written.invalid(f"gates[{place}].id", f"the gate {ident} stands there twice")
        default: Behavior = "allow" if ident == JUDGE else "deny"
        found.append(
            Gate(
                id=ident,
                known=ident in KNOWN,
                enabled=rule.enabled,
                behavior=behavior_of(rule.behavior, rule.hard, default),
                required=bool(rule.required),
                config=rule.config,
            )
        )
    named = {gate.id for gate in found}
    rest = [Gate(id=ident, known=True, enabled=ident not in OFF, behavior=_usual(ident), required=False)
            for ident in KNOWN if ident not in named]  # fmt: skip
    return (*found, *rest)


def _usual(ident: str) -> Behavior:
    return "allow" if ident == JUDGE else "deny"


def scannings(gates: Sequence[Gate], written: Written | None = None) -> dict[str, Scanning]:
    """Return what the gates say of each scanner. Raises `PolicyInvalid` for one that there is none of."""
    found: dict[str, Scanning] = {}
    for place, gate in enumerate(gates):
        if gate.id not in (SECURITY, STATIC):
            continue
        for name, said in gate.config.items():
            assert written is not None
            found[_named(name, f"gates[{place}].config.{name}", found, written)] = _scanning(
                gate, name, said, f"gates[{place}].config.{name}", written
            )
    of = {gate.id: gate for gate in gates}
    for name, ident in SCANNERS.items():
        gate = of[ident]
        found.setdefault(name, Scanning(gate=ident, enabled=gate.enabled, behavior=gate.behavior))
    return found


def _named(name: str, place: str, found: dict[str, Scanning], written: Written) -> str:
    ident = name.replace("-", "_")
    if ident not in SCANNERS:
        raise written.invalid(place, f"there is no such scanner; there are {', '.join(SCANNERS)}")
    if ident in found:
        raise written.invalid(place, f"the scanner {ident} stands there twice")
    return ident


def _scanning(gate: Gate, name: str, said: object, place: str, written: Written) -> Scanning:
    options = ScannerOptions(enabled=said) if isinstance(said, bool) else written.read(ScannerOptions, said, place)
    for option in ("rules", "database"):
        if getattr(options, option) is not None and option not in _TAKES.get(name.replace("-", "_"), ()):
            raise written.invalid(f"{place}.{option}", f"the scanner {name} takes no {option}")
    enabled = gate.enabled and options.enabled
    return Scanning(
        gate=gate.id,
        enabled=enabled,
        required=enabled and (gate.required if options.required is None else options.required),
        behavior=gate.behavior,
        rules=options.rules,
        database=options.database,
    )
