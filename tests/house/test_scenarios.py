"""The scenarios and edge cases of the runtime surface's reference are there, under their numbers."""

import re

from tests.house.tree import modules

NUMBERED = re.compile(r"test_(scenario_|k)(\d+)_\w+")
SCENARIOS = set(range(1, 13))
EDGES = set(range(1, 26))


def test_each_number_has_a_test() -> None:
    found: dict[str, set[int]] = {"scenario_": set(), "k": set()}
    for module in modules("tests"):
        for function in module.functions():
            named = NUMBERED.fullmatch(function.name)
            if named is not None:
                found[named[1]].add(int(named[2]))
    assert SCENARIOS - found["scenario_"] == set()
    assert EDGES - found["k"] == set()
