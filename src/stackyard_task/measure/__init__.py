"""What the process tree of a run used: time, CPU, memory, disk, GPU, energy; and where it ran.

One noun per file; ``sampler`` ties them together for ``run``. Standard library only, except ``gpu``
(pynvml, imported there when a GPU is present). Nothing here is imported by the child, and nothing here
imports ``run``. ``docs/measuring.md`` says what each figure means and how it is got.
"""
