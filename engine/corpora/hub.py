"""Any speech data set of the hub, or of a folder in a form that `datasets` reads.

A language is a configuration, or the value of a column. A listing reads the columns that are needed but not
the audio, which is downloaded when a recording is decoded. If no column has the number of samples, lengths
come from the audio's headers, which downloads the files of every language that is listed; a dry run estimates
them (`estimated_lengths`).
"""

import collections
import functools
import pathlib
import re
from collections.abc import Sequence

import pyarrow as pa

from isogloss.engine.corpora import columns as roles, dataset_layout, folder_rows, listing, parquet_rows
from isogloss.engine.corpora.columns import Columns
from isogloss.engine.corpora.data_sets import DataSet, FolderData, HubData, commit
from isogloss.engine.corpora.languages import SPLITS
from isogloss.engine.corpora.presets import PRESETS, Preset
from isogloss.engine.runtime.refusal import Refusal

_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[^:]+))?(:(?P<fields>.+))?", re.ASCII)
_CODE = re.compile("[A-Za-z0-9_]+")


class Hub:
    """One split of a data set."""

    def __init__(
        self, data: DataSet, columns: Columns, fields: Sequence[str], name: str, preset: Preset | None = None
    ) -> None:
        """Nothing is read yet.

        Args:
          data: folder, or repository at a commit.
          columns: by role.
          fields: configuration and split, or one of them, or nothing.
          name: beginning of the description.
          preset: what is known of the data set.
        """
        dataset_layout.require_sentence(columns, data.name)
        self._data, self._columns, self._fields, self._name = data, columns, tuple(fields), name
        self._known = preset.languages if preset else ()
        self._source_first = preset is not None and preset.source_first
        self._groups = parquet_rows.RowGroups()

    @functools.cached_property
    def _chosen(self) -> tuple[str, str]:
        """Configuration, or "" for all, and split."""
        match self._fields:
            case ():
                return "", "test"
            case (one,) if one in SPLITS and one not in self._names:
                return "", SPLITS[one]
            case (one,) if one in self._names:
                return one, "test"
            case (one,):
                return "", one
            case (configuration, split):
                return configuration, SPLITS.get(split, split)
            case _:
                raise Refusal(f"{self._name}: at most a configuration and a split, got {self._fields}")

    @property
    def _names(self) -> tuple[str, ...]:
        return self._known or self._data.configurations

    @property
    def description(self) -> str:
        """Name with the commit, configuration and split."""
        configuration, split = self._chosen
        fields = [field for field in (configuration, split) if field]
        if self._known:  # a preset whose commit stands in this program
            return f"{self._name}:{':'.join(fields)}@{self._data.revision}"
        return ":".join(
            [f"{self._name}@{self._data.revision}" if self._data.revision else self._name, *fields]
        )

    @functools.cached_property
    def _by_language(self) -> dict[str, str]:
        """Configuration of each language; where several have its speech (en_de, en_fr), the first by name."""
        configuration, split = self._chosen
        if self._columns.language:
            names = [configuration] if configuration else list(self._names)
            if len(names) > 1:
                wanted = ", ".join(names)
                raise Refusal(f"{self._data.name}: languages are in a column, so name one of: {wanted}")
            found = self._data.rows(names[0], split, self._columns)["language"]
            return {_code(value, self._data.name): names[0] for value in dict.fromkeys(found.to_pylist())}
        names = [configuration] if configuration else sorted(self._names)
        if names == ["default"]:
            raise Refusal(
                f"{self._data.name}: has one configuration without a name, so name the column of "
                "the language by --columns=language=COLUMN"
            )
        codes = [name.partition("_")[0] if self._source_first else name for name in names]
        # Reversed, because the last of equal keys stays.
        return {
            _code(code, self._data.name): name
            for code, name in reversed(list(zip(codes, names, strict=True)))
        }

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages."""
        return self._known or tuple(sorted(self._by_language))

    def sentences(self, language: str) -> list[str]:
        """Sentence of each recording of a language; downloads no audio."""
        return self._of(language, self._rows(language))["sentence"].to_pylist()

    def _rows(self, language: str) -> pa.Table:
        """Rows of the configuration that has a language, without audio."""
        listing.require(language, self.languages(), f"{self._name} has no language")
        configuration = language if self._known else self._by_language[language]
        return self._data.rows(configuration, self._chosen[1], self._columns)

    def _of(self, language: str, rows: pa.Table) -> pa.Table:
        """Those of the rows that are of a language."""
        # The rows of all languages in a column are read once: they are kept, and small without the audio.
        if self._columns.language:
            codes = [_code(value, self._data.name) for value in rows["language"].to_pylist()]
            return rows.filter([code == language for code in codes])
        return rows

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """Utterances of a language by sentence, then by name; downloads no audio."""
        every = self._rows(language)
        rows = self._of(language, every)
        name = f"{language}/{self._chosen[1]}"
        if folder_rows.in_files(rows):
            found = folder_rows.describe(rows, name, self._data.files)
        else:
            sizes = collections.Counter(every["file"].to_pylist())
            found = parquet_rows.describe(rows, name, self._columns, self._data.files, self._groups, sizes)
        # The commit of a preset is part of this program; stores that were made with it keep their hash.
        revision = "" if self._known else self._data.revision
        return listing.number(self.description, language, found, recordings, revision)


def open_preset(name: str, rest: str | None, pairs: Sequence[str]) -> Hub | None:
    """Corpus of a preset, such as "covost2:fr_en:test"; None if the text after the colon is of no form."""
    preset = PRESETS[name]
    fields = [] if rest is None else rest.split(":")
    known = preset.languages and (len(fields) > 1 or (fields and fields[0] not in SPLITS))
    if known or not all(fields) or len(fields) > 2:
        return None
    data = HubData(preset.repository, commit(preset.repository, preset.revision))
    return Hub(data, roles.parse(pairs, preset.columns), fields, name, preset)


def open_hub(rest: str | None, pairs: Sequence[str]) -> Hub | None:
    """Corpus of "REPO[@REVISION][:CONFIG][:SPLIT]" or "FOLDER[:CONFIG][:SPLIT]"; None if it is neither."""
    if not rest:
        return None
    columns = roles.parse(pairs, Columns())
    for place, fields in _cuts(rest):
        # The longest path wins, so that a folder "a:b" isn't read as the folder "a" and a configuration.
        folder = pathlib.Path(place).expanduser()
        if folder.is_dir():  # a folder comes first, as for --model
            data = FolderData(folder)
            return Hub(data, columns, fields, f"hub:{data.label}")
    if not (found := _ID.fullmatch(rest)):
        return None
    dataset_layout.require_sentence(columns, found["repository"])
    data = HubData(found["repository"], commit(found["repository"], found["revision"]))
    fields = (found["fields"] or "").split(":") if found["fields"] else []
    return Hub(data, columns, fields, f"hub:{found['repository']}")


def _cuts(text: str) -> list[tuple[str, list[str]]]:
    """Text cut at its last colons, the longest path first: a path may contain colons."""
    parts = text.split(":")
    return [(":".join(parts[:stop]), parts[stop:]) for stop in range(len(parts), max(0, len(parts) - 3), -1)]


def _code(value: str, place: str) -> str:
    """Code of a language, which becomes part of folder and pair names: "zh_CN" for "zh-CN"."""
    code = value.replace("-", "_")
    if not _CODE.fullmatch(code):
        raise Refusal(
            f"{place}: language {value!r} becomes part of folder and pair names, so it must consist of "
            "letters, digits, - and _. Name another column by --columns=language=COLUMN"
        )
    return code
