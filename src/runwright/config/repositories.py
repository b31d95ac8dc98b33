"""The part of the table of settings that is about repositories: reading, looking through, and delivering to them."""

from dataclasses import dataclass

from runwright.config.setting import MIB
from runwright.config.setting import setting as _setting

_FORGE = r"(local|github|gitlab|gitea)=(/|https?://)[^,#\0\s]+(#[A-Za-z_][A-Za-z0-9_]{0,127})?"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySettings:
    """Hold how repositories are read, who looks through them how far, and where runs are delivered to."""

    repository_roots: tuple[str, ...] = _setting(
        (), "Directories of this server beneath which runs may name repositories", pattern=r"/[^,\0]+"
    )
    repository_private: bool = _setting(False, "Whether repositories of private networks and this machine are fetched")
    repository_max_bytes: int = _setting(256 * MIB, "What is read of one repository", 1024, 65_536 * MIB)
    repository_file_max_bytes: int = _setting(16 * MIB, "Largest file that is checked out", 1, 1024 * MIB)
    repository_attempts_max: int = _setting(3, "How often a run asks for a repository that is away", 1, 100)
    repository_retry_s: float = _setting(2.0, "Time before it asks again; each time twice as long", 0, 3600)
    repository_timeout_s: float = _setting(300.0, "Longest time of one step of a checkout", 0.1, 86_400)
    runtime_workspace_max_bytes: int = _setting(64 * MIB, "Files of one runtime run's workspace", 1024, 1024 * MIB)
    runtime_workspace_max_files: int = _setting(20_000, "Files and directories of that workspace", 1, 1_000_000)
    forges: tuple[str, ...] = _setting((), "Forges that runs are delivered to: kind=origin#SECRET", pattern=_FORGE)
    delivery_slots: int = _setting(4, "Deliveries that this server executes at a time; 0: it takes none", 0, 10_000)
    delivery_runs_max: int = _setting(50, "Runs of one call that delivers", 1, 1000)
    delivery_wait_s: float = _setting(15.0, "Longest time that a call waits for its deliveries", 0.1, 600)
    delivery_approval_s: int = _setting(86_400, "Time in which people must allow a delivery", 1, 31_536_000)
    scan_file_max_bytes: int = _setting(MIB, "Largest file that a scan looks into", 1, 64 * MIB)
    scan_line_max: int = _setting(5000, "Longest line of a file that a scan looks into, in characters", 80, 10_000_000)
    scan_max_bytes: int = _setting(64 * MIB, "Bytes of one workspace that a scan looks into", 1, 1024 * MIB)
    scan_s: float = _setting(300.0, "Longest time of one scanner", 0.01, 86_400)
    patch_max_bytes: int = _setting(MIB, "Largest patch of a remediation loop, as a diff or as edits", 1024, 64 * MIB)
    patch_max_files: int = _setting(200, "Files that one patch may change, whatever an order says", 1, 1_000)
    patch_max_hunks: int = _setting(500, "Places that one patch may change", 1, 100_000)
    patch_file_max_bytes: int = _setting(MIB, "Largest file that a patch may change or make", 1024, 64 * MIB)
    scan_findings_max: int = _setting(250, "Findings of one scan that are told; the others are counted", 1, 10_000)
    scan_memory_mb: int = _setting(1024, "Memory of one program that scans, in MiB", 64, 1_048_576)
    scan_cpus: int = _setting(1, "CPUs of one program that scans", 1, 1024)
    scan_report_max_bytes: int = _setting(16 * MIB, "Largest report of a program that scans", 1024, 256 * MIB)
    scanners: tuple[str, ...] = _setting(
        ("installed",),
        "Scanners of runs beside those that come with Runwright; `installed` names all that are; one that is named and "
        "not there has not run",
        pattern=r"[a-z][a-z0-9_-]{0,40}",
    )
    scan_commands: tuple[str, ...] = _setting(
        (), "Commands that write SARIF 2.1.0 and scan, too, as name=command", pattern=r"[a-z][a-z0-9_-]{0,40}=[^\0]+"
    )
    scan_advisories: str | None = _setting(
        None, "Directory or zip of OSV records in which dependencies are looked up", 1, 4096
    )
