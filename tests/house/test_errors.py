"""Every error code is one class's, has one status, and is never made up at the place that raises it."""

import ast
import re

from runwright import errors
from runwright.api.errors import status_of
from tests.house.tree import dotted, source

CODE = re.compile(r"[a-z_]+(\.[a-z_]+)*")


def test_every_code_has_a_status_of_an_error() -> None:
    assert {
        code: status_of(kind) for code, kind in errors.catalogue().items() if not 400 <= status_of(kind) < 600
    } == {}


def test_every_class_has_a_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Error)]
    assert [kind.__name__ for kind in kinds if "code" not in vars(kind)] == []
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert [kind.code for kind in kinds if not CODE.fullmatch(kind.code)] == []


def test_no_error_class_is_made_outside_the_tree() -> None:
    strays = [
        module.at(node)
        for module in source()
        if not module.path.startswith("src/runwright/errors/") and module.room != "client" and module.says("class ")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and any(is_error(base) for base in node.bases)
    ]
    assert strays == []


def is_error(base: ast.expr) -> bool:
    """Tell whether a base class is one of the error tree."""
    kind = getattr(errors, dotted(base).rpartition(".")[2], None)
    return isinstance(kind, type) and issubclass(kind, errors.Error)
