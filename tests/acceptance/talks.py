"""Threads over HTTP, and the scripts by which the server's agents speak in them."""

from typing import Any

import msgspec

from tests.acceptance.contract import ContractClient
from tests.acceptance.speech import Json, Speech, said, unique


def calling(name: str, ident: str = "c1", /, **arguments: Any) -> Json:
    """Return a call of a tool, as a script has it."""
    return {"id": ident, "name": name, "arguments": msgspec.json.encode(arguments).decode()}


QUESTION = {"tool_calls": [calling("ask_user", "q", question="Which colour?")]}
FORM = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
SCRIPTS: Json = {
    "asks": {"turns": [QUESTION, {"text": ["It ", "is ", "so."]}]},
    "form": {
        "turns": [
            {"tool_calls": [calling("ask_user", "f", question="How large?", schema=FORM)]},
            {"text": ["Made."]},
        ]
    },
    "priced": {
        "turns": [
            {"text": ["That ", "much."], "usage": {"input_tokens": 1000, "output_tokens": 500, "cached_tokens": 400}}
        ]
    },
    "slow": {"turns": [{"text": ["Once ", *["and again "] * 600], "delay_s": 0.1}]},
}
"""What the models say that have these names; `echo` repeats what it is told, and another name is no model."""

PRICE = {"input": 5_000_000, "cached": 0, "output": 4_000_000}
"""Micro-USD a million tokens."""


class Talks(Speech):
    """Threads of one caller, whose agents speak as scripts say."""

    def __init__(self, client: ContractClient) -> None:
        super().__init__(client)
        self._routes: dict[str, str] = {}

    async def route(self, model: str) -> str:
        """Return the id of a route to a script."""
        if model not in self._routes:
            body = {"name": unique("route"), "kind": "scripted", "model": model, "price": PRICE}
            self._routes[model] = str((await said(self.client.post("/v1/routes", json=body), 201))["id"])
        return self._routes[model]

    async def thread(self, model: str = "echo", **fields: Any) -> str:
        """Make a thread whose runs a script answers."""
        body = {"route_id": await self.route(model), **fields}
        return str((await said(self.client.post("/v1/threads", json=body), 201))["id"])

    async def start(self, thread: str, words: str = "Hello", *, status: int = 201, **fields: Any) -> Json:
        """Start a run in a thread and return the answer."""
        body = {"input": words, **fields} if words else fields
        made: Json = await said(self.client.post(f"/v1/threads/{thread}/runs", json=body), status)
        return made

    async def begun(self, model: str, words: str = "Hello", **fields: Any) -> Json:
        """Start a run in a thread of its own and return the answer, which names the thread as well."""
        return await self.start(await self.thread(model), words, **fields)

    async def answered(self, model: str = "echo", words: str = "Hello", **fields: Any) -> Json:
        """Start a run in a thread of its own and return it when it has ended."""
        return await self.ended((await self.begun(model, words, **fields))["run_id"])

    async def asking(self, model: str = "asks") -> Json:
        """Start a run and return it when it waits for an answer."""
        run_id = (await self.begun(model))["run_id"]
        await self.until(run_id, "run.waiting_for_input")
        return await self.run(run_id)

    async def speaking(self, model: str = "slow") -> Json:
        """Start a run and return it when the model has begun to speak."""
        run_id = (await self.begun(model))["run_id"]
        await self.until(run_id, "message.delta")
        return await self.run(run_id)

    async def messages(self, thread: str) -> list[tuple[str, str]]:
        """Return who said what in a thread."""
        return [(row["role"], row["content"]) for row in await self.listed(f"/v1/threads/{thread}/messages")]
