"""Patches and their making: applied to a workspace, and proposed by rules that never guess."""
