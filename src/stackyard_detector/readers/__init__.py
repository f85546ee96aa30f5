"""Sources of sessions: files on disk -> a stream of ``Session``. What the workloads read with.

One noun a file. Settings: ``source``, ``format_settings``, ``setting_values``, ``presets``. Bytes: ``packed``,
``files`` (numbered lines), ``blocks`` (some thousand lines). Formats: ``sequences``; by columns ``table`` and
``json_lines`` (with ``json_documents`` and ``fields``); line by line ``text_rows`` and what it reads with. Then
``batches`` of rows -> ``observations`` (with ``names``, ``addresses``, ``time_columns``, ``instants`` and
``time_formats``) -> ``grouping`` (with ``kept_rows``) -> sessions. ``quarantine``; ``reading`` (the door). Nothing
here knows a model, measures or reaches out. Standard library at import: NumPy and orjson are imported where a
file is read.
"""

from stackyard_detector.readers.quarantine import Quarantine, QuarantineLimit
from stackyard_detector.readers.reading import data_checksum, fit_templates, read_sessions, wants_templates
from stackyard_detector.readers.remarks import event_remarks
from stackyard_detector.readers.templates import UNMATCHED, EventTemplates

__all__ = [
    "UNMATCHED",
    "EventTemplates",
    "Quarantine",
    "QuarantineLimit",
    "data_checksum",
    "event_remarks",
    "fit_templates",
    "read_sessions",
    "wants_templates",
]
