"""What a terminal says to who watches it."""

from base64 import b64decode
from datetime import datetime

from runwright.client.models import Record


class TerminalFrame(Record, kw_only=True):
    """What a terminal says: `t` is hello, chunk, command_start, command_end, gap, eof or error."""

    t: str
    cursor: str = ""
    seq: int = 0
    ts: datetime | None = None
    command_id: str = ""
    stream: str = ""
    encoding: str = "utf-8"
    data: str = ""
    exit_code: int | None = None
    reason: str = ""
    code: str = ""
    message: str = ""
    final_cursor: str = ""
    sha256: str | None = None

    @property
    def bytes(self) -> bytes:
        """Return what a chunk holds, as it was printed; nothing for other frames."""
        return b64decode(self.data) if self.encoding == "base64" else self.data.encode()
