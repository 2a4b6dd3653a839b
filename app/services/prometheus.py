"""The node's metrics as Prometheus text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import GC_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app import __version__
from app.services.supervisor import states
from app.views.metrics import Metric, read_metrics
from storage.engine import Database


class _Node(Collector):
    def __init__(self, db: Database) -> None:
        self._db = db

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._db.snapshot() as snapshot:
            found = read_metrics(snapshot, Path(self._db.path))
        found.append(Metric("spoke_info", "The program.", 1, {"version": __version__}))
        for one in states.values():
            running = one.state == "running"
            found.append(Metric("spoke_service_up", "1 while a service runs.", running, {"service": one.name}))
        families: dict[str, GaugeMetricFamily] = {}
        for metric in found:
            family = families.get(metric.name)
            if family is None:
                family = families[metric.name] = GaugeMetricFamily(metric.name, metric.help, labels=list(metric.labels))
            family.add_metric(list(metric.labels.values()), metric.value)
        yield from families.values()


def exposition(db: Database) -> bytes:
    """Everything that is measured now: the node's own, and those of its process."""
    registry = CollectorRegistry()
    registry.register(_Node(db))
    for collector in (PROCESS_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    return generate_latest(registry)
