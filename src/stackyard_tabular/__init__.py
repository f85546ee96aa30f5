"""Tables as work: mini-batch SGD on any table, and the four stages of a pipeline, each a measured task of its own.

A guest of the harness: it imports ``stackyard_task.channel``, ``records`` and ``workloads`` only, as any workload may.
NumPy, pandas and scikit-learn are imported where they are used. Python 3.9 and up.
"""
