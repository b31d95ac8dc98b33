"""Which server a command talks to, with which key, and how it prints: the options that all client commands share."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Group, Parameter

from runwright.cli.exits import CommandError
from runwright.client.backoff import Backoff
from runwright.client.sync.api import Client
from runwright.client.sync.transport import DEFAULT_URL
from runwright.config import load

_GROUP = Group("Connection", sort_key=100)
_BACKOFF = Backoff(attempts=3)


class Credentials(msgspec.Struct, frozen=True):
    """What a server writes into its data directory for the commands of its owner."""

    url: str | None = None
    api_key: str | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Connection:
    """The server, the key, and the form of the output."""

    url: Annotated[str | None, Parameter(env_var="RUNWRIGHT_URL", group=_GROUP)] = None
    "Address of the server; default: the one in the data directory's credentials.json, else http://localhost:8080"

    api_key: Annotated[str | None, Parameter(env_var="RUNWRIGHT_API_KEY", group=_GROUP)] = None
    "API key; default: the one in the data directory's credentials.json"

    data_dir: Annotated[Path | None, Parameter(env_var="RUNWRIGHT_DATA_DIR", group=_GROUP)] = None
    "Data directory of a server on this machine"

    json: Annotated[bool, Parameter(negative="", group=_GROUP)] = False
    "Print JSON for programs"

    def client(self) -> Client:
        """Return a client for this server. Raises `CommandError` where the address or key cannot be."""
        url, api_key = self.resolve()
        try:
            return Client(url, api_key, backoff=_BACKOFF)
        except ValueError as wrong:
            raise CommandError(str(wrong), "Give --url http://HOST:PORT and --api-key KEY.") from None

    def resolve(self) -> tuple[str, str | None]:
        """Return the address and the key.

        The key of credentials.json is sent to the server of credentials.json and to no other.
        """
        if self.url and self.api_key:
            return self.url, self.api_key
        kept = credentials(self.directory())
        url = self.url or kept.url or DEFAULT_URL
        same = kept.url is None or url.rstrip("/") == kept.url.rstrip("/")
        return url, self.api_key or (kept.api_key if same else None)

    def directory(self) -> Path:
        """Return the data directory, as the server would choose it."""
        if self.data_dir is not None:
            return self.data_dir
        return load(os.environ).data_dir


def credentials(data_dir: Path) -> Credentials:
    """Return what the server of this data directory wrote for us; nothing where it cannot be read."""
    path = data_dir / "credentials.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except FileNotFoundError:
        return Credentials()
    except (OSError, msgspec.MsgspecError) as error:
        raise CommandError(
            f"{path} cannot be read: {error}", "Give --url and --api-key, or set RUNWRIGHT_URL and RUNWRIGHT_API_KEY."
        ) from None


HERE = Connection()
"""The connection of a command that was given none of the options."""
