"""FLEURS in a folder: TSV files and archives as first published, or Parquet files in either hub layout."""

import fnmatch
import pathlib
from collections.abc import Sequence

import pyarrow as pa

from isogloss.engine.corpora import dataset_layout, fleurs_tsv, listing, parquet_rows, presets
from isogloss.engine.corpora.languages import SPLITS
from isogloss.engine.corpora.listing import Recording
from isogloss.engine.corpora.stored_files import FolderFiles
from isogloss.engine.runtime.refusal import Refusal

_TSV = ("{language}/{split}.tsv",)
_PARQUET = ("{language}/{split}/*.parquet", "{language}/{split}-*.parquet")


class FleursFolder:
    """One split of FLEURS in a folder that holds a folder for each language."""

    def __init__(self, folder: pathlib.Path, split: str) -> None:
        """Find the format; `split` is train, dev or test, and files of dev may be called validation."""
        self.description = f"fleurs-dir:{split}"
        self._folder, self._split = folder, split
        # A folder may hold both; the TSV files come first, because the archives beside them are the original.
        self._tsv = bool(self._languages(_TSV))
        self._groups = parquet_rows.RowGroups()
        if not self.languages():
            wanted = " nor ".join(patterns((*_TSV, *_PARQUET), "LANGUAGE", split))
            raise Refusal(
                f"{folder} holds no {split} split of FLEURS: neither {wanted}. Give the folder that holds "
                "the language folders; in a clone of the hub's repository it is data/."
            )

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages with files of the split, sorted."""
        return self._languages(_TSV if self._tsv else _PARQUET)

    def _languages(self, layouts: Sequence[str]) -> tuple[str, ...]:
        found = [path for name in patterns(layouts, "*", self._split) for path in self._folder.glob(name)]
        return tuple(sorted({path.relative_to(self._folder).parts[0] for path in found}))

    def _require(self, language: str) -> None:
        listing.require(
            language, self.languages(), f"{self._folder} has no files of the {self._split} split of language"
        )

    def sentences(self, language: str) -> list[str]:
        """Sentence of each recording of a language; unpacks nothing."""
        self._require(language)
        if self._tsv:
            return [line.sentence for line in fleurs_tsv.lines(self._folder / language, self._split)]
        return self._rows(language)["sentence"].to_pylist()

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """Utterances of a language by id, then file name; reads no audio, but unpacks an archive once."""
        self._require(language)
        found = (
            fleurs_tsv.recordings(self._folder / language, self._split)
            if self._tsv
            else self._recordings(language)
        )
        return listing.number(self.description, language, found, recordings)

    def _recordings(self, language: str) -> list[Recording]:
        """Recordings of a language's Parquet files."""
        name, columns = f"{language}/{self._split}", presets.FLEURS
        rows, files = self._rows(language), FolderFiles(self._folder)
        return parquet_rows.describe(rows, name, columns, files, self._groups)

    def _rows(self, language: str) -> pa.Table:
        """Rows of a language's Parquet files, without audio."""
        folder, columns = self._folder, presets.FLEURS
        names = [path.relative_to(folder).as_posix() for path in folder.glob(f"{language}/**/*.parquet")]
        matches = (sorted(fnmatch.filter(names, each)) for each in patterns(_PARQUET, language, self._split))
        files = next(filter(None, matches))  # of one layout and one spelling only, or rows would come twice
        dataset_layout.require_series(files, str(folder))
        tables = [parquet_rows.read_rows(folder / file, str(folder / file), file, columns) for file in files]
        return pa.concat_tables(tables)


def patterns(layouts: Sequence[str], language: str, split: str) -> list[str]:
    """Patterns of the paths of a split's files, under both names of dev."""
    spellings = [name for name, meant in SPLITS.items() if meant == split]
    return [layout.format(language=language, split=name) for layout in layouts for name in spellings]
