"""What can be run, and the code that a run executes.

``catalogue`` knows the declared workloads (read by ``declarations``) and finds functions of the user's own (``own``);
``snapshot`` is the copy of their code for a whole matrix, ``wheel`` the same for a server. Knows no launcher, no
scenario and no server, and imports no workload.
"""

from stackyard.workloads.catalogue import Catalogue, load

__all__ = ["Catalogue", "load"]
