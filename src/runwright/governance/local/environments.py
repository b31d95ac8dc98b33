"""What the commands of gates find beside the system where somebody names environments of this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from runwright.sandbox.programs import BIN

_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOME = re.compile(r"^home\s*=\s*(.+)$", re.MULTILINE)


def shown(environments: Sequence[Path]) -> tuple[str, ...]:
    """Return the directories that the sandbox shows, read-only: the environments, and the interpreters behind them."""
    paths = [str(each.resolve()) for each in environments]
    for each in environments:
        config = each / "pyvenv.cfg"
        home = _HOME.search(config.read_text(encoding="utf-8", errors="replace")) if config.is_file() else None
        if home is not None:
            paths.append(str(Path(home[1].strip()).resolve().parent))
    return tuple(path for path in dict.fromkeys(paths) if not Path(path).is_relative_to("/usr"))


def variables(environments: Sequence[Path]) -> dict[str, str]:
    """Return the variables by which a command finds what lies in the environments, the first one first."""
    bins = [str(each.resolve() / "bin") for each in environments]
    return {"PATH": ":".join((*bins, BIN, _SYSTEM))} if bins else {}
