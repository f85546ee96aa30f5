"""Our side of Stackyard: scenarios, stacks, launches, reports and the command line.

Runs on Python 3.11 or newer, outside every task. May import ``stackyard_task.records``,
``stackyard_task.workloads`` and ``stackyard_task.metric_sources`` (pure shapes) and nothing else of the task's side.
"""

__version__ = "0.1.0"
