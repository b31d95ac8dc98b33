"""What a run may name as its repository, and as the state of it: judged by the words alone, without looking there.

A repository is a path beneath one of the server's allowed roots, or a web address (http, https). Everything else that
git would take (ssh, file:, ext::, host:path, options) is refused, and no name can be read as an option of a command.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from runwright.domain.addresses import URL_MAX, Url, read_url, url_problem
from runwright.errors import InvalidRequest

NOT_ALLOWED = "repo.not_allowed"
REF_MAX = 255
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_OTHER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[^/\s]+@?[^/\s]*:")
_NOT_IN_A_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)")


class Local(msgspec.Struct, frozen=True):
    """A repository on this machine: `parts` beneath an allowed `root`."""

    root: str
    parts: tuple[str, ...]


Place = Local | Url


def read_repository(repo: str, roots: Sequence[str], *, allow_private: bool) -> Place:
    """Return where a repository is said to be. Raises `InvalidRequest` (`repo.not_allowed`) for where it may not be."""
    if repo.lower().startswith(("http://", "https://")):
        problem = url_problem(repo, allow_private=allow_private)
        if problem is None:
            return read_url(repo)
        raise _refused(f"the address is not fetched from: {_worded(problem)}")
    if _OTHER.match(repo):
        raise _refused(
            "only http:// and https:// addresses and paths of this server are taken (no ssh, file, host:path)"
        )
    if not repo.startswith("/") or "\0" in repo or len(repo) > URL_MAX:
        raise _refused("it must be an https:// address, or an absolute path beneath an allowed directory")
    parts = tuple(part for part in repo.split("/") if part not in {"", "."})
    if ".." in parts:
        raise _refused("the path leads upwards; name the repository by its own path")
    for root in roots:
        above = tuple(part for part in root.split("/") if part not in {"", "."})
        if parts[: len(above)] == above:
            return Local(root, parts[len(above) :])
    if not roots:
        raise _refused("this server takes no paths; its operator names directories as RUNWRIGHT_REPOSITORY_ROOTS")
    raise _refused("the path lies beneath none of the directories that this server takes (RUNWRIGHT_REPOSITORY_ROOTS)")


def require_ref(ref: str) -> str:
    """Return a name of a branch, a tag or a commit. Raises `InvalidRequest` for what git could not call one so."""
    if (
        not 0 < len(ref) <= REF_MAX
        or ref.startswith(("-", "/", "."))
        or ref.endswith(("/", "."))
        or ref == "@"
        or _NOT_IN_A_REF.search(ref)
    ):
        raise InvalidRequest.at("ref", "must be the name of a branch, of a tag, or the whole digest of a commit")
    return ref


def is_sha(ref: str) -> bool:
    """Tell whether a name is the whole digest of a commit."""
    return _SHA.fullmatch(ref) is not None


def candidates(ref: str) -> tuple[str, ...]:
    """Return the whole names that a name may be short for, the first that exists counts: a branch before a tag."""
    return (ref,) if ref.startswith("refs/") or ref == "HEAD" else (f"refs/heads/{ref}", f"refs/tags/{ref}")


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest.at("repo", why, code=NOT_ALLOWED)


def _worded(problem: str) -> str:
    return problem.replace("RUNWRIGHT_ALLOW_PRIVATE_ENDPOINTS", "RUNWRIGHT_REPOSITORY_PRIVATE")
