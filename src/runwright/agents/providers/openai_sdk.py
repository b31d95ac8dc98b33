"""The one place that makes clients of OpenAI's SDK."""

from __future__ import annotations

import base64

from openai import AsyncOpenAI

from runwright.agents.providers.wire import STAND_IN, Wire
from runwright.domain.model_call import Image, ModelCall

OPENAI = "https://api.openai.com/v1"


def client(call: ModelCall, wire: Wire) -> AsyncOpenAI:
    """Return a client for one call, which asks once: who called decides whether to ask again."""
    return AsyncOpenAI(
        api_key=STAND_IN, base_url=call.base_url or OPENAI, max_retries=0, timeout=None, http_client=wire.client()
    )


def data_url(image: Image) -> str:
    """Return an image as a URL that holds it."""
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"
