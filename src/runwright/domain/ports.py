"""What the engine needs from rooms it must not know: each port has one implementation, chosen in `app.py`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol

from runwright.domain.hints import Hint
from runwright.domain.run import Run, StopKind


class Sealer(Protocol):
    """Encrypts working values with the key of their project."""

    def seal(self, project_id: str, data: bytes, context: str) -> bytes:
        """Return `data` encrypted and bound to `context`, which says whose value it is (`<run_id>/payload`)."""

    def open(self, project_id: str, sealed: bytes, context: str) -> bytes:
        """Return what was sealed. Raises `StoreError` when the bytes are not what was sealed in that context."""


class ProjectSealer(Sealer, Protocol):
    """A sealer of all projects, those that are made meanwhile too."""

    async def ensure(self, project_id: str) -> None:
        """Have the key of a project at hand, so that `seal` and `open` find it: another process may have made it."""


class Bus(Protocol):
    """Carries hints between the server processes of one database. Any of them may be lost; nobody waits for one."""

    @property
    def connected(self) -> bool:
        """Tell whether hints come and go at the moment."""

    @property
    def peers(self) -> int:
        """Return from how many other processes something was heard lately."""

    def open(self, hear: Callable[[Hint], None]) -> None:
        """Begin, and go on until closed: `hear` hears what others send, and after an interruption: look."""

    def send(self, hint: Hint) -> None:
        """Give others a hint soon."""

    async def close(self) -> None:
        """Send what waits and end."""


class ArtifactStore(Protocol):
    """Keeps large values by the SHA-256 of their bytes."""

    async def put(self, data: bytes) -> str:
        """Store the bytes durably and return their digest (hex). Raises `TooLarge`."""

    async def get(self, digest: str) -> bytes:
        """Return the bytes. Raises `NotFound`, and `StoreError` when they are not what the digest says."""

    async def receive(self, parts: AsyncIterator[bytes]) -> tuple[str, int]:
        """Store bytes durably as they come, return digest and size; half of them leave nothing. Raises `TooLarge`."""

    async def size(self, digest: str) -> int:
        """Return how many bytes there are. Raises `NotFound`."""

    def pieces(self, digest: str, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` to before `stop`, piece by piece. Raises `NotFound`."""

    async def remove(self, digests: Sequence[str]) -> None:
        """Remove bytes that nothing names any more, but those that were put again; unknown digests are no error."""

    @property
    def folders(self) -> int:
        """In how many parts `aged` looks."""

    async def aged(self, folder: int, before: int) -> list[str]:
        """Return the digests in one part of the store that were last put before an instant (µs), in order."""

    async def collect(self, digests: Sequence[str], before: int) -> int:
        """Remove those of the bytes that were last put before an instant (µs); return how many."""


class LocalWorker(Protocol):
    """A worker that lives in the process of the commit."""

    worker_id: str

    def reserve(self, lane: str, count: int) -> int:
        """Hold up to `count` free slots for runs of that lane; return how many, 0 if it is not its work."""

    def give_back(self, count: int) -> None:
        """Free reserved slots that no run took."""

    def assign(self, runs: Sequence[tuple[Run, bytes | None]]) -> None:
        """Take runs that were claimed into reserved slots, each with its sealed payload if that is at hand."""

    def stop(self, run_id: str, lease_epoch: int, kind: StopKind) -> None:
        """Tell an executing attempt that a stop was asked for."""

    def wake(self, lanes: Iterable[str]) -> None:
        """Hear that runs became ready in these lanes."""
