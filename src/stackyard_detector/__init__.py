"""The reference workload: an LSTM that finds malicious sequences in logs, its readers and a simulator of sessions.

A guest of the harness: it imports ``stackyard_task.channel``, ``records`` and ``workloads`` only, as any workload may.
Python 3.9 and up.
"""
