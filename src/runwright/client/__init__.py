"""The SDK: handlers and their context, and the client of the API. It stands alone: httpx2, msgspec and nothing of ours.

Three parts that do not need each other:

- for handlers: `handlers` (the decorator), `worker` (the registry), `context` and `blocking` (what a handler is given),
  `session` (the port to whoever hosts it), `execution` (`run_handler`) and `outcome` (what that returns);
- for endpoints: `run_handle` (`AsyncRunHandle`), what the code behind an endpoint calls while it works on a run;
- for callers: `api` (`AsyncClient`), over `jobs`, `runs`, `tenancy`, `stream` and `models`; `sync` holds the same
  for code that blocks (`Client`), generated from them, with `waiting` where they use asyncio.

`errors` draws the tree of everything that is raised.
"""
