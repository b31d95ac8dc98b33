"""A scrape as Prometheus reads it: every sample by its name and labels."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from runwright.engine.engine import Engine
from runwright.observability.metrics import Metrics


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of one sample, or None where there is none."""
        return self._samples.get((name, tuple(sorted(labels.items()))))

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of all samples of a name, by the values of their labels."""
        return {
            tuple(value for _, value in labels): found for (own, labels), found in self._samples.items() if own == name
        }


async def scrape(metrics: Metrics) -> Scrape:
    """Scrape in this process."""
    page, _ = await metrics.page(None)
    return Scrape(page.decode())


def watch(engine: Engine, **given: Any) -> Metrics:
    """Count what an engine does."""
    return Metrics(engine, **{"streams_open": lambda: 0, "queues_max": 100, **given})
