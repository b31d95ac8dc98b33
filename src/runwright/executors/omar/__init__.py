"""Remediation loops: patches over a workspace, verified and kept, or put back, by the course that their log tells."""
