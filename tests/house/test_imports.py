"""What import-linter and ruff cannot see of the house's import rules."""

import subprocess
import sys

from tests.house.tree import SRC, Module, everything, source

HEAVY = {"apsw", "asyncpg", "sqlalchemy", "starlette", "uvicorn"}
BANNED = {"httpx", "sqlite3"}
PURE = {"msgspec", "ahocorasick_rs", "cronsim", "cvss", "jsonschema_rs", "packaging", "re2", "semver", "yaml"}
HOUSE_LINT = {"PLC0415": "imports inside functions", "TID251": "banned imports", "D1": "missing docstrings"}


def test_no_one_imports_httpx_or_sqlite3() -> None:
    assert [m.path for m in everything() if m.says(*BANNED) and tops(m) & BANNED] == []


def test_the_domain_needs_the_standard_library_and_msgspec_only() -> None:
    assert {m.path: more for m in source() if m.room == "domain" and (more := third_party(m) - PURE)} == {}


def test_the_client_imports_nothing_of_ours() -> None:
    assert [m.path for m in source() if m.room == "client" and any(map(ours, m.imports()))] == []


def test_no_one_silences_the_lint_that_stands_for_a_house_rule() -> None:
    silenced = [
        f"{m.path}:{number} {rule}"
        for m in everything()
        for number, line in enumerate(m.text.splitlines(), 1)
        for rule in HOUSE_LINT
        if f"noqa: {rule}" in line and m.path != "tests/house/test_imports.py"
    ]
    assert silenced == []


def test_client_commands_load_neither_the_server_nor_the_database() -> None:
    code = "import sys, runwright.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY & set(loaded) == set()


def third_party(module: Module) -> set[str]:
    """Return the top names of the imported packages that are neither standard nor ours."""
    return tops(module) - sys.stdlib_module_names - {SRC.name}


def tops(module: Module) -> set[str]:
    """Return the top names of all that is imported."""
    return {name.split(".")[0] for name in module.imports()}


def ours(name: str) -> bool:
    """Tell whether an import reaches into another room of the package."""
    return f"{name}.".startswith(f"{SRC.name}.") and not name.startswith(f"{SRC.name}.client")
