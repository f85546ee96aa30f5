"""The HDFS sequences on this machine: compressed as shared, or as `stackyard data fetch` left them."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path
from typing import List, Optional, Sequence

TRAIN = "hdfs_train"
ABNORMAL = "hdfs_test_abnormal"
NORMAL = "hdfs_test_normal_sampleA_11151.csv"
FILES = (TRAIN, ABNORMAL, NORMAL)


def path_of(data_folder: Path, name: str) -> Optional[Path]:
    """Where the file lies below the folder of data sets, compressed or not; ``None``: nowhere."""
    for suffix in ("", ".gz", ".xz"):
        path = data_folder / "hdfs_logdeep" / (name + suffix)
        if path.is_file():
            return path
    return None


def missing(data_folder: Optional[Path]) -> List[str]:
    """The files that are not there."""
    return [name for name in FILES if data_folder is None or path_of(data_folder, name) is None]


def sessions(data_folder: Path, names: Sequence[str]) -> List[List[str]]:
    """The sessions of the named files, one after the other, as lists of event names."""
    found = []
    for name in names:
        path = path_of(data_folder, name)
        if path is None:
            raise FileNotFoundError(f"{name} is not below {data_folder}")
        opened = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
        with opened(path, "rt", encoding="utf-8") as stream:  # type: ignore[operator]
            is_table = name.endswith(".csv")
            if is_table:
                next(stream)
            found += [(line.split(",")[1] if is_table else line).split() for line in stream]
    return found
