"""The bodies of verbs that move a run on."""

from __future__ import annotations

import msgspec

from runwright.domain.presets import PresetName
from runwright.errors import InvalidRequest


class RestartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With which preset a run of the mode `process` goes on; `machine_preset` is its other name."""

    preset: PresetName | None = None
    machine_preset: PresetName | None = None

    def wanted(self) -> PresetName | None:
        """Return the preset that was named. Raises `InvalidRequest` for two that differ."""
        if None not in (self.preset, self.machine_preset) and self.preset != self.machine_preset:
            raise InvalidRequest.at("machine_preset", "says another preset than preset")
        return self.preset or self.machine_preset
