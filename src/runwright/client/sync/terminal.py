# Generated from runwright/client/terminal.py by `make docs`; change that one instead.
"""A run's terminal as it is printed: frames that lose and repeat nothing over cuts, restarts and overload."""

from base64 import b64encode
from collections.abc import Generator, Iterator
from contextlib import closing
from secrets import token_hex
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from runwright.client import waiting
from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, ClientError, ServerUnreachable, UnexpectedAnswer
from runwright.client.sync.stream import OnCut
from runwright.client.sync.transport import Transport
from runwright.client.terminal_models import TerminalFrame

PROTOCOL = Subprotocol("senti.terminal.v1")
FRAME_MAX_BYTES = 1 << 20
_REFUSED = {4400: 422, 4401: 401, 4403: 403, 4404: 404, 4408: 408, 4410: 410, 4429: 429, 1012: 503, 1013: 503}
"""The HTTP status of what a close code says."""
_FOR_NOW = frozenset({408, 429, 500, 503})


class TerminalStream:
    """Iterate over the frames of a run's terminal after `cursor`, until the run ends; wait for those that are to come.

    A connection that is cut, refused for now or too slow is made again from the last frame on, at most
    `backoff.attempts` times in a row without a new one. Frames arrive in order, each once. `cursor` is where the next
    connection, or another stream, goes on; `sha256`, once all was read, the digest of all that was printed.

    `type`, `end` and `resize` reach the command while somebody iterates, and return an id: a frame `input` of that id
    says that it was taken, a frame `error` that it was not. Of what was sent when a connection was cut nobody knows
    before such a frame comes: it is not sent again.
    """

    def __init__(
        self,
        transport: Transport,
        path: str,
        *,
        cursor: str | None = None,
        backoff: Backoff,
        on_cut: OnCut | None = None,
    ) -> None:
        self.cursor = cursor
        self.sha256: str | None = None
        self._transport = transport
        self._path = path
        self._backoff = backoff
        self._on_cut = on_cut
        self._seq = 0
        self._ended = False
        self._socket: ClientConnection | None = None
        self._name = token_hex(4)  # who watches, too, is not to take an answer for their own
        self._wishes = 0

    def close(self) -> None:
        """End the iteration: the run goes on without this viewer."""
        self._ended = True
        if self._socket is not None:
            self._socket.close()

    def type(self, data: bytes) -> str:
        """Type for the run's command, at most 8 KiB at once. Raises `ServerUnreachable` without a connection."""
        return self._do({"t": "input", "data": b64encode(data).decode(), "encoding": "base64"})

    def end(self) -> str:
        """Tell the run's command that no more is typed. Raises `ServerUnreachable` where there is no connection."""
        return self._do({"t": "eof"})

    def resize(self, cols: int, rows: int) -> str:
        """Give the command's terminal another size. Raises `ServerUnreachable` where there is no connection."""
        return self._do({"t": "resize", "cols": cols, "rows": rows})

    def _do(self, wish: dict[str, Any]) -> str:
        socket = self._socket
        self._wishes += 1
        ident = f"{self._name}.{self._wishes}"
        try:
            if socket is None:
                raise ServerUnreachable(self._transport.url, "the terminal is not connected just now")
            socket.send(msgspec.json.encode({**wish, "id": ident}).decode())
        except ConnectionClosed as closed:
            raise ServerUnreachable(self._transport.url, str(closed)) from None
        return ident

    def __iter__(self) -> Iterator[TerminalFrame]:
        failures = 0
        while True:
            before = self.cursor
            failure: ClientError | None = None
            try:
                with closing(self._connection()) as frames:
                    yield from frames
            except ApiError as refused:
                if refused.status not in _FOR_NOW:
                    raise
                failure = refused
            except ServerUnreachable as unreachable:
                failure = unreachable
            if self._ended:
                return
            failures = 0 if self.cursor != before else failures + 1
            if failures >= self._backoff.attempts:
                raise failure or ServerUnreachable(self._transport.url, "the terminal ends again and again")
            delay_s = self._backoff.delay_s(failures, None) if failures else 0.0
            if self._on_cut is not None:
                self._on_cut(failure, delay_s)
            waiting.sleep(delay_s)

    def _connection(self) -> Generator[TerminalFrame]:
        """Yield the new frames of one connection; mark the terminal ended at the last one."""
        url, headers = self._transport.socket(self._path, {"cursor": self.cursor})
        said = ""
        try:
            with connect(
                url,
                additional_headers=headers,
                subprotocols=[PROTOCOL],
                compression=None,
                max_size=FRAME_MAX_BYTES,
            ) as socket:
                self._socket = socket
                for text in socket:
                    frame = self._read(text)
                    if frame.t == "error" and frame.id is None:
                        said = said or f"{frame.code} {frame.message}"
                    elif frame.t == "eof":
                        self._ended, self.sha256 = True, frame.sha256
                        self.cursor = frame.final_cursor
                        yield frame
                        return
                    elif not frame.seq or frame.seq > self._seq:
                        self._seq, self.cursor = frame.seq or self._seq, frame.cursor or self.cursor
                        yield frame
            code = socket.close_code or 1006
        except ConnectionClosed as closed:
            code = 1006 if closed.rcvd is None else closed.rcvd.code
        except (OSError, InvalidHandshake, InvalidURI) as error:
            raise ServerUnreachable(self._transport.url, str(error) or type(error).__name__) from None
        finally:
            self._socket = None
        if code in _REFUSED:
            word, _, message = said.partition(" ")
            raise ApiError(_REFUSED[code], word or f"close.{code}", message or f"the terminal was closed with {code}")

    def _read(self, text: str | bytes) -> TerminalFrame:
        try:
            return TerminalFrame.read(text)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswer(f"the terminal says {text[:80]!r}: {error}") from None
