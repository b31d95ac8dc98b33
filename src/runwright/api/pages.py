"""Page lists: a cursor is a place between two rows, never a number of rows, so that writes repeat and lose nothing.

Ids sort by creation, so the keyset of a list is the id alone: the cursor is the last row's id, and the instant that a
caller may give instead becomes the smallest id that it bounds.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, Literal, NoReturn, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Meta

from runwright import ids
from runwright.api import instants
from runwright.config import Settings
from runwright.errors import InvalidRequest

T = TypeVar("T")
R = TypeVar("R")

Order = Literal["asc", "desc"]


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of every list; a list with filters adds its own."""

    limit: Annotated[int | None, Meta(description="Rows of a page: 1 to 500, default 50.")] = None
    cursor: Annotated[
        str | None, Meta(description="Go on after this: `X-Next-Cursor`, the id of the last row seen, or an instant.")
    ] = None
    before: Annotated[str | None, Meta(description="A synonym of `cursor`.")] = None
    order: Annotated[Order | None, Meta(description="`desc`: newest first; `asc`: oldest first.")] = None

    def window(self, settings: Settings, *, order: Order, most: int | None = None) -> "Window":
        """Return what to read, `order` being the list's own; `most` replaces `page_max`."""
        most = most or settings.page_max
        limit = min(settings.page_default, most) if self.limit is None else self.limit
        if not 1 <= limit <= most:
            raise InvalidRequest.at("limit", f"must be from 1 to {most}")
        if self.cursor is not None and self.before is not None:
            raise InvalidRequest.at("before", "is a synonym of cursor: only one of them", code="cursor.invalid")
        name = "cursor" if self.before is None else "before"
        cursor = self.cursor if self.before is None else self.before
        return Window(cursor=cursor, name=name, limit=limit, newest_first=(self.order or order) == "desc")


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Say which rows of a list to read: at most `limit + 1` of them, beyond a bound, in one order."""

    cursor: str | None
    name: str
    limit: int
    newest_first: bool

    def bound(self, prefix: str) -> str | None:
        """Return the id beyond which the page lies, itself excluded: smaller when newest first, else larger."""
        if self.cursor is None or ids.is_id(prefix, self.cursor):
            return self.cursor
        at = self.instant()
        return ids.floor(prefix, at if self.newest_first else at + 1)

    def instant(self) -> int:
        """Return the instant (microseconds) that the cursor is, or refuse it."""
        try:
            return instants.parse(self.cursor or "")
        except ValueError:
            self.refuse()

    def refuse(self) -> NoReturn:
        """Refuse the cursor: it is none of this list's."""
        raise InvalidRequest.at(
            self.name, "must be the id of a row, an X-Next-Cursor or an RFC 3339 instant", code="cursor.invalid"
        )


class Page(Generic[T]):
    """A page of a list: a bare array on the wire, with the place of the next one in its headers."""

    __slots__ = ("items", "more", "next_cursor", "partial")

    def __init__(self, items: Sequence[T], next_cursor: str | None = None, *, partial: bool = False) -> None:
        """Hold the rows; `partial` says that the scan budget ended before the page was full.

        `more` are headers that tell of the whole list.
        """
        self.items = items
        self.next_cursor = next_cursor
        self.partial = partial
        self.more: dict[str, str] = {}

    @classmethod
    def of(cls, rows: Sequence[R], window: Window, view: Callable[[R], T], key: Callable[[R], str]) -> Self:
        """Make a page of up to `limit + 1` rows: the one too many only proves that there is more."""
        shown = rows[: window.limit]
        more = len(rows) > window.limit
        return cls([view(row) for row in shown], key(shown[-1]) if more else None)

    def headers(self, path: str, query: bytes) -> dict[str, str]:
        """Return `Link` and `X-Next-Cursor` (for the list's last page neither), and `X-Scan` for a partial page."""
        headers = dict(self.more)
        if self.partial:
            headers["x-scan"] = "partial"
        if self.next_cursor is not None:
            given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
            kept = [(name, value) for name, value in given if name not in ("cursor", "before")]
            target = urlencode([*kept, ("cursor", self.next_cursor)])
            headers |= {"link": f'<{path}?{target}>; rel="next"', "x-next-cursor": self.next_cursor}
        return headers
