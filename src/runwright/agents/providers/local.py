"""The model in this process: SmolLM2 on llama.cpp, or another GGUF file. The one place that loads it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import xllamacpp

from runwright.agents.providers.installed import weights
from runwright.agents.providers.port import LocalBounds, Malformed, Unsupported
from runwright.agents.providers.wire import Wire
from runwright.domain.model_call import (
    Done,
    Image,
    Message,
    ModelCall,
    ModelEvent,
    OnlyTool,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    reported,
)
from runwright.errors import ProviderRejected, ProviderUnavailable

SMOLLM2 = "smollm2-135m-instruct"

_Chunk = dict[str, Any]


class Local:
    """Answers one call at a time, in a thread of its own; the others wait in a short queue.

    The model is loaded by the first call. A call that is no longer read ends at its next token.
    """

    def __init__(self, bounds: LocalBounds) -> None:
        self._bounds = bounds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-model")
        self._server: Any = None
        self._calls = 0
        self._counting = threading.Lock()
        self._closed = threading.Event()

    async def close(self) -> None:
        """End what is going on at its next token, and free the model."""
        self._closed.set()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._server = None

    async def stream(self, call: ModelCall, wire: Wire) -> AsyncGenerator[ModelEvent]:
        """Yield what the model writes, to `Done`. A tool is called only where one is demanded: it cannot choose."""
        asked = self._asked(call)
        if self._calls > self._bounds.queue_max:
            told = f"{self._calls} calls wait for the local model (RUNWRIGHT_LOCAL_MODEL_QUEUE_MAX); come back later."
            raise ProviderUnavailable(told, reason="busy", retry_after_s=5.0)
        loop, left = asyncio.get_running_loop(), threading.Event()
        chunks: asyncio.Queue[_Chunk | None] = asyncio.Queue()

        def put(chunk: _Chunk | None) -> None:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)

        work = self._thread.submit(self._write, asked, put, left)
        with self._counting:
            self._calls += 1
        work.add_done_callback(self._over)
        try:
            reader = _Reader(call)
            while (chunk := await chunks.get()) is not None:
                for event in reader.events(chunk):
                    yield event
            await asyncio.wrap_future(work)
            for event in reader.end():
                yield event
        finally:
            left.set()
            work.cancel()

    def _over(self, work: Future[None]) -> None:
        with self._counting:
            self._calls -= 1

    def _write(self, asked: _Chunk, put: Callable[[_Chunk | None], None], left: threading.Event) -> None:
        """Let the model write, in its thread; its every token asks whether somebody still reads."""

        def told(chunk: _Chunk) -> bool:
            if left.is_set() or self._closed.is_set():
                return True
            put(chunk)
            return False

        try:
            if not left.is_set():
                self._loaded().handle_chat_completions(asked, told)
        except RuntimeError as failure:
            raise ProviderRejected(f"The local model does not take this: {failure}.", reason="request") from None
        finally:
            if not left.is_set():
                put(None)

    def _loaded(self) -> Any:
        if self._server is None:
            file, told = weights(self._bounds)
            if not file.is_file():
                raise ProviderRejected(f"The local model cannot be loaded: {told}.", reason="not_installed")
            _warm(file)
            params = xllamacpp.CommonParams()
            params.model.path = str(file)
            params.n_ctx = self._bounds.context
            params.n_parallel = 1
            params.verbosity = -1
            params.cpuparams.n_threads = min(self._bounds.threads, os.cpu_count() or 1)
            params.cpuparams_batch.n_threads = params.cpuparams.n_threads
            params.cache_ram_mib = 0
            # The interpreter stands still while this loads: leave out what would load it twice, and try it.
            params.fit_params = params.warmup = False
            # It listens on a port of this machine whether we ask over it or not: nobody else shall.
            params.api_keys = [secrets.token_urlsafe(32)]
            params.n_threads_http = 1
            params.ui = params.endpoint_slots = params.endpoint_props = False
            try:
                self._server = xllamacpp.Server(params)
            except RuntimeError as failure:
                told = f"The local model {file} cannot be loaded: {failure}."
                raise ProviderRejected(told, reason="not_installed") from None
        return self._server

    def _asked(self, call: ModelCall) -> _Chunk:
        if self._bounds.path is None and call.model != SMOLLM2:
            told = f"The local model is {SMOLLM2!r}; for another one set RUNWRIGHT_LOCAL_MODEL_PATH."
            raise ProviderRejected(told, reason="model")
        asked: _Chunk = {
            "messages": [*_messages(call)],
            "max_tokens": call.max_output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if call.temperature is not None:
            asked["temperature"] = call.temperature
        if call.stop:
            asked["stop"] = list(call.stop)
        if tools := _demanded(call):
            schema = {"name": "action", "schema": {"anyOf": [_action(tool) for tool in tools]}}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        return asked


def _warm(file: Path) -> None:
    """Read the file once, so that the loading, at which the interpreter stands still, need not wait for the disk."""
    with file.open("rb") as reader:
        while reader.read(1 << 22):
            pass


class _Reader:
    """Makes events of what the model writes; an action is told when it is whole."""

    def __init__(self, call: ModelCall) -> None:
        self._acts = bool(_demanded(call))
        self._number = 1 + sum(isinstance(part, ToolCall) for message in call.messages for part in message.parts)
        self._action = ""
        self._finish = ""
        self._usage: Any = None

    def events(self, chunk: _Chunk) -> Iterator[ModelEvent]:
        if error := chunk.get("error"):
            told = f"The local model does not take this: {error.get('message')}"
            if error.get("type") == "exceed_context_size_error":
                told = f"The prompt has {error.get('n_prompt_tokens')} tokens, and the local model takes"
                told += f" {error.get('n_ctx')} (RUNWRIGHT_LOCAL_MODEL_CONTEXT)."
            raise ProviderRejected(told, reason="request")
        self._usage = chunk.get("usage", self._usage)
        for choice in chunk["choices"]:
            self._finish = choice["finish_reason"] or self._finish
            text = choice["delta"].get("content")
            if text and self._acts:
                self._action += text
            elif text:
                yield TextDelta(text)

    def end(self) -> Iterator[ModelEvent]:
        if not self._finish:
            return
        calls = False
        if self._acts and (action := _read(self._action)) is not None:
            calls = True
            yield ToolCallDelta(0, f"call_{self._number}", action["tool"], json.dumps(action["arguments"]))
        elif self._acts and self._finish != "length":
            raise Malformed
        usage = self._usage and reported(
            self._usage["prompt_tokens"],
            self._usage["completion_tokens"],
            self._usage["prompt_tokens_details"]["cached_tokens"],
        )
        yield Done("tools" if calls else "length" if self._finish == "length" else "stop", usage)


def _read(action: str) -> _Chunk | None:
    try:
        read = msgspec.json.decode(action)
    except msgspec.DecodeError:
        return None
    return read if isinstance(read, dict) and read.keys() == {"tool", "arguments"} else None


def _demanded(call: ModelCall) -> tuple[Tool, ...]:
    """Return the tools of which the model must call one; left to itself, it is not shown any."""
    if isinstance(call.tool_choice, OnlyTool):
        only = call.tool_choice.name
        return tuple(tool for tool in call.tools if tool.name == only)
    return call.tools if call.tool_choice == "required" else ()


def _action(tool: Tool) -> _Chunk:
    return {
        "type": "object",
        "properties": {"tool": {"const": tool.name}, "arguments": tool.schema},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }


def _messages(call: ModelCall) -> Iterator[_Chunk]:
    system = call.system
    for tool in _demanded(call):
        system += f"\nTool {tool.name}: {tool.description}"
    if system:
        yield {"role": "system", "content": system.strip()}
    for message in call.messages:
        yield {
            "role": "assistant" if message.role == "assistant" else "user",
            "content": "\n".join(_texts(message)),
        }


def _texts(message: Message) -> Iterator[str]:
    for part in message.parts:
        match part:
            case Text(text):
                yield text
            case Image():
                raise Unsupported("the local model cannot see images; leave them out, or choose another route")
            case ToolCall(_, name, arguments):
                yield f'{{"tool": {json.dumps(name)}, "arguments": {arguments}}}'
            case _:
                yield f"Result of the tool: {part.content}"
