"""Sources of sessions: files on disk -> a stream of ``Session``. What the workloads read with.

One noun a file: ``source`` (settings), ``files`` (numbered lines), ``sequences``, ``table``, ``json_lines``,
``key_value``, ``lines`` + ``templates`` (raw text), ``observations`` and ``grouping`` (rows -> sessions),
``addresses``, ``instants``, ``quarantine``, ``reading`` (the door). Nothing here knows a model, measures or
reaches out. Standard library at import; drain3 is imported by ``templates`` where raw lines are read.
"""

from stackyard_detector.readers.quarantine import Quarantine, QuarantineLimit
from stackyard_detector.readers.reading import data_checksum, fit_templates, read_sessions, wants_templates
from stackyard_detector.readers.templates import UNMATCHED, EventTemplates

__all__ = [
    "UNMATCHED",
    "EventTemplates",
    "Quarantine",
    "QuarantineLimit",
    "data_checksum",
    "fit_templates",
    "read_sessions",
    "wants_templates",
]
