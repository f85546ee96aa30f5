"""Tables: one pandas frame of all sources, its target, and the digest of what it was read from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, List, Sequence

from stackyard_tabular import idx, streams
from stackyard_tabular.sources import Source
from stackyard_task.channel import BadInput

#: A table may have so many values in all.
MOST_VALUES = 1 << 30
#: A target of whole numbers with at most so many different ones is a class, unless the source says its task.
MOST_CLASSES_GUESSED = 20


@dataclass(frozen=True)
class Table:
    """A frame with a target among its columns."""

    frame: Any
    target: str
    #: "classification" or "regression".
    task: str
    #: Of the files' bytes and of the settings by which they were read.
    sha256: str

    @property
    def features(self) -> List[str]:
        """Names of all columns but the target's."""
        return [name for name in self.frame.columns if name != self.target]


def digest(sources: Sequence[Source]) -> str:
    """What decides the table that ``sources`` are: the bytes of their files and their settings, hashed.

    Raises:
        BadInput: a file cannot be read.
    """
    whole = [[[streams.sha256(path) for path in one.files], one.settings()] for one in sources]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def read(sources: Sequence[Source], drop: bool = True) -> Table:
    """All rows of ``sources`` as one table, without the columns to drop unless the caller drops them.

    Raises:
        BadInput: a file cannot be read as its source says, there is no such target, or nothing is left to learn from.
    """
    import pandas as pd

    known = digest(sources)
    frames = [_frame(one) for one in sources]
    for one, frame in zip(sources[1:], frames[1:]):
        if list(frame.columns) != list(frames[0].columns):
            raise BadInput(
                f"{one.path}: its columns differ from those of {sources[0].path}, and both are one table"
            )
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    first = sources[0]
    if not len(frame):
        raise BadInput(f"{first.path}: holds no row")
    target = _target(frame, first)
    for name in first.drop:
        if name not in frame.columns:
            raise BadInput(f"{first.path}: has no column {name!r} to drop; {_has(frame)}")
        if name == target:
            raise BadInput(f"{first.path}: the target {name!r} is among the columns to drop")
    left = frame.drop(columns=list(first.drop)) if first.drop else frame
    if len(left.columns) < 2:
        raise BadInput(f"{first.path}: has no column beside the target {target!r}")
    frame = left if drop else frame
    if first.one_against_rest is not None:
        frame = _one_against_rest(frame, target, first)
    return Table(frame, target, first.task or _task(frame[target]), known)


def _frame(source: Source) -> Any:
    read_it = {"csv": _csv, "parquet": _parquet, "idx": _idx}[source.format]
    frame = read_it(source)
    if len(frame) * len(frame.columns) > MOST_VALUES:
        raise BadInput(
            f"{source.path}: {len(frame)} rows of {len(frame.columns)} columns are too many values"
        )
    return frame


def _csv(source: Source) -> Any:
    """A CSV file. What pandas makes of it: numbers where a column holds nothing else."""
    import pandas as pd

    try:
        with streams.opened(source.path) as stream:
            frame = pd.read_csv(
                stream,
                sep=source.delimiter,
                header=0 if source.header else None,
                names=list(source.columns) or None,
                na_values=list(source.missing) or None,
                skipinitialspace=True,
                encoding=source.encoding,
                low_memory=False,
            )
    except pd.errors.EmptyDataError:
        raise BadInput(f"{source.path}: is empty") from None
    except pd.errors.ParserError as error:
        raise BadInput(
            f"{source.path}: is no CSV file that can be read ({' '.join(str(error).split())})"
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{source.path}: is not {source.encoding} text (byte {error.start})") from error
    except LookupError:
        raise BadInput(f"{source.path}: there is no encoding {source.encoding!r}") from None
    except ValueError as error:
        raise BadInput(f"{source.path}: cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise BadInput(f"{source.path}: its rows have more fields than there are names of columns")
    frame.columns = [str(name) for name in frame.columns]
    return frame


def _parquet(source: Source) -> Any:
    """A Parquet file; its footer says how much it holds, before anything is read."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise BadInput(f"{source.path}: Parquet needs the package pyarrow, which this stack lacks") from None
    try:
        about = parquet.ParquetFile(source.path).metadata
        rows, columns = about.num_rows, about.num_columns
        unpacked = sum(about.row_group(index).total_byte_size for index in range(about.num_row_groups))
        if rows * max(1, columns) > MOST_VALUES or unpacked > streams.MOST_BYTES:
            raise BadInput(f"{source.path}: {rows} rows of {columns} columns are too many values")
        frame = _plain(source, parquet.read_table(source.path)).to_pandas()
    except OSError as error:
        raise BadInput(f"{source.path}: cannot be read ({error.strerror or error})") from error
    except (pyarrow.ArrowException, ValueError) as error:
        raise BadInput(
            f"{source.path}: is no Parquet file that can be read ({str(error).splitlines()[0]})"
        ) from error
    frame = frame.reset_index(drop=True)
    frame.columns = [str(name) for name in frame.columns]
    return frame


def _plain(source: Source, table: Any) -> Any:
    """An Arrow table whose bytes are texts.

    Raises:
        BadInput: a column that is not dropped holds bytes that are no text, or lists, maps or structs: nobody here can
            compare such values.
    """
    import pyarrow

    types = pyarrow.types
    for place, field in enumerate(table.schema):
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        if field.name in source.drop:
            continue
        if types.is_nested(kind):
            raise BadInput(
                f"{source.path}: column {field.name!r} holds values of the type {str(kind)[:60]}, and a table takes "
                "numbers, texts and times; name it among the columns to drop"
            )
        if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
            try:
                values = table.column(place).cast(kind).cast(pyarrow.binary()).cast(pyarrow.string())
            except pyarrow.ArrowException:
                raise BadInput(
                    f"{source.path}: column {field.name!r} holds bytes that are no UTF-8 text; name it among the "
                    "columns to drop"
                ) from None
            table = table.set_column(place, field.name, values)
    return table


def _idx(source: Source) -> Any:
    """Images and labels: one column for each pixel, and the column ``label``."""
    import pandas as pd

    assert source.labels_path is not None
    images, labels = idx.read(source.path), idx.read(source.labels_path, 1)
    if images.ndim < 2 or not images.size:
        raise BadInput(f"{source.path}: holds no images")
    if len(images) != len(labels):
        raise BadInput(
            f"{source.path}: holds {len(images)} images, and {source.labels_path} {len(labels)} labels"
        )
    flat = images.reshape(len(images), -1)
    frame = pd.DataFrame(
        flat, columns=[f"pixel_{number}" for number in range(1, flat.shape[1] + 1)], copy=False
    )
    frame["label"] = labels
    return frame


def _target(frame: Any, source: Source) -> str:
    names = list(frame.columns)
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise BadInput(f"{source.path}: has two columns {twice[0]!r}")
    if isinstance(source.target, str):
        if source.target not in names:
            raise BadInput(f"{source.path}: has no target column {source.target!r}; {_has(frame)}")
        return source.target
    number = source.target
    if not 1 <= abs(number) <= len(names):
        raise BadInput(f"{source.path}: the target is column {number}, and the file has {len(names)}")
    return names[number - 1 if number > 0 else number]


def _has(frame: Any) -> str:
    names = list(frame.columns)
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"it has {', '.join(map(repr, names[:10]))}{more}"


def _one_against_rest(frame: Any, target: str, source: Source) -> Any:
    values = frame[target].astype(str)
    one = values == source.one_against_rest
    if not one.any():
        raise BadInput(f"{source.path}: no row's target is {source.one_against_rest!r}")
    told = one.map({True: source.one_against_rest, False: "other"})
    return frame.assign(**{target: told.where(frame[target].notna())})


def _task(values: Any) -> str:
    """What the target's values look like: texts, flags and few whole numbers are classes."""
    if values.dtype.kind not in "iuf":
        return "classification"
    whole = values.dropna()
    few = (whole % 1 == 0).all() and whole.nunique() <= MOST_CLASSES_GUESSED
    return "classification" if few else "regression"
