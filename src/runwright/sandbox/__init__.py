"""The sandbox of commands: what is made, watched and ended around a process, whoever asked for it."""
