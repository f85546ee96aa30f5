"""The value a report is: options in, and everything the outputs say, as plain data with a JSON form.

Shapes only; ``analysis`` fills them and the outputs print them. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

API_VERSION = 1


@dataclass(frozen=True)
class OwnMetric:
    """A result that is compared as a measured quantity is."""

    #: Its name among the results.
    name: str
    label: str
    meaning: str
    #: "s", "B", "%", "J", "1/s", or empty for a plain number.
    unit: str = ""
    #: As of a measured metric; headlines speak of those of the group "own".
    group: str = "own"
    #: Whether less of it is better; ``None``: nobody said, so no cell is called the best.
    less_is_better: bool | None = None


@dataclass(frozen=True)
class ReportOptions:
    """What the reader may choose."""

    #: Ratios within [1/margin, margin] count as the same.
    parity_margin: float = 1.05
    confidence: float = 0.95
    #: Bootstrap draws.
    draws: int = 10_000
    #: Permutations of the factor analysis.
    permutations: int = 4_999
    seed: int = 20_261
    #: Axis -> value of the cell the others are compared with; ``None``: the first of the plan.
    baseline: Mapping[str, str] | None = None
    #: Results that are compared too.
    own: tuple[OwnMetric, ...] = ()
    #: Keys of the metrics to compare, the foremost first; ``None``: all that were measured.
    only: tuple[str, ...] | None = None


@dataclass
class MetricNote:
    """A metric the records hold."""

    key: str
    label: str
    unit: str
    group: str
    meaning: str
    less_is_better: bool | None


@dataclass
class CellSummary:
    """One metric in one cell."""

    n: int
    median: float
    minimum: float
    maximum: float
    low: float | None
    high: float | None
    mean: float
    mean_low: float | None
    mean_high: float | None
    #: The values behind it, in order of start.
    values: list[float]


@dataclass
class CellResult:
    """One result of the workload (not a cost) in one cell: numbers as extremes, texts as the set seen."""

    n: int
    median: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    texts: list[str] = field(default_factory=list)


@dataclass
class CellReport:
    """One cell."""

    slug: str
    label: str
    axes: dict[str, str]
    completed: int
    failed: int
    warm_up: int
    metrics: dict[str, CellSummary]
    results: dict[str, CellResult]
    #: What the runs kept busy, in words; ``None`` where CPU use was not measured.
    bound: str | None
    #: Runs that were stopped at a criterion; in no figure.
    stopped: int = 0


@dataclass
class Comparison:
    """One metric in cell ``other`` over the same in cell ``reference``."""

    metric: str
    reference: str
    other: str
    #: The one axis in which the cells differ; ``None``: several (a comparison with the baseline).
    axis: str | None
    #: What both cells share, as a label; empty where nothing else varies.
    setting: str
    n: int
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str
    more_runs: int | None
    pairing: str
    reason: str | None
    sentence: str
    #: Other minus reference, in the metric's unit, where values of 0 or less leave no ratio.
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


@dataclass
class Best:
    """The cell with the least of a metric; of a metric of which more is better, the most."""

    metric: str
    cell: str
    #: Cells that cannot be told from it.
    not_separable: list[str]
    sentence: str


@dataclass
class FactorEffect:
    """How much of the variation one factor or interaction explains."""

    term: str
    factors: list[str]
    sum_of_squares: float
    degrees_of_freedom: float
    omega_squared: float
    p: float
    p_holm: float


@dataclass
class FactorReport:
    """The factor analysis of one metric."""

    metric: str
    cells: int
    runs: int
    effects: list[FactorEffect]
    #: Share of differences between blocks (drift of the machine), and what is left over.
    block_share: float
    residual_share: float
    #: Cells and blocks not in the fully crossed sub-matrix, in words.
    left_out: list[str]
    finding: str | None
    #: "version dominance" where the stack explains most; else ``None``.
    finding_name: str | None = None


@dataclass
class AmdahlReport:
    """T(p) = T1 (s + (1 - s) / p) fitted to one metric over an axis of cores."""

    metric: str
    axis: str
    setting: str
    cores: list[float]
    medians: list[float]
    serial_fraction: float
    low: float | None
    high: float | None
    greatest_speedup: float | None
    left_out: list[str]
    sentence: str


@dataclass
class SettingRatio:
    """One deployment over another in one setting of everything else."""

    setting: str
    n: int
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str


@dataclass
class ParityReport:
    """One metric in deployment ``other`` over ``reference`` at fixed stack, hardware and all else."""

    metric: str
    reference: str
    other: str
    settings: list[SettingRatio]
    #: Over all settings: within each block their geometric mean, then the median over blocks.
    n: int
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str
    sentence: str


@dataclass
class VarianceShares:
    """What stack and deployment explain of a metric's variation (omega-squared)."""

    metric: str
    stack: float
    deployment: float
    #: Their interaction: a deployment's effect that depends on the stack.
    together: float | None
    sentence: str


@dataclass
class FailureCount:
    """How many runs failed for one kind of reason."""

    kind: str
    runs: int
    #: Whether that says nothing about the workload.
    infrastructure: bool


@dataclass
class Headline:
    """One sentence for the top of the report."""

    #: A verdict of ``statistics``, "mixed" (settings disagree), or "fact".
    verdict: str
    text: str
    metric: str | None = None
    axis: str | None = None
    #: What the compared cells share, where more varies than the axis.
    setting: str = ""


@dataclass
class WorkloadReport:
    """Everything said about one workload."""

    name: str
    program: str
    baseline: str | None
    headlines: list[Headline]
    cells: list[CellReport]
    comparisons: list[Comparison]
    fastest: Best | None
    leanest: Best | None
    #: Slugs of cells no other cell beats in wall time, peak RAM and GPU memory at once (by medians).
    pareto: list[str]
    pareto_metrics: list[str]
    factors: list[FactorReport]
    amdahl: list[AmdahlReport]
    #: Names of the results the cells disagree on.
    results_differing: list[str]
    #: What is not compared because it would be too much, in words.
    left_out: list[str]
    #: Deployments against each other; empty where only one took part.
    parities: list[ParityReport] = field(default_factory=list)
    shares: list[VarianceShares] = field(default_factory=list)
    #: The best cell by each result that is compared and whose direction was said.
    best: list[Best] = field(default_factory=list)
    #: For one whose cells began anew when something changed: a sentence that says of what it is another version.
    since: str | None = None


@dataclass
class FailedRun:
    """A run that did not complete."""

    folder: str
    workload: str
    cell: str
    block: int | None
    kind: str
    message: str


@dataclass
class StoppedRun:
    """A run that was stopped at a criterion."""

    folder: str
    workload: str
    cell: str
    block: int | None
    criterion: str
    message: str
    #: Since its start.
    at_seconds: float


@dataclass
class MissingCell:
    """A planned cell that was not runnable."""

    axes: dict[str, str]
    reason: str


@dataclass
class Warning:
    """Something a reader should know before believing a number."""

    #: A stable name, listed in ``warning_codes.ADVICE``.
    code: str
    #: "warning" or "note".
    severity: str
    message: str
    advice: str
    cells: list[str] = field(default_factory=list)


@dataclass
class EnvironmentRow:
    """One fact about where runs happened: its values and how many runs had each."""

    name: str
    values: dict[str, int]
    #: Value -> the cells that had it, in words; empty where there is one value, or the value says it.
    cells: dict[str, list[str]] = field(default_factory=dict)

    def where(self, value: str) -> str:
        """Behind the number of runs: ``": fit, fit.2"``, or nothing."""
        return ": " + ", ".join(self.cells[value]) if self.cells.get(value) else ""


@dataclass
class TimelineOf:
    """The timeline of one run."""

    folder: str
    workload: str
    cell: str
    block: int | None
    timeline: dict[str, Any]


@dataclass
class Report:
    """Everything a report says."""

    title: str
    name: str
    sources: list[str]
    hosts: list[str]
    started_at: str | None
    finished_at: str | None
    options: ReportOptions
    axes: dict[str, list[str]]
    constant: dict[str, str]
    #: Runs: read, completed, stopped, failed, warm_up, planned (or None), unreadable, duplicates.
    counts: dict[str, int | None]
    metrics: list[MetricNote]
    workloads: list[WorkloadReport]
    warnings: list[Warning]
    failed: list[FailedRun]
    unreadable: list[dict[str, str]]
    not_runnable: list[MissingCell]
    environment: list[EnvironmentRow]
    #: How things were measured: what -> method -> runs.
    methods: list[EnvironmentRow]
    #: One flat row per run, every field of the record.
    rows: list[dict[str, Any]]
    timelines: list[TimelineOf]
    #: Two sentences on intervals and verdicts.
    footnote: str
    #: Keys of the metrics that headlines and the tables of ratios speak of, the foremost first.
    headline: list[str] = field(default_factory=list)
    failures: list[FailureCount] = field(default_factory=list)
    #: Starts that the infrastructure lost and that were made again.
    retries: int = 0
    stopped: list[StoppedRun] = field(default_factory=list)
    api_version: int = API_VERSION

    def metric(self, key: str) -> MetricNote:
        """The note of a metric by its key."""
        return next(metric for metric in self.metrics if metric.key == key)
