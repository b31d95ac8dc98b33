"""The sample job of `runwright up`: index every Markdown and Python file of a repository.

It shows what a job has at hand: steps whose results are kept, progress, checkpoints, outputs, a typed payload. Where it
is asked to, it fails once in the middle: the second attempt goes on from there, and repeats no finished step.
"""

import ast
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runwright import Context, Worker, job

SKIPPED = frozenset({"node_modules", "__pycache__", "build", "dist"})
BATCH_FILES = 25
WORD = re.compile(r"[A-Za-z]{5,}")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)|<(https?://[^>\s]+)>")
COUNTED = ("files", "lines", "words", "links", "functions", "classes", "unreadable")


@dataclass
class Request:
    """What to index; `fail_once` breaks the first attempt in the middle."""

    root: str = "."
    fail_once: bool = False


@job(max_attempts=3, timeout_secs=120, retry_strategy="fixed", retry_initial_delay_secs=1, retry_jitter="none")
async def index_repository(ctx: Context, request: Request) -> dict[str, Any]:
    """Count words, links, functions and classes of a repository's Markdown and Python files."""
    root = Path(request.root)
    batches: dict[str, list[str]] = await ctx.step("list files", list_files, root, thread=True)
    ctx.log(f"{sum(map(len, batches.values()))} files in {len(batches)} batches", root=request.root)

    saved: int = (ctx.last_checkpoint or {}).get("batches", 0)
    indexes: list[dict[str, Any]] = []
    for number, (name, paths) in enumerate(batches.items(), start=1):
        if request.fail_once and ctx.attempt == 1 and number > (len(batches) + 1) // 2:
            raise ConnectionError(f"deliberate failure before batch {number} of {len(batches)}")
        indexes.append(await ctx.step(f"index {name}", index_files, root, paths, thread=True))
        ctx.progress(100 * number / len(batches), f"indexed {name}", batches=number)
        if number > saved:
            await ctx.checkpoint({"batches": number, "last": name})

    totals = {fact: sum(index[fact] for index in indexes) for fact in COUNTED}
    common: Counter[str] = Counter()
    for index in indexes:
        common.update(index["common"])
    await ctx.output("totals", totals)
    await ctx.output("common_words", [{"word": word, "count": count} for word, count in common.most_common(20)])
    return {**totals, "most_common": [word for word, _ in common.most_common(5)]}


def list_files(root: Path) -> dict[str, list[str]]:
    """Return the files to index, in batches: those of a folder together, at most `BATCH_FILES` of them."""
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no directory")
    folders: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        hidden = any(part.startswith(".") or part in SKIPPED for part in inside.parts)
        if path.suffix in (".md", ".py") and not hidden and path.is_file():
            folders.setdefault(inside.parent.as_posix(), []).append(inside.as_posix())
    batches = {}
    for folder, paths in folders.items():
        for start in range(0, len(paths), BATCH_FILES):
            part = f" from {start + 1}" if start else ""
            batches[f"{folder}{part}"] = paths[start : start + BATCH_FILES]
    return batches


def index_files(root: Path, paths: list[str]) -> dict[str, Any]:
    """Return what these files hold: counts, and their commonest words."""
    counts = dict.fromkeys(COUNTED, 0)
    words: Counter[str] = Counter()
    for path in paths:
        text = (root / path).read_text("utf-8", "replace")
        found = WORD.findall(text.lower())
        words.update(found)
        counts["files"] += 1
        counts["lines"] += text.count("\n")
        counts["words"] += len(found)
        if path.endswith(".md"):
            counts["links"] += len(LINK.findall(text))
        else:
            for fact, count in definitions(text).items():
                counts[fact] += count
    return {**counts, "common": dict(words.most_common(50))}


def definitions(source: str) -> dict[str, int]:
    """Return how many functions and classes a Python file defines; a file that is not Python is `unreadable`."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {"unreadable": 1}
    nodes = list(ast.walk(tree))
    functions = sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes)
    return {"functions": functions, "classes": sum(isinstance(node, ast.ClassDef) for node in nodes)}


app = Worker([index_repository])
