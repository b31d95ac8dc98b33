"""Serve the OpenAPI document, and Swagger UI to read and try it; nothing is fetched from anywhere else."""

import asyncio
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

import msgspec
import swagger_ui_bundle
from starlette.responses import RedirectResponse, Response

from runwright.api.context import PUBLIC, Call
from runwright.api.openapi import document
from runwright.api.routing import Endpoint, Routes
from runwright.errors import NotFound

_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_STYLE = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Runwright API</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: true,
  tryItOutEnabled: true, validatorUrl: null,
});
"""
_SUMMARY = """Runwright executes and governs **runs**: durable executions of work, each with a gapless log of events.

Lists answer bare arrays; the next page is in `Link` and `X-Next-Cursor`. Errors carry a stable `code`. Every answer
carries `X-Request-Id` and `X-Trace-Id`. Streams are server-sent events that resume by `Last-Event-ID`.
"""


def described(endpoints: Iterable[Endpoint], page_max: int) -> dict[str, Any]:
    """Return the OpenAPI document of these routes, whose pages have at most `page_max` rows."""
    return document(endpoints, title="Runwright", version=version("runwright"), description=_SUMMARY, page_max=page_max)


def routes(endpoints: Iterable[Endpoint], page_max: int) -> Routes:
    """Return the routes of `/`, `/docs` and `/openapi.json`, the last describing `endpoints`.

    The document is written when somebody first asks for it: that takes longer than all else a server does to start.
    """
    shown = tuple(endpoints)
    group = Routes(tag="documentation")

    @group.get("/openapi.json", scope=PUBLIC, summary="The OpenAPI 3.1 document", listed=False)
    async def openapi(call: Call) -> Response:
        encoded = await asyncio.to_thread(_encoded, shown, page_max)
        return Response(encoded, media_type="application/json", headers={"cache-control": "no-cache"})

    group.get("/", scope=PUBLIC, summary="To the documentation", listed=False)(_root)
    group.get("/docs", scope=PUBLIC, summary="The documentation, to read and try", listed=False)(_docs)
    group.get("/docs/{name}", scope=PUBLIC, summary="A file of the documentation", listed=False)(_file)
    return group


@lru_cache(maxsize=1)
def _encoded(endpoints: tuple[Endpoint, ...], page_max: int) -> bytes:
    return msgspec.json.encode(described(endpoints, page_max))


async def _root(call: Call) -> Response:
    return RedirectResponse("/docs", 307)


async def _docs(call: Call) -> Response:
    return Response(_PAGE, media_type="text/html", headers={"content-security-policy": _STYLE})


async def _file(call: Call, name: str) -> Response:
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    if name not in _FILES:
        raise NotFound
    return Response(_content(name), media_type=_FILES[name], headers={"cache-control": "public, max-age=86400"})


@cache
def _content(name: str) -> bytes:
    return bytes((swagger_ui_bundle.swagger_ui_path / name).read_bytes())
