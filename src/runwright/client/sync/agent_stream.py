# Generated from runwright/client/agent_stream.py by `make docs`; change that one instead.
"""What happens in an agent run as it happens: typed events, without a gap and without a repeat."""

from collections.abc import Callable, Iterator
from urllib.parse import quote

from runwright.client.agent_events import AgentEvent, typed
from runwright.client.backoff import Backoff
from runwright.client.sync.stream import EventStream, OnCut
from runwright.client.sync.transport import Transport
from runwright.client.thread_models import StartedRun

Start = Callable[[], StartedRun]


class AgentStream:
    """Iterate over what happens in an agent run, to its end (`RunEnded`); see `EventStream` for what it survives.

    A run that asks something says so (`InputAsked`), and the stream goes on when it was answered. Iterated again, it
    goes on where it was left, with the same run.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        run_id: str = "",
        start: Start | None = None,
        after_seq: int = 0,
        allow_gaps: bool = False,
        backoff: Backoff,
        on_cut: OnCut | None = None,
    ) -> None:
        self.run_id = run_id
        self.last_seq = after_seq
        self._transport = transport
        self._start = start
        self._allow_gaps = allow_gaps
        self._backoff = backoff
        self._on_cut = on_cut

    def begin(self) -> str:
        """Start the run, unless it was started, and return its id; iterating does it, too."""
        if not self.run_id and self._start is not None:
            self.run_id = (self._start()).run_id
        return self.run_id

    def __iter__(self) -> Iterator[AgentEvent]:
        events = EventStream(
            self._transport,
            quote(self.begin(), safe=""),
            after_seq=self.last_seq,
            allow_gaps=self._allow_gaps,
            backoff=self._backoff,
            on_cut=self._on_cut,
        )
        for event in events:
            self.last_seq = event.seq
            yield typed(event)
