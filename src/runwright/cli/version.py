"""`runwright version`."""

import platform
from importlib.metadata import version as version_of

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection


def version(*, connection: Connection = HERE) -> None:
    """Print the version of this installation.

    Example: `runwright version`
    """
    if connection.json:
        printing.show_json({"version": version_of("runwright"), "python": platform.python_version()})
    else:
        printing.say(f"runwright {version_of('runwright')} (Python {platform.python_version()})")
