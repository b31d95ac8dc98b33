"""Put what a run asks to the person at the keyboard, and send what is answered."""

import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from runwright.cli import printing
from runwright.client.agent_events import InputAsked
from runwright.client.errors import ApiError
from runwright.client.sync.api import Client

WORDS = {"y": "approve", "yes": "approve", "n": "deny", "no": "deny", "": "deny"}
"""What is short for the answers to a confirmation; nothing is a no."""

Read = Callable[[str], str]


def is_there() -> bool:
    """Tell whether a person is at the keyboard."""
    return sys.stdin.isatty()


def line(prompt: str) -> str:
    """Return a line that a person types. Raises `EOFError` and `KeyboardInterrupt`, as they leave."""
    sys.stdout.flush()
    if sys.stdout.isatty():
        with suppress(ImportError):  # then lines are edited as the terminal lets it
            importlib.import_module("readline")
        return input(prompt)
    sys.stderr.write(prompt)
    sys.stderr.flush()
    text = sys.stdin.readline()
    if not text:
        raise EOFError
    return text.rstrip("\n")


def answer(client: Client, run_id: str, asked: InputAsked, read: Read = line) -> None:
    """Ask until an answer is taken, or the run does not wait any more. Raises as `line` does."""
    if asked.kind == "approval":
        printing.note(f"decide it with `runwright approvals show {run_id}`, then approve or deny; waiting for it")
        return
    if asked.expires_at is not None:
        printing.note(f"it waits until {asked.expires_at.astimezone():%Y-%m-%d %H:%M}")
    while True:
        content = _content(asked, read)
        try:
            client.inputs.send(run_id, content, request_id=asked.request_id)
        except ApiError as refused:
            if refused.status == 422:
                printing.note(f"{refused.message}: answer again")
                continue
            if refused.code in ("runs.not_waiting", "runs.not_active"):
                printing.note("it does not wait for this any more")
                return
            raise
        return


def _content(asked: InputAsked, read: Read) -> str:
    printing.say(printing.styled(_paragraphs(asked.prompt), "bold"))
    if asked.kind == "confirmation":
        said = read("yes, no, or a decision as JSON [y/N] ").strip()
        return WORDS.get(said.lower(), said)
    if asked.schema is None:
        return _said("answer> ", read)
    properties = asked.schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        printing.note(f"the answer is JSON of this shape: {msgspec.json.encode(asked.schema).decode()}")
        return _said("answer> ", read)
    return msgspec.json.encode(_form(asked.schema, properties, read)).decode()


def _said(prompt: str, read: Read) -> str:
    while not (said := read(prompt).strip()):
        pass
    return said


def _form(schema: dict[str, Any], properties: dict[str, Any], read: Read) -> dict[str, Any]:
    """Return the fields of a form, asked one by one; one that is not required may be left empty."""
    required = schema.get("required") or ()
    form: dict[str, Any] = {}
    for name, about in properties.items():
        about = about if isinstance(about, dict) else {}
        said = read(_field(name, about, name in required)).strip()
        if said:
            form[name] = said if about.get("type") == "string" else _value(said)
    return form


def _field(name: str, about: dict[str, Any], required: bool) -> str:
    choices = about.get("enum")
    what = " | ".join(map(str, choices)) if isinstance(choices, list) else str(about.get("type", ""))
    told = ", ".join(each for each in (what, str(about.get("description", ""))) if each)
    about_it = f" ({told})" if told else ""
    return f"{printing.printable(name + about_it)}{'' if required else ', or nothing'}> "


def _value(said: str) -> Any:
    try:
        return msgspec.json.decode(said)
    except msgspec.DecodeError:
        return {"yes": True, "no": False}.get(said.lower(), said)


def _paragraphs(text: str) -> str:
    return "\n".join(printing.printable(each) for each in text.splitlines())
