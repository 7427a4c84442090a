"""Configurations, splits and files of a data set of the hub or of a folder, as `datasets` finds them.

`datasets` reads the card of the data set, matches its patterns with the names of the files, and knows what
reads them; no data file is opened. It takes 2 s to import, so results are kept (see data_sets.HubData).
"""

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence

from isogloss.engine.corpora.columns import Columns
from isogloss.engine.corpora.languages import SPLITS
from isogloss.engine.runtime import hub_faults
from isogloss.engine.runtime.refusal import Refusal

PARQUET, FOLDER = "parquet", "audiofolder"
_SERIES = re.compile(r"-(\d+)-of-(\d+)\.\w+$")  # index and number of parts
_NOT_CONFIGURATIONS = {"data", "valid", "val", "eval", *SPLITS}
Files = Mapping[str, Sequence[str]]
"""Paths of data files by split."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetLayout:
    """Layout of a data set.

    Attributes:
      reader: PARQUET or FOLDER.
      names: configurations; "default" if the data set names none.
      files: function from a configuration to its files; asks the hub, if it is there, for their names.
    """

    reader: str
    names: tuple[str, ...]
    files: Callable[[str], Files]


def find(place: str, revision: str | None, root: str) -> DatasetLayout:
    """Layout of a data set.

    Args:
      place: owner/name on the hub, or a folder.
      revision: commit on the hub; None for a folder.
      root: beginning of the paths that `datasets` gives, which is taken off.

    Raises:
      Refusal: there is none, or its format can't be listed without its audio.
      UnreachableError: the hub doesn't answer.
    """
    import datasets  # noqa: PLC0415 (2 s, and only this function needs it)
    from datasets.load import dataset_module_factory  # noqa: PLC0415

    datasets.disable_progress_bars()
    try:
        module = dataset_module_factory(place, revision=revision)
    except (*hub_faults.errors(), ValueError, RuntimeError) as error:  # RuntimeError: a loading script
        raise hub_faults.failure(place, error, f": {_first_line(error)}. {_remedy(place)}") from error
    reader = module.module_path.rpartition(".")[2]
    if reader not in (PARQUET, FOLDER):
        raise Refusal(
            f"{place}: its rows are in {reader} files, which can't be listed without reading the audio. "
            f"{_remedy(place)}"
        )
    configurations = {
        each.name: each.data_files or {} for each in module.builder_configs_parameters.builder_configs or []
    }
    files = functools.partial(_files, place, root, configurations)
    if reader == PARQUET and list(configurations) == ["default"]:
        folders = _by_folder(files("default"))
        if folders:
            return DatasetLayout(reader=reader, names=tuple(folders), files=folders.__getitem__)
    return DatasetLayout(reader=reader, names=tuple(configurations), files=files)


def _files(place: str, root: str, configurations: Mapping[str, Mapping], name: str) -> Files:
    """Files of a configuration; Refusal if no file fits its patterns."""
    from datasets.data_files import DataFilesPatternsDict  # noqa: PLC0415 (as in `find`)

    found = configurations[name]
    try:
        if isinstance(found, DataFilesPatternsDict):
            found = found.resolve(base_path=root)
    except (*hub_faults.errors(), ValueError) as error:
        rule = f": {name} has no files ({_first_line(error)}). {_remedy(place)}"
        raise hub_faults.failure(place, error, rule) from error
    return {
        str(split): tuple(os.path.relpath(path, root) for path in paths) for split, paths in found.items()
    }


def choose_files(found: Files, split: str, place: str) -> Sequence[str]:
    """Files of a split, under any of its names; Refusal if it isn't there or files are missing."""
    spellings = [name for name, meant in SPLITS.items() if meant == SPLITS.get(split)] or [split]
    names = [name for name in found if name.removeprefix("partial-") in spellings]
    if not names:
        raise Refusal(f"{place} has no split {split!r}. There are: {', '.join(found)}.")
    files = found[names[0]]
    require_series(files, place)
    return files


def require_series(files: Sequence[str], place: str) -> None:
    """Refuse names such as "-00000-of-00002" of which some are missing."""
    series = _series(files)
    if series and {number for number, _ in series} != set(range(series[0][1])):
        raise Refusal(
            f"{place} has {len(series)} of {series[0][1]} files of a series: {', '.join(files)}. "
            "Download the others."
        )


def is_whole(files: Sequence[str]) -> bool:
    """True if the names of all files form a series such as "-00000-of-00002" that has no gap."""
    series = _series(files)
    return bool(series) and len(series) == len(files) and {n for n, _ in series} == set(range(series[0][1]))


def _series(files: Sequence[str]) -> list[tuple[int, int]]:
    return [(int(match[1]), int(match[2])) for name in files if (match := _SERIES.search(name))]


def require_sentence(columns: Columns, place: str) -> None:
    """Refuse to list a data set whose column of sentences isn't known."""
    if not columns.sentence:
        raise Refusal(
            f"--corpus={place}: name the column of the sentence's id, which languages share, by "
            "--columns=sentence=COLUMN, and others as in sentence=id,transcription=text,audio=audio. "
            "Languages that share no such id can't be compared; transcribe and align need only a unique one"
        )


def _by_folder(found: Files) -> dict[str, dict[str, list[str]]]:
    """Files by top folder and split, as the hub converts to Parquet; empty if folders are splits."""
    folders: dict[str, dict[str, list[str]]] = {}
    for split, paths in found.items():
        for path in paths:
            top, slash, _ = path.partition("/")
            if not slash or top.removeprefix("partial-") in _NOT_CONFIGURATIONS:
                return {}
            folders.setdefault(top, {}).setdefault(split, []).append(path)
    return dict(sorted(folders.items()))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _remedy(place: str) -> str:
    return (
        f"Check the name. The hub converts most data sets: try --corpus=hub:{place}@refs/convert/parquet; or "
        "write Parquet files by `datasets`, and give their folder."
    )
