"""The route of `/v1/tickets`: let a browser open a stream, which cannot send a header."""

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.api import instants
from runwright.api.context import ANYONE, Call
from runwright.api.routing import Routes
from runwright.domain.accounts import END

routes = Routes("tenancy")

Path = Annotated[
    str,
    Meta(
        pattern=r"^/[!-\"$->@-~]*" + END,
        max_length=2048,
        description="The one path that the ticket opens, such as `/v1/runs/run_…/events`, without a query.",
    ),
]


class CreateTicketRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the ticket is for."""

    path: Path


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket, to be given as `?ticket=` in a GET of `path`; it must be used until `expires_at`."""

    ticket: str
    path: str
    expires_at: str


@routes.post("/v1/tickets", scope=ANYONE, status=201, summary="Create a ticket")
async def create_ticket(call: Call, body: CreateTicketRequest) -> Ticket:
    """Make a ticket for one path, good for 60 seconds until it is used, and as long again after each cut."""
    ticket, expires_at = await call.services.tickets.issue(call.actor, body.path)
    return Ticket(ticket=ticket, path=body.path, expires_at=instants.text(expires_at))
