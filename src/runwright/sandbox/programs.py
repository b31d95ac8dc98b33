"""Programs of this installation, for commands in the sandbox: laid out beside the workspaces, and shown read-only.

A sandbox shows the system's programs and no directory of ours: where Runwright and the programs beside it are
installed, may be anybody's home. So what a command asks for by name is linked (or copied) into a directory that holds
nothing else:

- a program that is one file (ruff, zizmor) as it is;
- a script of a distribution that is installed here (bandit) with all that it depends on, and with an interpreter that
  looks neither at the workspace nor at the environment.

What lies in `/usr` is seen anyway. Nothing of the workspace can take a program's place: names are resolved here.
"""

from __future__ import annotations

import asyncio
import compileall
import os
import re
import shutil
import stat
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.requirements import Requirement

from runwright.sandbox.child import NotStarted
from runwright.sandbox.sandbox import PROGRAMS

BIN = f"{PROGRAMS}/bin"
PYTHON = "python"
_SITE, _SCRIPTS, _HOME = f"{PROGRAMS}/site", f"{PROGRAMS}/scripts", f"{PROGRAMS}/python"
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/")
_ELF = b"\x7fELF"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_NOT_NEEDED = frozenset({"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "lib2to3"})
"""Parts of Python's own library that no program asks for."""
_LAUNCHER = """#!/bin/sh
LD_LIBRARY_PATH={home}/lib exec {python} -I {scripts}/{name} "$@"
"""
_SCRIPT = """import sys

sys.path.insert(0, {site!r})
from {module} import {root}

sys.exit({attribute}())
"""

Kind = Literal["system", "file", "script", "python"]


class ProgramMissing(NotStarted):
    """Say which program is not here, or why it cannot be shown."""


class Found(NamedTuple):
    """Where a program was found, and what it is."""

    name: str
    path: Path
    kind: Kind


def program(name: str) -> str:
    """Return where a command finds a program that it asked for."""
    return f"{BIN}/{name}"


def found(name: str) -> Found:
    """Look for a program: beside this interpreter, then where the server's `PATH` says. Raises `ProgramMissing`."""
    if not _NAME.fullmatch(name):
        raise ProgramMissing("no program has such a name")
    if name == PYTHON:
        path = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        return Found(name, path, "system" if _of_system(path) else "python")
    ours = Path(sysconfig.get_path("scripts"))
    there = shutil.which(name, path=str(ours)) or shutil.which(name)
    if there is None:
        raise ProgramMissing(f"{name} is not installed on this server")
    path = Path(there).resolve()
    if _of_system(path):
        return Found(name, path, "system")
    with path.open("rb") as file:
        if file.read(len(_ELF)) == _ELF:
            return Found(name, path, "file")
    if Path(there).parent == ours and _entry(name) is not None:
        return Found(name, path, "script")
    raise ProgramMissing(f"{name} was found, but not beside this installation: it cannot be shown to a sandbox")


def _of_system(path: Path) -> bool:
    return str(path).startswith(_SYSTEM)


def _entry(name: str) -> EntryPoint | None:
    return next(iter(entry_points(group="console_scripts", name=name)), None)


class Programs:
    """The programs that this process has laid out; each is laid out once, when a command first asks for it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._laid: set[str] = set()
        self._dists: set[str] = set()
        self._one = threading.Lock()

    async def lay(self, names: Sequence[str]) -> None:
        """See to it that these are there. Raises `ProgramMissing`."""
        if not self._laid.issuperset(names):
            await asyncio.to_thread(self._lay, names)

    def _lay(self, names: Sequence[str]) -> None:
        with self._one:
            for name in names:
                if name not in self._laid:
                    try:
                        self._one_of(found(name))
                    except OSError as failure:
                        raise ProgramMissing(f"{name} cannot be laid out: {failure.strerror}") from None
                    self._laid.add(name)

    def _one_of(self, which: Found) -> None:
        there = self._made("bin") / which.name
        if which.kind == "file":
            _link(which.path, there)
        elif which.kind == "script":
            self._script(which, there)
        elif which.kind == "python":
            self._interpreter(which.path)
            _write(there, f'#!/bin/sh\nLD_LIBRARY_PATH={_HOME}/lib exec {_HOME}/bin/{which.path.name} "$@"\n')
        else:
            there.unlink(missing_ok=True)
            there.symlink_to(which.path)

    def _script(self, which: Found, there: Path) -> None:
        entry = _entry(which.name)
        assert entry is not None
        assert entry.dist is not None
        site = self._made("site")
        for dist in _closure(entry.dist):
            if dist.name not in self._dists:
                _lay_distribution(dist, site)
                self._dists.add(dist.name)
        compileall.compile_dir(site, quiet=2)
        root = entry.attr.partition(".")[0]
        script = _SCRIPT.format(site=_SITE, module=entry.module, root=root, attribute=entry.attr)
        _write(self._made("scripts") / which.name, script)
        base = found(PYTHON)
        if base.kind == "python":
            self._interpreter(base.path)
        python = f"{_HOME}/bin/{base.path.name}" if base.kind == "python" else str(base.path)
        _write(there, _LAUNCHER.format(home=_HOME, python=python, scripts=_SCRIPTS, name=which.name))

    def _interpreter(self, executable: Path) -> None:
        if "interpreter" in self._dists:
            return
        home, library = self._made("python"), Path(sysconfig.get_path("stdlib"))
        _link(executable, self._made("python/bin") / executable.name)
        for directory, inner, files in os.walk(library):
            inner[:] = [name for name in inner if name not in _NOT_NEEDED and not name.startswith("config-")]
            to = home / "lib" / library.name / Path(directory).relative_to(library)
            to.mkdir(parents=True, exist_ok=True)
            for name in files:
                _link(Path(directory, name), to / name)
        shared = Path(str(sysconfig.get_config_var("LIBDIR")), str(sysconfig.get_config_var("INSTSONAME")))
        if shared.is_file() and ".so" in shared.name:
            _link(shared, home / "lib" / shared.name)
        self._dists.add("interpreter")

    def _made(self, name: str) -> Path:
        made = self.directory / name
        made.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in (self.directory, made):
            path.chmod(0o755)
        return made


def _closure(first: Distribution) -> Iterator[Distribution]:
    """Yield a distribution and all that it needs, as far as that is installed here."""
    waiting, seen = [first], {first.name}
    while waiting:
        here = waiting.pop()
        yield here
        for needed in map(Requirement, here.requires or ()):
            if needed.name in seen or not (needed.marker is None or needed.marker.evaluate({"extra": ""})):
                continue
            seen.add(needed.name)
            try:
                waiting.append(distribution(needed.name))
            except PackageNotFoundError:
                continue  # the program says itself what it cannot do without


def _lay_distribution(dist: Distribution, site: Path) -> None:
    for each in dist.files or ():
        source = Path(str(each.locate()))
        if each.is_absolute() or ".." in each.parts or not source.is_file():
            continue
        _link(source, site / each)
        compiled = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        if source.suffix == ".py" and compiled.is_file():
            _link(compiled, site / each.parent / "__pycache__" / compiled.name)


def _link(source: Path, target: Path) -> None:
    """Lay a file where anybody may read it: the same one if that may be, else a copy."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    mode = source.stat().st_mode
    wanted = 0o755 if mode & stat.S_IXUSR else 0o644
    if mode & 0o777 & wanted == wanted:
        try:
            os.link(source.resolve(), target)
        except OSError:
            pass  # another file system, or another's file
        else:
            return
    shutil.copy2(source, target)
    target.chmod(wanted)


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
