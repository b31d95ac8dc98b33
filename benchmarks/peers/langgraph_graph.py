"""The graph that `langgraph-api` serves: one node that streams what the model says, token by token.

It runs in the peer's environment. `BENCH_MODEL` is where the model is; `python langgraph_graph.py PORT` serves.
"""

import json
import operator
import os
import sys
from pathlib import Path
from typing import Annotated, Any, TypedDict

import httpx2
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph

_client = httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=200))


class State(TypedDict):
    """A conversation."""

    messages: Annotated[list[dict[str, str]], operator.add]


async def answer(state: State) -> dict[str, Any]:
    """Ask the model, and pass its tokens on as they come."""
    write, said = get_stream_writer(), []
    body = {"model": "steady", "stream": True, "messages": state["messages"]}
    async with _client.stream("POST", os.environ["BENCH_MODEL"], json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    if text := choice["delta"].get("content"):
                        said.append(text)
                        write({"token": text})
    return {"messages": [{"role": "assistant", "content": "".join(said)}]}


graph = StateGraph(State).add_node("answer", answer).add_edge(START, "answer").compile()

if __name__ == "__main__":
    from langgraph_api.cli import run_server

    graphs = {"agent": f"{Path(__file__).resolve()}:graph"}
    run_server(port=int(sys.argv[1]), graphs=graphs, n_jobs_per_worker=100, disable_persistence=True)
