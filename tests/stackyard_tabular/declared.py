"""The guest's declared workloads."""

import stackyard_tabular
from tests.declared import workloads

WORKLOADS = workloads(stackyard_tabular)
