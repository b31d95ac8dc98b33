"""A server of the tests' own leaves nobody behind, wherever its end meets one who comes."""

import asyncio
import gc
import socket
import warnings

import pytest

from tests.listening import TURNS, listening


@pytest.mark.parametrize("turns", range(2 * TURNS))
def test_who_comes_while_a_server_ends_is_not_left_behind(turns: int):
    begun, ended = [], []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.append(writer)
        try:
            await reader.read()
        finally:
            ended.append(writer)
            writer.close()

    async def come() -> None:
        async with listening(take) as port:
            caller = socket.create_connection(("127.0.0.1", port))
            for _ in range(turns):
                await asyncio.sleep(0)
        caller.close()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        asyncio.run(come())
        gc.collect()
    assert [str(each.message) for each in told] == []
    assert begun == ended
