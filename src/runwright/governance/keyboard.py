"""What people type for the commands of runs: taken from persons alone, sealed, and told in the run's log."""

from __future__ import annotations

from base64 import b64encode

from runwright import ids
from runwright.domain.commands import Touch
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Run
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.engine import Engine
from runwright.engine.values import KEYS, encode
from runwright.errors import Denied, TooLarge

SCOPE = "terminal:write"


class Keyboard:
    """Types for commands, ends that, and gives their terminals another size. A refusal changes nothing.

    Each verb raises `Denied` for who is no person, `InvalidTransition` (`terminal.read_only`) where no command takes
    it, and `LimitExceeded` (`terminal.input_full`) where too much waits for the command.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def type(self, actor: Actor, run: Run, data: bytes, ref: str | None = None) -> None:
        """Let the run's command have these bytes, in their order. Raises `TooLarge`, too."""
        most = self._engine.settings.terminal_input_max_bytes
        if len(data) > most:
            raise TooLarge(f"{len(data)} bytes of input at once, at most {most} are taken", code="terminal.input_large")
        person, spec = person_of(actor), run.spec
        await self._engine.values.ensure([spec.project_id])
        input_id = self._new_id()
        envelope, name = encode(b64encode(data).decode()), f"{KEYS}/{input_id}"
        await self._engine.commit.apply(
            Touch(
                run_id=spec.run_id,
                what="keys",
                input_id=input_id,
                cause=person,
                size=len(data),
                sealed=self._engine.values.seal(spec.project_id, spec.run_id, name, envelope),
                ref=self._clean(run, ref),
                most_bytes=self._engine.settings.terminal_input_untaken_max_bytes,
            )
        )

    async def end(self, actor: Actor, run: Run, ref: str | None = None) -> None:
        """Tell the run's command that no more is typed."""
        await self._engine.commit.apply(
            Touch(
                run_id=run.run_id,
                what="end",
                input_id=self._new_id(),
                cause=person_of(actor),
                ref=self._clean(run, ref),
            )
        )

    async def resize(self, actor: Actor, run: Run, cols: int, rows: int, ref: str | None = None) -> None:
        """Give the terminal of the run's command another size."""
        await self._engine.commit.apply(
            Touch(
                run_id=run.run_id,
                what="size",
                input_id=self._new_id(),
                cause=person_of(actor),
                cols=cols,
                rows=rows,
                ref=self._clean(run, ref),
            )
        )

    def _new_id(self) -> str:
        return ids.new_id("inp", self._engine.clock.now())

    def _clean(self, run: Run, ref: str | None) -> RedactedText | None:
        return None if ref is None else self._engine.vault.redactors.of(run.spec.project_id).text(ref)


def person_of(actor: Actor) -> Cause:
    """Return the person who does it. Raises `Denied` for a service, a run or the server."""
    if actor.user_id is None:
        raise Denied("people alone type; use the key or the login of a person", code="terminal.people_only")
    return Cause(actor.label)
