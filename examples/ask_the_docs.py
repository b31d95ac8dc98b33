"""Answer a question over this repository's documentation: a job finds passages, an agent answers by them.

Serve the job in a clone with `runwright serve --worker examples.ask_the_docs:app`; then ask, in another terminal, with
`python -m examples.ask_the_docs "What is a lease?"`. Without `--route` the model in the server's process answers: a
very small one, which knows little. What counts is around it: the passages are a step of a durable run, the answer
streams, and what it used is on record.
"""

import argparse
import asyncio
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runwright import AsyncClient, Context, Worker, job
from runwright.client.agent_events import RunEnded, TextDelta

DOCS = Path(__file__).resolve().parents[1] / "docs"
PERSONA = "librarian"
PROMPT = "Answer the question in two short sentences, by the passages alone."
ANSWER_TOKENS, ROOM = 100, 128
"""How long an answer may be. The budget counts each byte of a prompt as a token, and some room around it."""
PASSAGE_MAX = 600
WORD = re.compile(r"[a-z][a-z_-]{2,}")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass
class Request:
    """What to look for, and how many passages of the documentation to return."""

    question: str
    passages: int = 2


@job(max_attempts=2, timeout_secs=60)
async def find_passages(ctx: Context, request: Request) -> dict[str, Any]:
    """Find the passages of the documentation that have most to do with a question."""
    found: list[dict[str, Any]] = await ctx.step("rank passages", rank, DOCS, request.question, thread=True)
    passages = found[: request.passages]
    ctx.log(f"{len(passages)} passages", pages=[passage["page"] for passage in passages])
    return {"passages": passages}


def rank(docs: Path, question: str, most: int = 10) -> list[dict[str, Any]]:
    """Return the best passages, the best one first: sections of pages, by BM25 over their words."""
    passages = [passage for page in sorted(docs.rglob("*.md")) for passage in read(docs, page)]
    words = [Counter(WORD.findall(f"{passage['title']} {passage['text']}".lower())) for passage in passages]
    usual = sum(sum(counts.values()) for counts in words) / max(len(words), 1)
    asked = set(WORD.findall(question.lower()))
    known = {word: sum(word in counts for counts in words) for word in asked}
    weights = {word: math.log(1 + (len(words) - n + 0.5) / (n + 0.5)) for word, n in known.items()}

    def score(counts: Counter[str]) -> float:
        longer = 0.4 + 0.9 * sum(counts.values()) / usual
        return sum(weights[word] * counts[word] * 2.2 / (counts[word] + longer) for word in asked)

    scored = sorted(
        ((score(counts), place) for place, counts in enumerate(words)), key=lambda each: (-each[0], each[1])
    )
    return [{**passages[place], "score": round(points, 3)} for points, place in scored[:most] if points > 0]


def read(docs: Path, page: Path) -> list[dict[str, Any]]:
    """Return the sections of a page, each with its heading and the beginning of its text."""
    text = page.read_text("utf-8")
    starts = [*HEADING.finditer(text)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    name = page.relative_to(docs).as_posix()
    return [
        {"page": name, "title": start[1], "text": text[start.end() : end].strip()[:PASSAGE_MAX]}
        for start, end in zip(starts, ends, strict=True)
    ]


async def ask(client: AsyncClient, question: str, route: str | None = None) -> RunEnded | None:
    """Ask, print the answer as it comes, and return how it ended; None where the documentation has nothing."""
    found = await client.jobs.trigger("find-passages", {"question": question})
    passages = (await client.runs.wait(found.id, timeout_s=60)).result["passages"]
    if not passages:
        print("The documentation has no word of it.")
        return None
    for passage in passages:
        print(f"- {passage['page']}: {passage['title']}")
    told = "\n\n".join(f"{passage['title']}: {passage['text']}" for passage in passages)
    said = f"{told}\n\nQuestion: {question}"
    budget = {"tokens": len((PROMPT + said).encode()) + ROOM + ANSWER_TOKENS}
    await client.personas.create(PERSONA, prompt=PROMPT, temperature=0, tools=())
    thread = await client.threads.create(title=question, persona_id=PERSONA)
    ended = None
    async for event in client.threads.stream(thread.id, route_id=route, input=said, budget=budget):
        match event:
            case TextDelta(channel="final"):
                print(event.content, end="", flush=True)
            case RunEnded():
                ended = event
    print()
    if ended is not None and ended.status != "completed":
        print(f"{ended.status}: {ended.message or ended.reason}")
    elif ended is not None and ended.usage is not None:
        cost = "not known" if ended.total_cost_usd is None else f"${ended.total_cost_usd:g}"
        print(f"{ended.usage.input_tokens} tokens in, {ended.usage.output_tokens} out, cost {cost}")
    return ended


async def main() -> int:
    """Ask what the command line says."""
    parser = argparse.ArgumentParser(description="Answer a question over the documentation of this repository.")
    parser.add_argument("question")
    parser.add_argument("--route", help="another way to a model, by id or name")
    given = parser.parse_args()
    async with AsyncClient() as client:
        ended = await ask(client, given.question, given.route)
    return 0 if ended is not None and ended.status == "completed" else 1


app = Worker([find_passages])

if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
