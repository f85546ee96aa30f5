"""The codes of warnings: how grave each is, and what to do about it."""

from __future__ import annotations

from stackyard.reports.statistics import FEWEST_RUNS

#: Code -> (severity, what to do).
ADVICE: dict[str, tuple[str, str]] = {
    "failed-runs": ("warning", "Read their output.log; verdicts use only the blocks that completed."),
    "left-level": (
        "warning",
        "Look at its timeline: a leak, a neighbour, or a loader that fell behind changes what is compared.",
    ),
    "stopped-runs": (
        "note",
        "They are in no figure: what a run used until it was stopped says nothing about a whole one.",
    ),
    "unreadable-runs": ("warning", "Run again with --resume: runs without a readable record are made again."),
    "unreadable-files": (
        "warning",
        "The report goes without them: restore them, or make their runs again.",
    ),
    "missing-runs": ("warning", "The matrix is not finished: continue it with --resume."),
    "not-runnable": ("note", "These cells are left out, never estimated; the reason says what they need."),
    "too-few-runs": ("warning", f"Raise --repeats: a verdict needs at least {FEWEST_RUNS} blocks."),
    "bimodal": (
        "warning",
        "The runs fall into two groups: look for a cause (cache, placement) before averaging.",
    ),
    "busy-machine": ("warning", "Other processes used the machine: stop them and repeat, or add blocks."),
    "throttled": (
        "note",
        "The CPU quota held the run back as asked; fewer threads than the quota avoid waiting.",
    ),
    "clock-jump": (
        "warning",
        "The clock was set during a run; durations here use a monotonic clock and stand.",
    ),
    "drift": (
        "warning",
        "The machine changed over the matrix; compare within blocks only, as the ratios do.",
    ),
    "slow-first-block": ("note", "Caches were cold in the first block; add a warm-up run to the scenario."),
    "slow-after-warm-up": (
        "note",
        "A warm-up run was made and did not suffice: make more of them, or look for what settled meanwhile.",
    ),
    "method-differs": (
        "warning",
        "Compare these figures with care: they were not measured the same way. One matrix with a container "
        "in it measures all its runs alike.",
    ),
    "infrastructure-failures": (
        "warning",
        "These say nothing about the workload: --resume makes them again once the cause is mended.",
    ),
    "retried-starts": (
        "note",
        "The infrastructure lost these starts and made them again; figures are of the last.",
    ),
    "summed-over-workers": (
        "note",
        "Their peaks need not fall together: the true peak of the whole is at most this sum.",
    ),
    "no-stack": (
        "note",
        "What they loaded is not pinned: to repeat it elsewhere, run on a stack.",
    ),
    "stack-pin-missing": (
        "warning",
        "Build the stack from its lock: without a digest the run cannot be repeated.",
    ),
    "stack-differs": ("warning", "One stack name had several locks: rebuild it and run all cells again."),
    "dirty-code": ("warning", "Commit before measuring: these runs used code that no commit holds."),
    "code-differs": ("warning", "The code changed between runs: run all cells again with one version."),
    "environment-differs": (
        "warning",
        "What was loaded changed between runs of one cell: run the cell again.",
    ),
    "parameters-differ": ("warning", "Runs of one cell had different parameters: they are not repetitions."),
    "several-machines": (
        "note",
        "Ratios between machines are unpaired and include the machines' difference.",
    ),
    "results-differ": ("warning", "The cells did not do quite the same: check quality before speed."),
    "values-left-out": (
        "warning",
        "Look at the calls of the channel: a step takes a finite number of seconds from 0 up; "
        "docs/workloads.md has the rest.",
    ),
    "run-notes": ("note", "The records say so themselves; look at the runs' output."),
    "undivided-work": (
        "warning",
        "Let the function use its parameters shard and shards, or leave the axis workers away: "
        "each worker does the whole work.",
    ),
    "wide-memory-bounds": (
        "warning",
        "The true peak lies between the recorded bounds; see docs/measuring.md.",
    ),
    "costly-measuring": ("note", "Measuring used more than 2 % of the run's CPU; lengthen the run."),
    "short-runs": (
        "note",
        "Compare the steady phase, or lengthen the run: docs/short-runs.md says when a short one predicts a long one.",
    ),
    "comparisons-left-out": (
        "note",
        "Give the folders of fewer cells, or plan fewer: time and memory would grow with the square of their number.",
    ),
    "results-left-out": ("note", "Write what is long into a file of the run; a record is for figures."),
    "duplicate-records": ("note", "The same run was given twice; the copy was left out."),
}
