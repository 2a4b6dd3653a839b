"""Metrics as Prometheus text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import GC_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from app import __version__
from app.services.supervisor import restarts, states
from app.views.metrics import BY_NAME, Metric, disk_free, read_hub_file, read_hub_tenant, read_metrics
from storage.engine import Database
from storage.engine.durations import BOUNDS_S, Durations
from sync.calls.counting import counts

if TYPE_CHECKING:
    from sync.hub.server import Hub


class _Given(Collector):
    def __init__(self, found: Iterable[Metric], commits: Iterable[Durations]) -> None:
        self._found = found
        self._commits = commits

    def collect(self) -> Iterator[Family]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for metric in self._found:
            family = families.get(metric.name)
            if family is None:
                declared = BY_NAME[metric.name]
                kind = CounterMetricFamily if declared.type == "counter" else GaugeMetricFamily
                family = families[metric.name] = kind(metric.name, declared.help, labels=declared.labels)
            family.add_metric([metric.labels[name] for name in BY_NAME[metric.name].labels], metric.value)
        yield from families.values()
        yield _histogram("spoke_commit_seconds", self._commits)


def _histogram(name: str, parts: Iterable[Durations]) -> HistogramMetricFamily:
    counted, total_s = [0] * (len(BOUNDS_S) + 1), 0.0
    for part in parts:
        counted = [one + more for one, more in zip(counted, part.counts, strict=True)]
        total_s += part.total_s
    below = [sum(counted[: end + 1]) for end in range(len(counted))]
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    return HistogramMetricFamily(
        name, BY_NAME[name].help, buckets=list(zip(bounds, below, strict=True)), sum_value=total_s
    )


def _process() -> Iterator[Metric]:
    yield Metric("spoke_info", 1, {"version": __version__})
    for one in list(states.values()):
        yield Metric("spoke_service_up", one.state == "running", {"service": one.name})
        yield Metric("spoke_service_restarts_total", restarts[one.name], {"service": one.name})
    for (operation, outcome), count in sorted(counts().items()):
        yield Metric("spoke_calls_total", count, {"operation": operation, "outcome": outcome})


def _exposition(found: Iterable[Metric], commits: Iterable[Durations]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Given(found, commits))
    for collector in (PROCESS_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    return generate_latest(registry)


def node_exposition(db: Database) -> bytes:
    """Everything that a node measures now, and its process."""
    with db.snapshot() as snapshot:
        found = read_metrics(snapshot, Path(db.path), db.clock(), db.max_bytes)
    return _exposition([*_process(), *found], [db.commits])


def hub_exposition(hub: Hub, folder: Path) -> bytes:
    """Everything that a hub measures now, and its process; of the tenants whose files are open."""
    found = [*_process(), Metric("spoke_hub_disk_free_bytes", disk_free(folder))]
    connected = Counter(presence.peer.tenant for presence in list(hub.present.values()))
    tenants = dict(hub.tenants)
    for slug, db in sorted(tenants.items()):
        with db.snapshot() as snapshot:
            found += read_hub_tenant(snapshot, slug, connected[slug])
            found += read_hub_file(snapshot, Path(db.path), db.max_bytes)
    with hub.system.snapshot() as snapshot:
        found += read_hub_file(snapshot, Path(hub.system.path))
    return _exposition(found, [db.commits for db in (hub.system, *tenants.values())])
