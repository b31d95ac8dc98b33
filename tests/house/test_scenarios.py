"""The scenarios and edge cases of the runtime surface's reference are there, under their numbers."""

import re

from tests.house.tree import modules

NUMBERED = re.compile(r"test_(scenario_|k)(\d+)_\w+")
SCENARIOS = {1, 2, 3, 6, 7, 8, 9, 10, 11, 12}
EDGES = {1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 22, 23, 24, 25}


def test_each_number_has_a_test() -> None:
    found: dict[str, set[int]] = {"scenario_": set(), "k": set()}
    for module in modules("tests"):
        for function in module.functions():
            named = NUMBERED.fullmatch(function.name)
            if named is not None:
                found[named[1]].add(int(named[2]))
    assert SCENARIOS - found["scenario_"] == set()
    assert EDGES - found["k"] == set()
