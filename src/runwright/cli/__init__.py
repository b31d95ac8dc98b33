"""The command line: one file per command group. It talks to the server through `client`.

`main` maps commands to files by import strings, so that a command loads only its own file: client commands import
neither the server nor a database.
"""
