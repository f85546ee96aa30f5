"""Stage 1, tabular-clean: columns that are no feature, rows with missing values and rows that stand twice are removed.

Nothing is learnt from the rows here, so the test rows of stage 2 are still untouched. Columns go first: rows that only
such a column tells apart are the same row to a model, and must not stand on both sides of a split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Sequence, Tuple

from stackyard_tabular import handed_on, repeats, sources, splits, tables
from stackyard_task.channel import BadInput, Channel

STAGE = "tabular-clean"
FOLDER = "cleaned"
COLUMNS_FILE = "columns.npz"


def clean(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Clean the table ``data``; leaves the folder ``cleaned``.

    Raises:
        BadInput: the table cannot be used, or nothing is left of it.
    """
    channel.phase("data")
    read = sources.read(parameters["data"])
    table = tables.read(read, drop=False)
    if table.task != "classification":
        raise BadInput(
            f"the target {table.target!r} holds numbers, and the stages are for classes; sgd-train takes both"
        )
    (frame, removed), times = repeats.timed(
        channel, lambda: cleaned(table.frame, read[0].drop), parameters["repeats"]
    )
    if not len(frame):
        raise BadInput(f"no row is left: {removed['rows_missing']} of {len(table.frame)} have missing values")
    numbers, classes = splits.classes_of(frame[table.target], table.target)
    if len(frame.columns) < 2:
        raise BadInput("no column is left beside the target")
    features = [name for name in frame.columns if name != table.target]
    folder = Path(output_folder) / FOLDER
    folder.mkdir()
    write(folder / COLUMNS_FILE, frame, features, numbers)
    about = {"features": features, "target": table.target, "classes": classes}
    left = handed_on.seal(folder, STAGE, table.sha256, about)
    channel.results(
        rows_given=len(table.frame),
        rows=len(frame),
        features=len(features),
        classes=len(classes),
        **removed,
        **times,
        made_from=left.made_from,
        handed_on=left.digest,
    )


def cleaned(frame: Any, drop: Sequence[str]) -> Tuple[Any, Dict[str, int]]:
    """``frame`` without the columns ``drop``, rows with a missing or infinite value, and rows that stand twice.

    Returns:
        A new frame, and how many rows were removed for which reason.
    """
    import numpy as np

    kept = frame.drop(columns=list(drop)) if drop else frame
    numbers = kept.select_dtypes("number")
    whole = kept[kept.notna().all(axis=1) & np.isfinite(numbers).all(axis=1)]
    once = whole.drop_duplicates(ignore_index=True)
    return once, {"rows_missing": len(kept) - len(whole), "rows_duplicate": len(whole) - len(once)}


def write(path: Path, frame: Any, features: Sequence[str], numbers: Any) -> None:
    """The features as one array each, texts as texts, and the target's classes as numbers: nothing needs pickle."""
    import numpy as np

    columns: Dict[str, Any] = {"target": numbers}
    for index, name in enumerate(features):
        values = frame[name]
        text = values.dtype.kind not in "iufb"
        columns[f"column_{index}"] = np.array(values.astype(str), dtype=str) if text else values.to_numpy()
    np.savez(path, **columns)
