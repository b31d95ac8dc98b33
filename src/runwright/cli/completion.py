"""`runwright completion`: what makes a shell complete our commands."""

import sys
from typing import Literal

from runwright.cli.main import app


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script that completes commands and options in a shell.

    bash: `runwright completion bash > ~/.local/share/bash-completion/completions/runwright`; zsh: the same to a file
    `_runwright` in a directory of `$fpath`; fish: to `~/.config/fish/completions/runwright.fish`. Or for one session of
    bash: `source <(runwright completion bash)`.

    Example: `runwright completion bash`
    """
    sys.stdout.write(app.generate_completion(prog_name="runwright", shell=shell).rstrip() + "\n")
