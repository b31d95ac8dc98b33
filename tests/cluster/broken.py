"""A server without fences, that acknowledges what is not durable and streams things twice, and a worker that goes on.

What the judge must see, or it sees nothing. The server loads `idle`, so that it executes nothing itself.
"""

from runwright.engine import stream
from runwright.store.postgres import connection
from tests.cluster.labourers import app as labourers
from tests.faults.unfenced_fleet import idle as unfenced

_after = stream._Channel.after


def stuttering(self: stream._Channel, seq: int, encode: stream.Encode) -> tuple[bytes, int, bool]:
    """Give the readers what came live twice."""
    frames, last, ended = _after(self, seq, encode)
    return frames + frames, last, ended


setattr(stream._Channel, "after", stuttering)  # noqa: B010 - to mypy a method is no variable
connection.SETTINGS["synchronous_commit"] = "off"

idle = unfenced
app = labourers
