from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runwright.agents.providers.port import Malformed
from runwright.agents.providers.sse import events

READER = msgspec.json.Decoder(dict[str, int])


async def read(parts):
    async def come():
        for part in parts:
            yield part

    return [event async for event in events(come(), READER)]


def cut(data, places):
    at = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(at)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@given(places=st.lists(st.integers(0, 500), max_size=30))
@example(places=[*range(200)])
async def test_events_are_the_same_wherever_the_stream_is_cut(end, places):
    lines = [b": hello", b"", b'data: {"a":1}', b"", b"event: x", b"id: 7", b'data:{"b":', b"data: 2}", b"", b"",
             b"data: [DONE]", b"", b'data: {"c":3}', b"", b'data: {"lost":4}']  # fmt: skip
    assert await read(cut(end.join(lines) + end, places)) == [{"a": 1}, {"b": 2}, {"c": 3}]


@pytest.mark.parametrize("data", [b"data: {\n\n", b'data: {"a":"b"}\n\n', b"data: []\n\n", b'data: {"\xff":1}\n\n'])
async def test_data_that_is_something_else_is_malformed(data):
    with pytest.raises(Malformed):
        await read([data])
