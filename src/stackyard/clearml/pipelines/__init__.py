"""Pipelines: steps that are tasks on queues, wired by what they leave, run by ClearML's own controller.

``definition`` (a pipeline file -> steps in order; pure), ``changes`` (what code and data a run is made of, and how
two runs differ; pure but for reading files), ``runs`` (as a server has them), ``submission`` (templates, wiring, the
controller's task), ``controller`` (the controller as a process of this machine), ``watching`` (how a run stands). The
other half is ``stackyard_task.clearml_pipeline``. May import scenarios, tasks, sending, the client and the records of
the seam.
"""

from stackyard.clearml.pipelines.definition import Pipeline, Step, read

__all__ = ["Pipeline", "Step", "read"]
