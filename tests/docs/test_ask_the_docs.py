"""The example answers a question over these pages: a job ranks passages, the model in the server's process speaks."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from examples.ask_the_docs import DOCS, rank
from runwright.client.sync.api import Client
from tests.cli.live import REPOSITORY, command, end, environment, ready


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("What is a lease of a run?", "concepts/runs.md"),
        ("How does a workspace become a snapshot?", "concepts/agent-tools.md"),
        ("Which words has a redactor?", "concepts/events-and-streams.md"),
    ],
)
def test_the_passages_that_are_found_have_to_do_with_the_question(question: str, page: str) -> None:
    found = rank(DOCS, question)
    assert page in [each["page"] for each in found[:5]], [each["page"] for each in found]
    assert found == sorted(found, key=lambda each: -each["score"])
    assert rank(DOCS, "xyzzy") == []


@pytest.mark.slow
def test_a_question_is_answered_by_passages_and_a_real_model(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    process = command("serve", "--worker", "examples.ask_the_docs:app", "--port", "0", data_dir=data_dir)
    try:
        ready(process)
        kept = msgspec.json.decode((data_dir / "credentials.json").read_bytes())
        known = {"RUNWRIGHT_URL": kept["url"], "RUNWRIGHT_API_KEY": kept["api_key"]}
        asked = subprocess.run(
            [sys.executable, "-m", "examples.ask_the_docs", "What is a lease?"],
            cwd=REPOSITORY,
            env={**environment(data_dir), **known},
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert asked.returncode == 0, asked.stderr
        with Client(kept["url"], kept["api_key"]) as client:
            (found,) = client.runs.list(kind="job").all()
            (thread,) = client.threads.list().all()
            (ran,) = client.threads.runs(thread.id).all()
            steps = [event.data["name"] for event in client.runs.events(found.id, type="step.completed")]
            types = [event.type for event in client.runs.events(ran.run_id)]
            run = client.runs.get(ran.run_id)
            said = [message.content for message in client.threads.messages(thread.id)]
    finally:
        end(process, signal.SIGTERM)
    assert steps == ["rank passages"]
    passages = found.result["passages"]
    assert len(passages) == 2
    assert all(passage["text"] in said[0] for passage in passages), "the model was given what was found"
    assert types.count("message.delta") > 1, "it streamed"
    assert (types[0], types[-1]) == ("run.started", "run.completed")
    assert types.count("usage.recorded") == 1
    assert run.total_output_tokens > 0
    assert run.total_cost_usd == 0
    lines = asked.stdout.splitlines()
    assert lines[:2] == [f"- {passage['page']}: {passage['title']}" for passage in passages]
    assert "\n".join(lines[2:-1]).strip() == said[1].strip(), "what was shown is what was said"
    assert lines[-1] == f"{run.total_input_tokens} tokens in, {run.total_output_tokens} out, cost $0"
