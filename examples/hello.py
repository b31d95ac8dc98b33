"""The smallest job.

Serve it with `runwright serve --worker examples.hello:app`; start it with `runwright trigger greet`.
"""

from typing import Any

from runwright import Context, Worker, job


@job(max_attempts=3, timeout_secs=60)
async def greet(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
    """Greet somebody."""
    name = payload.get("name", "world")
    ctx.log(f"greeting {name}")
    greeting = await ctx.step("compose", lambda: f"Hello, {name}!")
    return {"greeting": greeting}


app = Worker([greet])
