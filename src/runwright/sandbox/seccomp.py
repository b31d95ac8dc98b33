"""The filter of system calls: what no command needs and what has let others out of sandboxes is refused (EPERM)."""

from __future__ import annotations

import platform
import struct

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED: dict[str, tuple[int, ...]] = {
    # ptrace, syslog, pivot_root, acct, mount, umount2, swapon, swapoff, reboot, init_module, delete_module, quotactl,
    # kexec_load, add_key, request_key, keyctl, unshare, perf_event_open, name_to_handle_at, open_by_handle_at, setns,
    # finit_module, kexec_file_load, bpf, userfaultfd; then io_uring, and mounting in its newer way
    "x86_64": (
        *(101, 103, 155, 163, 165, 166, 167, 168, 169, 175, 176, 179, 246, 248, 249, 250, 272, 298, 303, 304, 308),
        *(313, 320, 321, 323, *range(425, 434), 442),
    ),
    "aarch64": (
        *(117, 116, 41, 89, 40, 39, 224, 225, 142, 105, 106, 60, 104, 217, 218, 219, 97, 241, 264, 265, 268),
        *(273, 294, 280, 282, *range(425, 434), 442),
    ),
}
_X32 = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_KILL, _EPERM, _ALLOW = 0x80000000, 0x00050001, 0x7FFF0000


def program(machine: str = "") -> bytes | None:
    """Return the filter as the kernel reads it; None for a machine whose calls are not known here."""
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        return None
    refused = sorted(_REFUSED[machine])
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, len(refused) + 1, 0, _X32),  # the same calls by other numbers
    ]
    code += [(_EQUAL, len(refused) - place, 0, number) for place, number in enumerate(refused)]
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
