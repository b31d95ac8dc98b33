"""Scanners: programs and rules that look at a workspace, each behind the port of `runwright.sandbox.scanner`."""
