"""The thirty conformance tests of the public document's appendix C are there, under their numbers."""

import re

from tests.house.tree import modules

NUMBERED = re.compile(r"test_appendix_c_(\d+)_\w+")
BOTH = ("engine", "acceptance")
"""The suites whose tests run on each database."""


def test_each_number_has_a_test_on_both_databases() -> None:
    found: dict[int, list[str]] = {number: [] for number in range(1, 31)}
    for module in (each for each in modules("tests") if each.says("test_appendix_c_")):
        for function in module.functions():
            named = NUMBERED.fullmatch(function.name)
            if named is not None and module.path.split("/")[1] in BOTH:
                found[int(named[1])].append(module.at(function))
    assert [number for number, places in found.items() if not places] == []
