"""Fixers propose what has one right answer, for what was found, and nothing else; they write nothing themselves."""

import pytest

from runwright.domain.finding import Finding
from runwright.domain.patch import PatchBounds, diff_stats
from runwright.fixers.apply import apply
from runwright.fixers.available import available
from runwright.fixers.codemods import Codemods, mends, shipped
from runwright.fixers.dependencies import DependencyBumps
from runwright.fixers.ruff import RuffFixes
from runwright.scanners import ruff
from tests.scanners.ground import BOUNDS as SCAN
from tests.scanners.ground import Tree

BOUNDS = PatchBounds()


def finding(rule, file, line=1, message="", end_line=0) -> Finding:
    tool = rule.partition(":")[0]
    return Finding(
        finding_id="fnd_1",
        fingerprint="1" * 64,
        severity="P2",
        rule_id=rule,
        message=message,
        file=file,
        line=line,
        end_line=end_line or line,
        tool=tool,
        confidence=1.0,
        sources=(tool,),
    )


def held(tree: Tree) -> dict[str, bytes]:
    return {
        path.relative_to(tree.root).as_posix(): path.read_bytes() for path in tree.root.rglob("*") if path.is_file()
    }


CODE = """import os
import sys


def run(x):
    if x == None:
        return f"nothing"
    return sys.argv"""


async def test_ruff_fixes_what_was_found_and_what_it_calls_safe(tree: Tree) -> None:
    tree.write(
        {"src/a b.py": CODE, "other.py": CODE, "pyproject.toml": "[tool.ruff]\nforce-exclude = true\nexclude = ['*']\n"}
    )
    before = held(tree)
    findings = [
        finding("ruff:F401", "src/a b.py"),
        finding("ruff:F541", "src/a b.py", 7),
        finding("ruff:E711", "src/a b.py", 6),
    ]
    patch = await RuffFixes(SCAN).propose(tree, findings, BOUNDS)
    assert held(tree) == before
    assert patch is not None
    assert patch.paths == ("src/a b.py",)
    assert patch.after["src/a b.py"] == CODE.replace("import os\n", "").replace('f"nothing"', '"nothing"')
    assert await RuffFixes(SCAN).propose(tree, findings, BOUNDS) == patch
    assert await RuffFixes(SCAN).propose(tree, [finding("ruff:E711", "src/a b.py", 6)], BOUNDS) is None
    assert await RuffFixes(SCAN).propose(tree, [finding("bandit:F401", "src/a b.py")], BOUNDS) is None
    assert await RuffFixes(SCAN).propose(tree, [finding("ruff:F401; rm", "src/a b.py")], BOUNDS) is None


CODEMODS = [
    ("S506", "yaml.load(open(x))", "yaml.safe_load(open(x))"),
    ("B506", "yaml.load(x, Loader=yaml.Loader)", "yaml.safe_load(x)"),
    ("S506", "yaml.load(x, yaml.UnsafeLoader)", "yaml.safe_load(x)"),
    ("S506", "yaml.load(x, Loader=mine)", None),
    ("S501", "requests.get(u, verify=False, timeout=3)", "requests.get(u, verify=True, timeout=3)"),
    ("S501", "requests.get(u, verify=off)", None),
    ("S323", "ssl._create_unverified_context()", "ssl.create_default_context()"),
    ("S324", "hashlib.md5(x).hexdigest()", "hashlib.sha256(x).hexdigest()"),
    ("B324", "hashlib.sha1()", "hashlib.sha256()"),
    ("S324", 'hashlib.new("md5", x)', 'hashlib.new("sha256", x)'),
    ("S306", 'tempfile.mktemp(suffix=".x")', 'tempfile.mkstemp(suffix=".x")[1]'),
    ("S201", "app.run(debug=True, port=1)", "app.run(debug=False, port=1)"),
    ("S701", "jinja2.Environment(autoescape=False)", "jinja2.Environment(autoescape=True)"),
    ("S507", "c.set_missing_host_key_policy(paramiko.AutoAddPolicy())",
     "c.set_missing_host_key_policy(paramiko.RejectPolicy())"),
    ("S113", "requests.get(u)", "requests.get(u, timeout=30)"),
    ("S113", "requests.post(u, json={})", "requests.post(u, json={}, timeout=30)"),
    ("S202", "tar.extractall(x)", 'tar.extractall(x, filter="data")'),
    ("S602", 'subprocess.run("ls -l /tmp", shell=True)', 'subprocess.run(["ls", "-l", "/tmp"])'),
    ("B602", 'subprocess.run("ls -l", shell=True, check=True)', 'subprocess.run(["ls", "-l"], check=True)'),
    ("S602", 'subprocess.run("ls | wc", shell=True)', None),
    ("S602", 'subprocess.run(f"ls {x}", shell=True)', None),
    ("S602", "subprocess.run(x, shell=True)", None),
]  # fmt: skip


async def test_codemods_rewrite_what_has_one_right_answer(tree: Tree) -> None:
    lines = ["import os", *(f"v{n} = {old}" for n, (_, old, _) in enumerate(CODEMODS))]
    source = "# é\n" + "\n".join(lines) + "\n"
    tree.write({"a.py": source, "sgconfig.yml": "ruleDirs: [rules]\n"})
    findings = [finding(f"ruff:{rule}", "a.py", n + 3) for n, (rule, _, _) in enumerate(CODEMODS)]
    patch = await Codemods(SCAN).propose(tree, findings, BOUNDS)
    assert patch is not None
    assert held(tree)["a.py"].decode() == source
    wanted = [f"v{n} = {old if new is None else new}" for n, (_, old, new) in enumerate(CODEMODS)]
    assert patch.after["a.py"].split("\n")[2:-1] == wanted
    assert patch == await Codemods(SCAN).propose(tree, findings[::-1], BOUNDS)


async def test_codemods_leave_alone_what_nobody_found(tree: Tree) -> None:
    tree.write({"a.py": "x = yaml.load(a)\ny = yaml.load(b)\n", "b.py": "x = yaml.load(a)\n"})
    patch = await Codemods(SCAN).propose(tree, [finding("bandit:B506", "a.py", 2)], BOUNDS)
    assert patch is not None
    assert patch.after == {"a.py": "x = yaml.load(a)\ny = yaml.safe_load(b)\n"}
    assert await Codemods(SCAN).propose(tree, [finding("bandit:B324", "a.py", 2)], BOUNDS) is None
    assert await Codemods(SCAN).propose(tree, [finding("bandit:B506", "gone.py", 2)], BOUNDS) is None
    assert await Codemods(SCAN).propose(tree, [finding("ruff:E501", "a.py", 2)], BOUNDS) is None
    tree.write({"a.py": "x = (yaml.load(a)\n"})
    assert await Codemods(SCAN).propose(tree, [finding("bandit:B506", "a.py", 1)], BOUNDS) is None


async def test_a_patch_of_a_fixer_mends_what_was_found(tree: Tree) -> None:
    tree.write({"a.py": "import hashlib\nimport os\n\nD = hashlib.md5(b'x')\n"})
    seen = await tree.look(ruff.security(), ruff.lint())
    assert sorted(each.rule_id for each in seen.findings) == ["ruff:F401", "ruff:S324"]
    for fixer in available(SCAN):
        seen = await tree.look(ruff.security(), ruff.lint())
        patch = await fixer.propose(tree, seen.findings, BOUNDS)
        if patch is not None:
            assert diff_stats(patch).files == 1
            apply(patch, tree.files, BOUNDS)
    assert (await tree.look(ruff.security(), ruff.lint())).findings == ()


def test_each_codemod_says_what_it_mends() -> None:
    assert [rule["id"] for rule in shipped() if not mends()[rule["id"]]] == []
    assert len({rule["id"] for rule in shipped()}) == len(shipped())
    assert all(rule.get("fix") for rule in shipped())


REQUIREMENTS = """# requests==2.19.0
Requests == 2.19.0  # the client
flask[async]==1.0
urllib3==1.24.1 ; python_version > "3"
pyyaml>=3
requests==2.20.0
"""


def told(name, version, fixed, file="requirements.txt", summary="it leaks; fixed in 9.9 they say"):
    end = f"fixed in {fixed}" if fixed else "no version is known in which it is fixed"
    return finding("dependencies:CVE-2018-1", file, 2, f"{name} {version}: {summary}; {end}")


async def test_pins_are_raised_to_where_everything_is_fixed(tree: Tree) -> None:
    project = '[project]\ndependencies = ["requests==2.19.0", "flask==1.0"]\n'
    tree.write({"requirements.txt": REQUIREMENTS, "app/pyproject.toml": project})
    findings = [
        told("requests", "2.19.0", "2.20.0"),
        told("requests", "2.19.0", "2.31.0"),
        told("requests", "2.19.0", "2.4.0"),
        told("flask", "1.0", "2.2.5"),
        told("urllib3", "1.24.1", None),
        told("pyyaml", "3", "5.4"),
        told("requests", "2.19.0", "2.20.0", "app/pyproject.toml"),
        told("flask", "1.0", "not-a-version", "app/pyproject.toml"),
    ]
    patch = await DependencyBumps().propose(tree, findings, BOUNDS)
    assert patch is not None
    assert patch.after == {
        "requirements.txt": REQUIREMENTS.replace("Requests == 2.19.0", "Requests == 2.31.0").replace(
            "]==1.0", "]==2.2.5"
        ),
        "app/pyproject.toml": project.replace("2.19.0", "2.20.0"),
    }


@pytest.mark.parametrize(
    ("file", "text", "version"),
    [
        ("requirements.txt", "requests==2.19.0 --hash=sha256:00\n", "2.20.0"),
        ("requirements.txt", "requests==2.19.0\n", "2.1.0"),
        ("requirements.txt", "requests==2.19.0.1\n", "2.20.0"),
        ("requirements.txt", "other-requests==2.19.0\n", "2.20.0"),
        ("poetry.lock", 'name = "requests"\nversion = "2.19.0"\n', "2.20.0"),
    ],
)
async def test_a_pin_that_a_program_wrote_or_that_is_another_is_left_alone(tree: Tree, file, text, version) -> None:
    tree.write({file: text})
    assert await DependencyBumps().propose(tree, [told("requests", "2.19.0", version, file)], BOUNDS) is None


async def test_what_is_found_in_a_link_or_outside_is_left_alone(tree: Tree, tmp_path) -> None:
    outside = tmp_path / "requirements.txt"
    outside.write_text("requests==2.19.0\n")
    (tree.root / "requirements.txt").symlink_to(outside)
    findings = [told("requests", "2.19.0", "2.20.0"), told("requests", "2.19.0", "2.20.0", "../requirements.txt")]
    assert await DependencyBumps().propose(tree, findings, BOUNDS) is None
    assert await Codemods(SCAN).propose(tree, [finding("bandit:B506", "../a.py")], BOUNDS) is None
    assert await RuffFixes(SCAN).propose(tree, [finding("ruff:F401", "../a.py")], BOUNDS) is None
    assert outside.read_text() == "requests==2.19.0\n"
