"""Tuning with Optuna: trials on a queue or as processes here, the best found by its metric."""

import sys

from clearml import Task
from clearml.automation import DiscreteParameterRange, HyperParameterOptimizer
from clearml.automation.optuna import OptimizerOptuna
from optuna.samplers import GridSampler

where, base = sys.argv[1:]
task = Task.init(
    project_name="flows/tuning",
    task_name=f"search {where}",
    task_type=Task.TaskTypes.optimizer,
    auto_resource_monitoring=False,
)
search = HyperParameterOptimizer(
    base_task_id=base,
    hyper_parameters=[DiscreteParameterRange("General/x", values=[1, 2])],
    objective_metric_title="objective",
    objective_metric_series="value",
    objective_metric_sign="max",
    optimizer_class=OptimizerOptuna,
    optuna_sampler=GridSampler({"General/x": [1, 2]}),  # both, so that the best is known
    execution_queue="work",
    max_number_of_concurrent_tasks=1,
    total_max_jobs=2,
    pool_period_min=0.02,
    max_iteration_per_job=10,
    save_top_k_tasks_only=2,
)
search.set_report_period(0.02)
if where == "here":
    search.start_locally()
else:
    search.start()
search.wait()
best = search.get_top_experiments(top_k=2)
found = [trial.get_parameters()["General/x"] for trial in best]
assert found == ["2", "1"], found
assert best[0].parent == task.id
(detail,) = search.get_top_experiments_details(top_k=1)
assert detail["task_id"] == best[0].id, detail
search.stop()
task.flush(wait_for_uploads=True)
task.close()
reported = Task.get_task(task_id=task.id)
assert "objective/value" in reported.get_reported_scalars()
assert {p["metric"] for p in reported.get_reported_plots()}, "the table of the trials"
print("OK", best[0].id)
