"""The readers' door: data as a scenario describes it -> sessions, and a checksum of what was read.

Imports the readers, one per format; nothing else of the package but channel and sessions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional

from stackyard_detector.readers.batches import BadLines
from stackyard_detector.readers.files import opened
from stackyard_detector.readers.grouping import sessions_of
from stackyard_detector.readers.key_labels import key_labels, labelled
from stackyard_detector.readers.masks import MASKS
from stackyard_detector.readers.names import Names
from stackyard_detector.readers.observations import observations
from stackyard_detector.readers.packed import broken
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.sequences import csv_sequence_sessions, sequence_sessions
from stackyard_detector.readers.source import Source, checked_sources
from stackyard_detector.readers.templates import EventTemplates
from stackyard_detector.readers.text_rows import messages
from stackyard_detector.sessions import Session
from stackyard_task.channel import BadInput


def read_sessions(
    data: Mapping[str, Any], quarantine: Quarantine, templates: Optional[EventTemplates] = None
) -> Iterator[Session]:
    """The sessions of all sources of ``data``, one source after the other, as a stream.

    Args:
        data: {"sources": [{"path", "format", ...}]}; the keys of a source are in ``docs/data.md``.
        quarantine: takes the corrupt lines; call its ``finish`` when the stream has ended.
        templates: for raw lines: the template set to match with (at inference the one saved with the model,
            at training what ``fit_templates`` gave). ``None``: the source's ``templates_path``, else a set
            fitted on the source itself, which only this call knows.

    Raises:
        BadInput: (at once) settings that are not allowed; (while reading) a file that is missing, empty, not
            what its format says, or without a single session.
        QuarantineLimit: more corrupt lines than the user allows.
    """
    return _read(checked_sources(data), quarantine, templates)


def _read(
    sources: List[Source], quarantine: Quarantine, templates: Optional[EventTemplates]
) -> Iterator[Session]:
    for source in sources:
        count = 0
        bad_before = quarantine.count
        sessions = _sessions(source, quarantine, templates)
        for count, session in enumerate(itertools.islice(sessions, source.max_sessions), 1):  # noqa: B007
            yield session
        if count == 0:
            bad = quarantine.count - bad_before
            why = (
                f"{bad} {'line is' if bad == 1 else 'lines are'} corrupt, the first: {quarantine.first}"
                if bad
                else "no line of it makes one"
            )
            raise BadInput(
                f"{source.path}: holds no session ({why}); check its format "
                f"({source.format!r} here) and settings"
            )


def _sessions(
    source: Source, quarantine: Quarantine, templates: Optional[EventTemplates]
) -> Iterator[Session]:
    if source.uses_templates:
        source = dataclasses.replace(source, templates=_templates(source, templates))
    if source.format == "sequences":
        return sequence_sessions(source, quarantine)
    if source.format == "csv-sequences":
        sessions = csv_sequence_sessions(source, quarantine)
    else:
        keys, events, bad = Names(), Names(), BadLines()
        batches = observations(source, keys, events, bad)
        sessions = sessions_of(batches, keys, events, source, quarantine, bad)
    if source.labels_path is not None:
        return labelled(sessions, key_labels(source.labels_path, source))
    return sessions


def _templates(source: Source, given: Optional[EventTemplates]) -> EventTemplates:
    """The template set to match with."""
    if source.templates_path is not None:
        named = EventTemplates.load(source.templates_path)
        if given is not None and (named.masks, named.events) != (given.masks, given.events):
            raise BadInput(
                f"{source.templates_path}: is another template set than the model's, whose events have other "
                "names; leave templates_path out"
            )
        return named if given is None else given
    if given is None:
        return _new_templates([source])
    if source.masks is not None and given.masks != source.masks:
        raise BadInput(
            f"{source.path}: the templates were found with other masks than the source names; leave masks out "
            "here, or find templates anew"
        )
    return given


def _new_templates(sources: List[Source]) -> EventTemplates:
    masks = sources[0].masks
    templates = EventTemplates(masks=MASKS if masks is None else masks)
    return templates.fit(itertools.chain.from_iterable(map(messages, sources)))


def wants_templates(data: Mapping[str, Any]) -> bool:
    """Whether a source of ``data`` needs a template set, and names none.

    Raises:
        BadInput: settings that are not allowed.
    """
    return any(s.uses_templates and s.templates_path is None for s in checked_sources(data))


def fit_templates(data: Mapping[str, Any]) -> Optional[EventTemplates]:
    """The template set for those sources of ``data`` whose events are templates, to be saved with the model.

    Fitted on all of them together, or loaded where they name a ``templates_path``. ``None`` where no source
    has such events.

    Raises:
        BadInput: settings that are not allowed, a file that cannot be read, or sources that do not agree on
            their ``templates_path`` or ``masks``.
    """
    sources = [s for s in checked_sources(data) if s.uses_templates]
    if not sources:
        return None
    paths = {s.templates_path for s in sources}
    if len(paths) > 1:
        names = ", ".join(sorted(str(path or "none") for path in paths))
        raise BadInput(
            f"the sources of raw lines name different templates_path ({names}); a model has one set"
        )
    if len({s.masks for s in sources}) > 1:
        raise BadInput("the sources of raw lines name different masks; a model has one set of templates")
    (path,) = paths
    return _new_templates(sources) if path is None else EventTemplates.load(path)


def data_checksum(data: Mapping[str, Any]) -> str:
    """SHA-256 over the uncompressed content and the settings of all sources, for a model's provenance.

    Where the files lie and how they are compressed does not change it.

    Raises:
        BadInput: settings that are not allowed, or a file that cannot be read.
    """
    whole = hashlib.sha256()
    for source in checked_sources(data):
        settings: Dict[str, Any] = {k: v for k, v in source.given.items() if not k.endswith("path")}
        whole.update(json.dumps(settings, sort_keys=True).encode("utf-8"))
        for path in (source.path, source.labels_path, source.templates_path):
            if path is not None:
                whole.update(_content_digest(path))
    return whole.hexdigest()


def _content_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with opened(path) as stream:
        try:
            for chunk in iter(lambda: stream.read(1 << 20), b""):
                digest.update(chunk)
        except OSError as error:
            raise BadInput(f"{path}: cannot be read ({error})") from error
        except broken() as error:
            raise BadInput(f"{path}: cannot be read ({error})") from error
    return digest.digest()
