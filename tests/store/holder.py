"""A process that opens the data directory named on its command line, says so, and holds it until it is killed."""

import asyncio
import sys
from pathlib import Path

from runwright.clock import SystemClock
from runwright.store.sqlite.store import SqliteStore


async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]), SystemClock())
    await store.open()
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
