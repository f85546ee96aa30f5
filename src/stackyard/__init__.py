"""Our side of Stackyard: scenarios, stacks, launches, reports and the command line.

Runs on Python 3.11 or newer, outside every task. Of the task's side it imports what is pure: shapes, names, what lies
below a folder. ``docs/architecture.md`` lists those modules; the gate alone imports one more.
"""

__version__ = "0.1.0"
