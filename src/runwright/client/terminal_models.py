"""What a terminal says to who watches it."""

from base64 import b64decode
from datetime import datetime

from runwright.client.models import Record


class TerminalFrame(Record, kw_only=True):
    """What a terminal says: `t` is hello, chunk, command_start, command_end, input, typed, resize, gap, eof or error.

    `id` is what the program that typed called that, `by` the person.
    """

    t: str
    cursor: str = ""
    seq: int = 0
    ts: datetime | None = None
    command_id: str = ""
    stream: str = ""
    encoding: str = "utf-8"
    data: str = ""
    tty: bool = False
    stdin: bool = False
    cols: int | None = None
    rows: int | None = None
    what: str = ""
    by: str = ""
    echoed: bool = False
    id: str | None = None
    exit_code: int | None = None
    reason: str = ""
    code: str = ""
    message: str = ""
    final_cursor: str = ""
    sha256: str | None = None

    @property
    def bytes(self) -> bytes:
        """Return what a chunk holds, as it was printed; nothing for other frames."""
        if self.t != "chunk":
            return b""
        return b64decode(self.data) if self.encoding == "base64" else self.data.encode()
