"""The guest's declared workloads."""

import stackyard_detector
from tests.declared import workloads

WORKLOADS = workloads(stackyard_detector)
