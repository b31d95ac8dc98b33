"""The settings of a process: the table, and the values that hold here."""

from runwright.config.setting import PREFIX, Setting
from runwright.config.sources import archive_max_bytes, is_safe_url, load
from runwright.config.table import SETTINGS, Settings

__all__ = ["PREFIX", "SETTINGS", "Setting", "Settings", "archive_max_bytes", "is_safe_url", "load"]
