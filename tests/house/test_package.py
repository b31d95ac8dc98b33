"""What is installed is what is declared, from where everybody can get it."""

import tomllib
from typing import Any

from tests.house.tree import ROOT

PUBLIC = {"registry": "https://pypi.org/simple"}


def test_the_lock_names_public_addresses_only() -> None:
    packages = read("uv.lock")["package"]
    assert [p["name"] for p in packages if p["source"] not in (PUBLIC, {"editable": "."})] == []
    files = [file for p in packages for file in [p.get("sdist", {}), *p.get("wheels", [])] if file]
    assert [f["url"] for f in files if not f["url"].startswith("https://files.pythonhosted.org/")] == []


def test_the_lock_knows_every_declared_dependency() -> None:
    locked = next(p for p in read("uv.lock")["package"] if p["name"] == "runwright")["metadata"]
    project = read("pyproject.toml")
    extras = [name for names in project["project"].get("optional-dependencies", {}).values() for name in names]
    assert requirements(locked["requires-dist"]) == sorted([*project["project"]["dependencies"], *extras])
    assert requirements(locked["requires-dev"]["dev"]) == sorted(project["dependency-groups"]["dev"])


def requirements(entries: list[dict[str, Any]]) -> list[str]:
    """Return locked requirements as pyproject.toml writes them."""
    markers = [entry.get("marker", "extra") for entry in entries]
    shown = ["" if marker.startswith("extra") else f" ; {marker}" for marker in markers]
    found = zip(entries, shown, strict=True)
    return sorted(entry["name"] + entry.get("specifier", "") + marker for entry, marker in found)


def read(name: str) -> dict[str, Any]:
    """Return a TOML file of the root."""
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))
