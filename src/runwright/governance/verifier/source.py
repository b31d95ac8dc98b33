"""The verifier as the one file that lies in each bundle: its modules, put together."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

MODULES = ("report", "archive", "log", "ed25519", "verify")
_HEAD = '''#!/usr/bin/env python3
"""Verify an evidence bundle of Runwright, offline, with nothing but Python (3.10 or later) and its standard library.

    python verify.py BUNDLE.zip --key FINGERPRINT

Names each object that was edited, dropped, reordered, truncated or added. Exits with 0 when the bundle is whole and
signed by the key with that fingerprint, 3 when it is whole and no key was named, 1 when it is not whole or another key
signed it, and 2 when there is nothing to verify.

Whoever changed the bundle could have changed the copy of this file in it: take one from where you trust it.
"""

from __future__ import annotations
'''
_OURS = re.compile(r"^from runwright\.[\w.]+ import (?:\([^)]*\)|[^\n]*)\n", re.MULTILINE)
_FUTURE = "from __future__ import annotations\n"


@lru_cache(maxsize=1)
def verifier_source() -> bytes:
    """Return the file `verify.py`: it imports nothing but the standard library."""
    parts = [_HEAD]
    for name in MODULES:
        text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        docstring, _, code = text.partition(_FUTURE)
        parts.append(
            f"# {'-' * 3} {docstring.strip().strip(chr(34)).splitlines()[0]}\n{_OURS.sub('', code).rstrip()}\n"
        )
    parts.append('if __name__ == "__main__":\n    sys.exit(main())\n')
    return "\n\n".join(parts).encode()
