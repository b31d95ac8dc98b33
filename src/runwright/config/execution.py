"""The part of the table of settings that is about execution: processes, agents and their tools, endpoints, models."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from runwright.config.repositories import RepositorySettings
from runwright.config.setting import MIB
from runwright.config.setting import setting as _setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings(RepositorySettings):
    """Hold how much each way of running does at a time, and how far each may go."""

    # --- processes
    process_slots: int = _setting(0, "Process runs that this server executes at a time; 0: it takes none", 0, 10_000)
    process_paths: tuple[str, ...] = _setting(
        (), "Directories of this machine that commands may read, beside /usr", pattern=r"/[^,\0]+"
    )
    process_network: bool = _setting(False, "Whether a command has this machine's network if its job asks for it")
    process_dir: Path = _setting(  # noqa: RUF009 - a `dataclasses.field`
        lambda: Path(tempfile.gettempdir()),
        "Directory of the workspaces of commands, which are removed after them",
        shown="the system's directory for temporary files",
    )
    process_api_url: str | None = _setting(
        None, "Address of the API for commands; without it, where this server listens", 1, 2000, pattern=r"https?://\S+"
    )
    process_pids_max: int = _setting(128, "Processes of one command at a time", 1, 100_000)
    process_files_max: int = _setting(1024, "Open files of one process of a command", 16, 1_000_000)
    process_output_max_bytes: int = _setting(
        64 * MIB, "Output of one process job's command; what prints more is killed", 1, 1024 * MIB
    )
    process_workspace_max_bytes: int = _setting(1024 * MIB, "All files of one command", MIB, 1024 * 1024 * MIB)
    process_value_max_bytes: int = _setting(MIB, "Largest result and checkpoint of a command", 1, MIB)
    process_sample_ms: float = _setting(
        100.0, "Interval of the look at a command's processes; its files are looked at every tenth time", 5, 10_000
    )
    # --- agents and their tools
    runtime_slots: int = _setting(20, "Runtime runs that this server executes at a time; 0: it takes none", 0, 10_000)
    runtime_modes: tuple[str, ...] = _setting(
        (),
        "Modes in which runtime runs may be made; none named: all",
        pattern="advice|audit_readonly|edit_gated|autonomous_gated",
    )
    agent_slots: int = _setting(100, "Agent runs that this server executes at a time; 0: it takes none", 0, 10_000)
    agent_recoveries_max: int = _setting(
        5, "Lost workers after which an agent run goes on; the next one more is its failure", 0, 1000
    )
    thread_line_max: int = _setting(100, "Runs that may stand in the line of one thread", 1, 10_000)
    agent_tools_parallel: int = _setting(8, "Calls of tools that change nothing, of one run at a time", 1, 1000)
    agent_tool_output_max_bytes: int = _setting(
        MIB, "Largest output of a tool; of what is longer the middle is left out", 1024, 64 * MIB
    )
    agent_tool_preview_bytes: int = _setting(
        16_384, "Output of a tool that a model is shown; what is longer becomes an artifact", 256, MIB
    )
    agent_tool_memory_mb: int = _setting(512, "Memory of one command of an agent in MiB", 16, 1_048_576)
    agent_tool_cpus: int = _setting(1, "CPUs of one command of an agent", 1, 1024)
    agent_workspace_max_bytes: int = _setting(
        32 * MIB, "Files of one agent's workspace, all together", 1024, 1024 * MIB
    )
    agent_workspace_max_files: int = _setting(10_000, "Files and directories of one agent's workspace", 1, 1_000_000)
    agent_http_private: bool = _setting(
        False, "Whether the tool http reaches private networks and this machine; for development"
    )
    agent_http_connections: int = _setting(100, "Open connections of the tool http", 1, 100_000)
    # --- dispatch to endpoints
    allow_private_endpoints: bool = _setting(
        False, "Whether endpoints may lie in private networks and on this machine; for development"
    )
    dispatch_slots: int = _setting(200, "Runs that are dispatched to endpoints at a time", 1, 100_000)
    dispatch_connections: int = _setting(200, "Open connections to endpoints", 1, 100_000)
    dispatch_keepalive_s: float = _setting(4.0, "Time that an idle connection to an endpoint is kept", 0, 3600)
    dispatch_connect_s: float = _setting(10.0, "Longest time until an endpoint is connected", 0.01, 3600)
    dispatch_body_s: float = _setting(60.0, "Longest time from the head of an answer to its end", 0.01, 86_400)
    dispatch_body_max_bytes: int = _setting(MIB, "Largest answer of an endpoint", 1, 64 * MIB)
    # --- models
    routes_max: int = _setting(200, "Routes to models of one project", 1, 10_000)
    model_connect_s: float = _setting(10.0, "Longest time until a model's provider is connected", 0.01, 600)
    model_first_s: float = _setting(120.0, "Longest time until a model writes something", 0.01, 3600)
    model_idle_s: float = _setting(60.0, "Longest silence of a model once it writes", 0.01, 3600)
    model_total_s: float = _setting(600.0, "Longest time of one answer of a model", 0.01, 86_400)
    model_attempts_max: int = _setting(5, "Calls of a model in a row that fail before their run does", 1, 100)
    model_rest_s: float = _setting(
        30.0, "Longest rest between calls of a model that a run keeps its worker for", 0, 86_400
    )
    model_answer_max_bytes: int = _setting(16 * MIB, "Largest answer of a model's provider", 1024, 1024 * MIB)
    model_connections: int = _setting(200, "Open connections to providers of models", 1, 100_000)
    model_keepalive_s: float = _setting(30.0, "Time that an idle connection to a provider is kept", 0, 3600)
    model_scripts: str | None = _setting(None, "JSON file of what the provider `scripted` says", 1, 4096)
    model_policy: tuple[str, ...] = _setting(
        (), "Models that runs may ask, as kind/model with * for any text; none named: all", pattern=r"[^,/\0]+/[^,\0]+"
    )
    local_model_path: str | None = _setting(None, "GGUF file of the local model; without it, SmolLM2", 1, 4096)
    local_model_context: int = _setting(4096, "Tokens of the local model's context", 256, 1_048_576)
    local_model_threads: int = _setting(1, "Threads of the local model; at most as many as cores", 1, 256)
    local_model_queue_max: int = _setting(16, "Calls that wait for the local model", 0, 10_000)
