"""The checklist of agent runs, and the defects that they must not have, are tested under their numbers."""

import re

import pytest

from tests.house.tree import modules

BOTH = ("engine", "acceptance")
"""The suites whose tests run on each database."""
NOTHING_LIKE_IT = {22, 23}
"""Defects of features that there are none of: passwords of shared threads, monthly quotas."""
WANTED = {"acceptance": set(range(1, 13)), "defect": set(range(1, 24)) - NOTHING_LIKE_IT}


@pytest.mark.parametrize("what", WANTED)
def test_each_number_has_a_test_on_both_databases(what: str) -> None:
    numbered = re.compile(rf"test_{what}_(\d+)_\w+")
    found = {
        int(named[1])
        for module in modules("tests")
        if module.path.split("/")[1] in BOTH and module.says(f"test_{what}_")
        for function in module.functions()
        if (named := numbered.fullmatch(function.name)) is not None
    }
    assert found == WANTED[what]
