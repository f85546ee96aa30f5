"""The report of a study: report.html, .json, .csv and .md in its folder, in the style of the reports of scenarios.

``loading`` reads a study's folder, ``analysis`` makes of it what the files say (pure), ``write`` leaves the files.
"""

from __future__ import annotations

from pathlib import Path


def write(folder: Path, out: Path | None = None) -> dict[str, Path]:
    """Write the report of a study; report.html with the extra [reports] alone.

    Args:
        folder: the study's.
        out: where to; default: into ``folder``.

    Returns:
        Ending ("html", "json", "csv", "md") -> the file. Without that extra an earlier report.html is removed.

    Raises:
        BadInputError: the folder holds no study, a trial cannot be read, or ``out`` cannot be written.
    """
    # what it needs is loaded by those who report alone
    from stackyard import extras
    from stackyard.reports import writing
    from stackyard.reports.outputs import file_name
    from stackyard.tuning.report import analysis, csv_report, json_report, loading, markdown

    report = analysis.analyse(loading.load(folder))
    texts = {
        "json": json_report.render(report),
        "csv": csv_report.render(report),
        "md": markdown.render(report),
    }
    if extras.why_not("reports") is None:
        from stackyard.tuning.report import html

        texts = {"html": html.render(report), **texts}
    place = folder if out is None else out
    paths = {ending: place / file_name(ending) for ending in texts}
    gone = [] if "html" in texts else [place / file_name("html")]
    writing.put({paths[ending]: text for ending, text in texts.items()}, gone)
    return paths
