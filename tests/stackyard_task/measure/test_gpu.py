"""The GPU meter against a simulated NVML: a small C library, compiled here, with one made-up device.

What a real GPU does is not tested by this; the calls, the choice of method and the absent cases are.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

pytest.importorskip("pynvml", reason="nvidia-ml-py is not in this Python")
SOURCE = Path(__file__).resolve().parents[3] / "src"

LIBRARY = r"""
#include <string.h>
#include <stdlib.h>
typedef struct { unsigned int pid; unsigned long long used; unsigned int gi, ci; } process_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } rates_t;
typedef struct {
  unsigned int gpu, memory;
  unsigned long long peak, time, start;
  unsigned int running, reserved[5];
} stats_t;
static int ok(const char *name) {
  const char *fail = getenv("FAKE_FAIL");
  return fail && strstr(fail, name) ? 3 : 0; }
int nvmlInit_v2(void) { return ok("init") ? 9 : 0; }
int nvmlInitWithFlags(unsigned int f) { return ok("init") ? 9 : 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return "simulated"; }
int nvmlSystemGetDriverVersion(char *v, unsigned int n) { strncpy(v, "999.1 simulated", n); return 0; }
int nvmlDeviceGetCount_v2(unsigned int *n) { *n = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int i, void **h) { *h = (void *)1; return i ? 2 : 0; }
int nvmlDeviceGetName(void *h, char *v, unsigned int n) { strncpy(v, "Simulated GPU", n); return 0; }
int nvmlDeviceGetUUID(void *h, char *v, unsigned int n) { strncpy(v, "GPU-simulated", n); return 0; }
int nvmlDeviceGetMemoryInfo(void *h, memory_t *m) { m->total = 1000; m->used = 400; m->free = 600; return 0; }
int nvmlDeviceGetAccountingMode(void *h, unsigned int *m) {
  *m = getenv("FAKE_ACCOUNTING") ? 1 : 0; return 0; }
int nvmlDeviceGetAccountingStats(void *h, unsigned int pid, stats_t *s) {
  memset(s, 0, sizeof *s);
  if (pid != 4242) return 6;
  s->peak = 900; return 0; }
int nvmlDeviceGetTotalEnergyConsumption(void *h, unsigned long long *e) {
  static unsigned long long now = 5000; *e = now; now += 2500; return ok("energy"); }
int nvmlDeviceGetUtilizationRates(void *h, rates_t *r) {
  static unsigned int now = 20; r->gpu = now; now += 40; return ok("rates"); }
static int running(unsigned int *n, process_t *p) {
  if (ok("processes")) return 3;
  if (!p || *n < 2) { *n = 2; return 7; }
  *n = 2; memset(p, 0, 2 * sizeof *p);
  p[0].pid = 4242; p[0].used = 300; p[1].pid = 1; p[1].used = 77; return 0; }
int nvmlDeviceGetComputeRunningProcesses(void *h, unsigned int *n, process_t *p) { return running(n, p); }
int nvmlDeviceGetComputeRunningProcesses_v2(void *h, unsigned int *n, process_t *p) { return running(n, p); }
int nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned int *n, process_t *p) { return running(n, p); }
"""

SCRIPT = """
import dataclasses, json
from stackyard_task.measure.gpu import GpuMeter
meter = GpuMeter()
meter.sample({4242})
meter.sample({4242})
print(json.dumps({"driver": meter.driver, "uses": [dataclasses.asdict(use) for use in meter.finish({4242})]}))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the simulated NVML with")
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(LIBRARY, encoding="ascii")
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-Wl,-soname,libnvidia-ml.so.1",
        "-o",
        "libnvidia-ml.so.1",
        "nvml.c",
    ]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def metered(library: Path, **variables: str) -> Dict[str, Any]:
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(library),
        "PYTHONPATH": str(SOURCE),
        "STACKYARD_NVML": "1",
    }
    environment.update(variables)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    found: Dict[str, Any] = json.loads(done.stdout)
    return found


def test_sampled_memory_is_that_of_our_processes_alone(library: Path) -> None:
    found = metered(library)
    assert found["driver"] == "999.1 simulated"
    (use,) = found["uses"]
    assert (use["index"], use["name"], use["uuid"]) == (0, "Simulated GPU", "GPU-simulated")
    assert (use["peak_memory_bytes"], use["peak_memory_method"]) == (300, "nvml sampled")
    assert (use["utilisation_percent_mean"], use["utilisation_percent_max"]) == (40.0, 60.0)
    assert use["energy_joules"] == 2.5


def test_accounting_is_preferred_where_it_is_enabled(library: Path) -> None:
    (use,) = metered(library, FAKE_ACCOUNTING="1")["uses"]
    assert (use["peak_memory_bytes"], use["peak_memory_method"]) == (900, "nvml accounting")


def test_what_a_device_cannot_say_is_none(library: Path) -> None:
    (use,) = metered(library, FAKE_FAIL="energy,rates,processes")["uses"]
    for name in ("peak_memory_bytes", "peak_memory_method", "utilisation_percent_mean", "energy_joules"):
        assert use[name] is None


def test_a_driver_that_does_not_answer_is_no_gpu(library: Path) -> None:
    assert metered(library, FAKE_FAIL="init") == {"driver": None, "uses": []}


def test_without_a_driver_nothing_is_loaded(library: Path) -> None:
    assert metered(library, STACKYARD_NVML="0") == {"driver": None, "uses": []}
