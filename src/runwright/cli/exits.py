"""Exit codes, and the errors that a command ends with."""

OK = 0
FAILED = 1
USAGE = 2
CANCELLED = 3
EXPIRED = 4
INTERRUPTED = 130

BY_STATE: dict[str, int] = {"completed": OK, "failed": FAILED, "cancelled": CANCELLED, "expired": EXPIRED}
"""What following a run exits with, by how the run ended."""

TABLE = """
Exit codes: 0 done · 1 it failed (the server refused, a run that was followed failed, a check failed) · 2 wrong usage or
settings · 3 a run that was followed was cancelled · 4 it expired · 130 interrupted; of `gate run` also 10 no model
answers · 12 a fork is blocked · 13 people must approve
"""


class CommandError(Exception):
    """End the command with `code`, a message, and a hint at what to do."""

    def __init__(self, message: str, hint: str = "", code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class UsageError(CommandError):
    """End the command because it was called wrongly."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, USAGE)
