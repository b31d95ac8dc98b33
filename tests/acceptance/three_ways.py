"""The handler that the test of the three ways runs in the server and elsewhere."""

from typing import Any

from examples.count_words import count_words
from runwright import Context, Worker, job


@job(slug="count")
async def count(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
    """Count words, and tell what a job can tell."""
    ctx.log("counting", characters=len(payload["text"]))
    ctx.progress(50, "half way")
    counted = count_words(payload["text"])
    await ctx.checkpoint({"counted": True})
    await ctx.output("count", {"words": counted["words"]})
    return counted


app = Worker([count])
