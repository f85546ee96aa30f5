"""Scenario files: what they say (shape), how they are read (reading), what they expand to (matrix).

Pure: text in, values out; no clock, file, network or random state. Knows what hardware a run is to have and
the declared workloads and commands of the seam, nothing else: which stacks and deployments exist is told by the caller.
"""

from stackyard.scenarios.matrix import Block, Cell, arranged, cells, declared_of, narrowed, settings_of
from stackyard.scenarios.reading import Known, of_document, read
from stackyard.scenarios.references import (
    References,
    dataset_references,
    files,
    of_inputs,
    prepared_names,
    resolved,
)
from stackyard.scenarios.shape import Choice, Preparation, Scenario, differences, plain

__all__ = [
    "Block",
    "Cell",
    "Choice",
    "Known",
    "Preparation",
    "References",
    "Scenario",
    "arranged",
    "cells",
    "dataset_references",
    "declared_of",
    "differences",
    "files",
    "narrowed",
    "of_document",
    "of_inputs",
    "plain",
    "prepared_names",
    "read",
    "resolved",
    "settings_of",
]
