"""What the commands of gates and baselines share: the means, the rules and one judgement, with what to do if not."""

import asyncio
import os
from pathlib import Path

from msgspec.structs import replace

from runwright.cli import printing
from runwright.cli.exits import CommandError, UsageError
from runwright.clock import SystemClock
from runwright.config import Settings, load
from runwright.domain.instants import EPOCH
from runwright.errors import PolicyInvalid
from runwright.governance.local.environments import shown
from runwright.governance.local.gate_run import Asked, GateRun, Local, Rules, rules_of
from runwright.governance.local.here import Here, NotHere, look_here
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.child import NotStarted
from runwright.sandbox.means import Means, NoSandbox
from runwright.sandbox.snapshot import TreeRefused

FORK_BLOCKED = 12
_NO_SANDBOX = "Nothing was judged: what cannot be run apart is not run. `runwright doctor` says what is missing."


def judge(path: Path, base: str | None, asked: Asked) -> GateRun | int:
    """Judge a directory; return an exit code where the policy ends it before anything was looked at."""
    settings = load(os.environ, None, {})
    clock = SystemClock()
    here, rules = _known(path, base, asked, clock)
    if asked.from_fork and rules.policy.forks == "block":
        printing.fail("The change comes of a fork, and the policy blocks those (forks: block).", "Nothing was run.")
        return FORK_BLOCKED
    for each in asked.environments:
        if not (each / "bin").is_dir():
            raise UsageError(f"{each} has no bin/", "Name a virtual environment, or a directory like one, with --env.")
    return asyncio.run(_judged(here, rules, asked, settings, clock))


def _known(path: Path, base: str | None, asked: Asked, clock: SystemClock) -> tuple[Here, Rules]:
    try:
        here = look_here(path, base)
        now = EPOCH.fromtimestamp(clock.now() / 1_000_000, EPOCH.tzinfo)
        return here, rules_of(here, asked, now)
    except NotHere as why:
        raise UsageError(str(why), why.hint) from None
    except PolicyInvalid as wrong:
        hint = "docs/how-to/write-a-policy.md shows every key. Nothing was judged."
        raise UsageError(wrong.detail, hint) from None
    except OSError as failure:
        raise UsageError(f"{failure.filename} cannot be read: {failure.strerror}", "Name another file.") from None


async def _judged(here: Here, rules: Rules, asked: Asked, settings: Settings, clock: SystemClock) -> GateRun:
    bounds = Bounds.of(settings)
    bounds = replace(bounds, paths=(*bounds.paths, *shown(asked.environments)))
    try:
        means = await Means.find(bounds)
    except NoSandbox as missing:
        raise UsageError(f"no sandbox works here: {missing}", _NO_SANDBOX) from None
    try:
        return await Local(here, rules, asked, settings, means, clock).judged()
    except NotHere as why:
        raise UsageError(str(why), why.hint) from None
    except TreeRefused as why:
        hint = "Raise RUNWRIGHT_RUNTIME_WORKSPACE_MAX_FILES or _BYTES, or leave files out by .gitignore."
        raise UsageError(f"the tree is not judged: {why}", hint) from None
    except NotStarted as why:
        raise CommandError(f"the sandbox failed: {why}", _NO_SANDBOX, 2) from None
    finally:
        means.close()
