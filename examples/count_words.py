"""One job, three ways: the function `count_words` behind a handler and behind an HTTP endpoint.

Handlers run in the server (`runwright serve --worker examples.count_words:app`) or elsewhere (`runwright worker
examples.count_words:app`). The endpoint is an ASGI application, which any server for such serves: `endpoint(secret)`.
"""

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from runwright import Context, Worker, job

TOP = 3


def count_words(text: str) -> dict[str, Any]:
    """Return how many words a text has, and the commonest of them."""
    words = text.lower().split()
    return {"words": len(words), "top": [word for word, _ in Counter(words).most_common(TOP)]}


@job(slug="count-words", max_attempts=3, timeout_secs=60)
async def count_words_job(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
    """Count the words of a text."""
    return count_words(payload["text"])


app = Worker([count_words_job])


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Tell whether a request is signed with the job's secret, as Standard Webhooks has it.

    A real endpoint also refuses a `webhook-timestamp` that is older than some minutes.
    """
    signed = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(wanted, each) for each in given)


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def endpoint(secret: str) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """Return the ASGI application that counts words for whoever signs with `secret`."""

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        signed = verified(secret, headers, body)
        answer = count_words(json.loads(body)["text"]) if signed else {"error": "the signature is not ours"}
        await _answer(send, 200 if signed else 401, answer)

    return application


async def _answer(send: Send, status: int, value: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})
