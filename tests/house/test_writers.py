"""One writer, one redactor: who may change a run, and who may call bytes redacted."""

import ast

from runwright.store.base import Readings
from tests.house.tree import dotted, source

COMMIT = {"src/runwright/engine/commit.py", "src/runwright/engine/batch.py"}
REDACTOR = {"src/runwright/domain/redaction.py"}


def test_only_the_commit_makes_change_sets() -> None:
    saying = (m for m in source() if m.room != "store" and m.says("ChangeSet"))
    named = {m.path for m in saying if "runwright.store.base.ChangeSet" in m.imports()}
    assert named | callers("ChangeSet") <= COMMIT


def test_only_the_commit_hands_a_change_set_to_a_transaction() -> None:
    assert callers("tx.apply") | callers("transaction.apply") <= COMMIT


def test_only_the_redactor_makes_redacted_bytes() -> None:
    assert callers("Redacted") <= REDACTOR


def test_outside_the_domain_only_our_own_words_are_called_redacted() -> None:
    strays = [
        module.at(call)
        for module in source()
        if module.room != "domain" and module.says("RedactedText")
        for name, call in module.calls()
        if name.endswith("RedactedText") and not all(isinstance(argument, ast.Constant) for argument in call.args)
    ]
    assert strays == []


SERVERS_OWN = {"workforce.py: page", "queues.py: all", "tickets.py: issue"}
"""What tells a caller of the server's own bookkeeping: how many leases a worker has, which queues are paused."""
READINGS = {name for name in vars(Readings) if not name.startswith("_")}


def test_who_reads_for_a_caller_reads_within_its_organization() -> None:
    strays = {
        f"{module.path.rpartition('/')[2]}: {function.name}"
        for module in source()
        if module.room in ("engine", "auth") and module.says("actor")
        for function in module.functions()
        if any(argument.arg == "actor" for argument in function.args.args)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and _reads_of_everybody(call)
    }
    assert strays == SERVERS_OWN


def _reads_of_everybody(call: ast.Call) -> bool:
    name = dotted(call.func)
    if name == "read" and call.args:
        return dotted(call.args[0]) == "self._store"
    return name in {f"self._store.{reading}" for reading in READINGS}


def callers(name: str) -> set[str]:
    """Return the paths of the package's modules that call something whose dotted name ends so."""
    saying = (m for m in source() if m.says(name.rpartition(".")[2]))
    return {m.path for m in saying for called, _ in m.calls() if f".{called}".endswith(f".{name}")}
