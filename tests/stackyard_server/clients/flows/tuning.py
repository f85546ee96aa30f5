"""Tuning with Optuna: base task, trials that run here, the best found by its metric."""

import sys

from clearml import Task
from clearml.automation import DiscreteParameterRange, HyperParameterOptimizer
from clearml.automation.optuna import OptimizerOptuna

base = sys.argv[1]
task = Task.init(
    project_name="flows/tuning",
    task_name="search",
    task_type=Task.TaskTypes.optimizer,
    auto_resource_monitoring=False,
)
search = HyperParameterOptimizer(
    base_task_id=base,
    hyper_parameters=[DiscreteParameterRange("General/x", values=[1, 2, 3])],
    objective_metric_title="objective",
    objective_metric_series="value",
    objective_metric_sign="max",
    optimizer_class=OptimizerOptuna,
    execution_queue="unused",
    max_number_of_concurrent_tasks=1,
    total_max_jobs=3,
    pool_period_min=0.02,
    time_limit_per_job=2,
)
search.set_report_period(0.05)
search.start_locally()
search.wait()
best = search.get_top_experiments(top_k=1)
assert best, "no trial"
assert best[0].get_parameters()["General/x"] == "3", best[0].get_parameters()
search.stop()
task.close()
print("OK", best[0].id)
