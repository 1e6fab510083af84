"""What the server tells Prometheus: `/metrics`, in the text format that it scrapes."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ukdsl_assets.serving.http.models import Models

# Seconds; a page of twelve modules is answered below the second of them.
BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counters and histograms of requests and logs, and what the models say of themselves when they are asked."""

    def __init__(self, models: Models) -> None:
        # Else every counter would stand there twice.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "ukdsl_request_seconds",
            "From the first byte of a request to its answer.",
            ("route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge("ukdsl_requests_in_flight", "Requests that are being answered.", registry=self.registry)
        self.rows = Counter(
            "ukdsl_rows", "Candidates that were scored.", ("cascade", "student"), registry=self.registry
        )
        self.fallback = Counter(
            "ukdsl_fallback",
            "Pages that were answered in the static order.",
            ("cascade", "why"),
            registry=self.registry,
        )
        self.relaxed = Counter(
            "ukdsl_relaxed", "Pages on which a rule had to give way.", ("cascade",), registry=self.registry
        )
        self.explored = Counter(
            "ukdsl_explored", "Pages that chance had a part in.", ("cascade",), registry=self.registry
        )
        self.log_rows = Counter("ukdsl_log_rows", "Rows of logs that were written.", ("log",), registry=self.registry)
        self.log_dropped = Counter(
            "ukdsl_log_dropped", "Pages and events that are not in the logs.", ("log", "why"), registry=self.registry
        )
        self.registry.register(_OfModels(models))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def text(self) -> bytes:
        """The page that is scraped."""
        return generate_latest(self.registry)


class _OfModels(Collector):
    """Versions, unknown ids and drift, read of the models when the page is asked for."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        of = ["cascade", "student"]
        info = InfoMetricFamily("ukdsl_model", "The checkpoint that answers.", labels=of)
        loaded = GaugeMetricFamily("ukdsl_model_loaded", "1 where a model answers, 0 where none does.", labels=of)
        behind = GaugeMetricFamily("ukdsl_model_behind", "1 where another version is released.", labels=of)
        shift = GaugeMetricFamily(
            "ukdsl_input_shift",
            "Mean of a number minus training's, in training's standard deviations; of the last 8,192 rows.",
            labels=[*of, "feature", "place"],
        )
        missing = GaugeMetricFamily(
            "ukdsl_missing_share",
            "Share of a feature's values that are missing; likewise.",
            labels=[*of, "feature", "place"],
        )
        unknown = GaugeMetricFamily(
            "ukdsl_unknown_id_share",
            "Share of a feature's ids that training did not see; likewise.",
            labels=[*of, "feature"],
        )
        mean = GaugeMetricFamily("ukdsl_mean_prediction", "Mean probability; likewise.", labels=[*of, "head"])
        ids = CounterMetricFamily("ukdsl_ids", "Ids that were given to the model.", labels=[*of, "feature"])
        strangers = CounterMetricFamily(
            "ukdsl_unknown_ids", "Those that training did not see.", labels=[*of, "feature"]
        )
        current = self._models.current
        for key in self._models.keys:
            model, released = current.get(key), self._models.standing[key].released
            loaded.add_metric(key, float(model is not None))
            behind.add_metric(key, float(released is not None and (model is None or model.version != released)))
            if model is None:
                continue
            about = model.student.metadata
            info.add_metric(key, {"version": about.version, "day": about.day, "arm": about.arm})
            for figure in model.monitor.figures():
                if figure.missing is not None:
                    missing.add_metric((*key, figure.feature, figure.place), figure.missing)
                if figure.shift is not None:
                    shift.add_metric((*key, figure.feature, figure.place), figure.shift)
                if figure.unknown is not None:
                    unknown.add_metric((*key, figure.feature), figure.unknown)
            for head, value in model.monitor.mean_predictions().items():
                mean.add_metric((*key, head), value)
            for feature, (given, new) in model.monitor.ids.items():
                ids.add_metric((*key, feature), given)
                strangers.add_metric((*key, feature), new)
        swaps = CounterMetricFamily("ukdsl_swaps", "Models that took the place of what answered.")
        swaps.add_metric([], self._models.swaps)
        yield from (info, loaded, behind, shift, missing, unknown, mean, ids, strangers, swaps)
