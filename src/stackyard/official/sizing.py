"""How much memory each container may take, from what the machine has. Pure.

The limits together are less than the machine: what is left is the page cache, which Elasticsearch and MongoDB read
through, and the system.
"""

from __future__ import annotations

from stackyard.errors import NotRunnableError

#: ClearML's documentation asks for 8 GB; a machine sold with 8 GB shows a little less.
SMALLEST_MB = 7400
#: Share of the memory and the most that helps, MiB: docs/official-server.md says why.
SHARES = {
    "ELASTIC_LIMIT_MB": (0.38, 32768),
    "MONGO_LIMIT_MB": (0.18, 16384),
    "APISERVER_LIMIT_MB": (0.14, 8192),
    "FILESERVER_LIMIT_MB": (0.06, 2048),
    "REDIS_LIMIT_MB": (0.04, 2048),
    "PROMETHEUS_LIMIT_MB": (0.04, 2048),
    "AGENT_LIMIT_MB": (0.10, 8192),
    "WEBSERVER_LIMIT_MB": (0.02, 512),
    "FRONT_LIMIT_MB": (0.02, 512),
}


def sizes(memory_mb: int) -> dict[str, str]:
    """The variables of ``.env`` that are sizes.

    Args:
        memory_mb: what the server may use of the machine, MiB.

    Raises:
        NotRunnableError: that is too little for Elasticsearch, MongoDB and the API server together.
    """
    if memory_mb < SMALLEST_MB:
        raise NotRunnableError(
            f"the official server needs at least {SMALLEST_MB} MiB of memory and was given {memory_mb}; "
            "on a smaller machine use the embedded server: stackyard server start"
        )
    found = {name: min(int(memory_mb * share), most) for name, (share, most) in SHARES.items()}
    # Elastic's rule: half of what the process may have is heap, the rest is for what it maps.
    found["ELASTIC_HEAP_MB"] = found["ELASTIC_LIMIT_MB"] // 2
    values = {name: str(value) for name, value in found.items()}
    # MongoDB's own rule (half of what is there without 1 GB) counts the whole machine as its own.
    values["MONGO_CACHE_GB"] = f"{max(0.25, found['MONGO_LIMIT_MB'] * 0.45 / 1024):.2f}"
    values["REDIS_MEMORY_MB"] = str(found["REDIS_LIMIT_MB"] * 2 // 3)
    return values


def memory_of_machine(meminfo: str) -> int:
    """MiB of memory, from the text of /proc/meminfo."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    raise NotRunnableError("/proc/meminfo does not say how much memory there is; say it with --memory-mb")
