"""Client commands start fast: they load no server, no database, no event loop, and what draws help only for help."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from runwright.cli.main import main
main(sys.argv[1:])
heavy = {"starlette", "uvicorn", "sqlalchemy", "apsw", "cryptography", "asyncio", "runwright.app", "runwright.serving",
         "websockets"}
if sys.argv[-1] != "--help" and sys.argv[1] != "rnus":  # help and wrong usage are drawn with it
    heavy |= {"rich"}
sys.exit(f"loaded {found}" if (found := heavy & set(sys.modules)) else 0)
"""


@pytest.mark.parametrize(
    "tokens",
    [
        ["version"],
        ["--help"],
        ["runs", "--help"],
        ["rnus"],
        ["runs", "list", "--url", "http://127.0.0.1:1", "--api-key", "rw_key"],
        ["trigger", "greet", "--url", "http://127.0.0.1:1", "--api-key", "rw_key"],
        ["runs", "watch", "run_1", "--url", "http://[::1", "--api-key", "rw_key"],
    ],
    ids=lambda tokens: " ".join(tokens[:2]),
)
def test_client_commands_load_neither_the_server_nor_a_database(tokens):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *tokens], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_client_loads_nothing_of_ours():
    program = (
        "import sys, runwright; runwright.AsyncClient, runwright.Worker, runwright.job, runwright.Context\n"
        "ours = {name for name in sys.modules if name.startswith('runwright.')}\n"
        "others = {name for name in ours if not name.startswith('runwright.client')}\n"
        "sys.exit(f'loaded {others}' if others else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_nothing_else():
    program = "import sys, runwright; sys.exit(any(name.startswith('runwright.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
