"""The command `runwright`: the map from commands to files, and how every command ends."""

import difflib
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter, UnknownCommandError

from runwright.cli import exits, printing
from runwright.cli.hints import hint
from runwright.client.errors import ClientError
from runwright.errors import Error

app = App(
    name="runwright",
    help="Execute and govern runs: durable, streamed live, stoppable.",
    help_epilogue=exits.TABLE,
    version_flags=[],
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
    default_parameter=Parameter(negative=(), show_default=False),
)
COMMANDS = (
    ("serve", "serve:serve", "Serve until SIGTERM."),
    ("worker", "worker:worker", "Execute runs here for a server elsewhere."),
    ("up", "up:up", "Serve, and show the samples live in this terminal: two jobs, a runtime run and an agent."),
    ("jobs", "jobs:app", "List, read, create, change and delete jobs."),
    ("trigger", "trigger:trigger", "Start runs of a job."),
    ("workflows", "workflows:app", "List, read, create, change, start and delete workflows."),
    ("runs", "runs:app", "List, read, follow, stop and repeat runs."),
    ("loop", "loop:app", "Repair repositories in loops of patches, each verified, kept or put back."),
    ("runtime", "runtime:app", "See runs of every kind as the runtime surface shows them, and stop them."),
    ("approvals", "approvals:app", "List what runs ask people, show it with its subject, approve or deny it."),
    ("checkpoint", "checkpoint:checkpoint", "Commit, push and open pull requests for what runs made."),
    ("terminal", "terminal:terminal", "Show what a run's commands print, as they print it."),
    ("dlq", "dlq:app", "List, replay and discard dead letters."),
    ("batches", "batches:app", "List and read bulk operations."),
    ("workers", "workers:app", "List, read and drain the workers elsewhere."),
    ("events", "events:app", "Send events to the runs that wait for them and the jobs that they start."),
    ("queues", "queues:app", "List, pause and resume queues."),
    ("webhooks", "webhooks:app", "Subscribe to events of runs, read the log of deliveries, send again."),
    ("environments", "environments:app", "List, read, make, change and delete environments."),
    ("secrets", "secrets:app", "List, make, replace and delete secrets; no command shows a value."),
    ("chat", "chat:chat", "Talk to an agent: see its answers come, answer what it asks."),
    ("threads", "threads:app", "Make threads, talk in them, start and retry their runs."),
    ("inputs", "answers:app", "List what runs ask, and answer it."),
    ("personas", "personas:app", "List, read and make versions of personas."),
    ("routes", "routes:app", "List, read, make, change and delete routes to models."),
    ("models", "models:app", "List the models that routes lead to, their prices, what they lack, their ranking."),
    ("providers", "providers:app", "List, make and delete providers, replace their keys; no command shows one."),
    ("usage", "usage:usage", "Show what the models of agent runs used and cost."),
    ("kpi", "kpi:app", "Compare two windows of ended runs, and list the runs behind a number."),
    ("budgets", "budgets:app", "List, read, set and remove the budgets that agent runs share."),
    ("gate", "gate:app", "Judge a repository here, by its own policy, without a server."),
    ("baseline", "baseline:app", "Write, compare and show the findings that were there before."),
    ("evidence", "evidence:app", "Export, verify and inspect the evidence of runs."),
    ("artifacts", "artifacts:app", "Upload bytes, and download them by their digest."),
    ("keys", "keys:app", "List, make, rotate and revoke API keys."),
    ("members", "members:app", "List, add, change and remove members and their roles."),
    ("orgs", "orgs:app", "List, read, make and rename organizations."),
    ("projects", "projects:app", "List, read, make and change projects."),
    ("users", "users:app", "List, read, make and change users."),
    ("tickets", "tickets:app", "Make tickets for browsers."),
    ("me", "me:me", "Show whose key this is, and what it may do."),
    ("schemas", "me:schemas", "Print the JSON Schemas of events."),
    ("completion", "completion:completion", "Print a script that completes commands in a shell."),
    ("stats", "stats:stats", "Show throughput, latencies, failures and depth."),
    ("feed", "feed:feed", "Show the state changes of all runs, as they happen."),
    ("audit", "audit:app", "Read and verify the audit log."),
    ("db", "db:app", "Check, migrate, back up and restore the database of a server."),
    ("migrate-store", "migrate_store:migrate_store", "Move a data directory into PostgreSQL."),
    ("doctor", "doctor:doctor", "Check this machine, the settings and the server."),
    ("version", "version:version", "Print the version."),
)
for _name, _file, _about in COMMANDS:
    app.command(f"runwright.cli.{_file}", name=_name, help=_about)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every error is told on standard error, with what to do."""
    given = list(sys.argv[1:] if tokens is None else tokens)
    try:
        if "--help" in given or "-h" in given:
            whole(app, given)
        code = app(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        printing.note("interrupted; a run that was followed goes on")
        return exits.INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    except UnknownCommandError as error:
        # Cyclopts would load every command, and with them the server, to suggest one.
        unknown = (error.unused_tokens or ["?"])[0]
        chain = error.command_chain or ()
        near = [] if chain else difflib.get_close_matches(unknown, [name for name, _, _ in COMMANDS], n=1)
        advice = f"Did you mean `{near[0]}`?" if near else f"See `{' '.join(['runwright', *chain])} --help`."
        return _failed(given, f"There is no command {unknown!r}.", advice, exits.USAGE, code="cli.usage")
    except CycloptsError as error:
        place = " ".join(["runwright", *(error.command_chain or ())])
        return _failed(given, str(error), f"See `{place} --help`.", exits.USAGE, code="cli.usage")
    except exits.CommandError as error:
        return _failed(given, error.message, error.hint, error.code, code="cli.failed")
    except (ClientError, Error) as error:
        return _failed(given, *hint(error))
    return code if isinstance(code, int) else exits.OK


def whole(group: App, tokens: Sequence[str]) -> None:
    """Let the command that these words call tell all of its description, not the line that its group lists it with."""
    for token in tokens:
        if token.startswith("-") or token not in set(group):
            return
        group = group[token]
        if group.default_command is not None:
            group.help = None  # then it is the docstring's


def _failed(given: Sequence[str], message: str, advice: str, status: int, code: str) -> int:
    if "--json" in given:
        sys.stderr.write(printing.json_text({"error": {"code": code, "message": message, "hint": advice}}))
    else:
        printing.fail(message, advice)
    return status
