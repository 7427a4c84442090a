"""Data sets in folders of the published forms: CoVoST 2, VoxPopuli, MaSS, audio folders; own columns."""

import json

import pytest
from hub_stand_in import table, wav

from isogloss.engine.corpora import audio, columns as roles, corpus, data_sets, hub
from isogloss.engine.corpora.presets import PRESETS


def put(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def preset(name, folder, *fields, columns=()):
    """Corpus of a preset, in a folder in place of its repository."""
    known = PRESETS[name]
    return hub.Hub(data_sets.FolderData(folder), roles.parse(columns, known.columns), fields, name, known)


def rows(listing):
    return [
        (u.name, u.source.name, u.transcription, u.gender, len(audio.decode(u.source)))
        for u in listing.utterances
    ]


@pytest.fixture
def covost2(tmp_path):
    """Columns of covost2.py; files in series, a folder for each configuration and a card that names them."""

    def content(numbers, language):
        ids = [f"common_voice_{language}_{n}" for n in numbers]
        texts = {"sentence": [f"s{n}" for n in numbers], "translation": [f"t{n}" for n in numbers]}
        sounds = [(f"{one}.mp3", wav(100 + n)) for one, n in zip(ids, numbers, strict=True)]
        return table({"client_id": ids, "file": ids, "id": ids, **texts}, sounds)

    names = {"en_de": "en", "en_zh-CN": "en", "fr_en": "fr", "zh-CN_en": "zh-CN"}
    files = {
        f"{name}/test-0000{part}-of-00002.parquet": content([2 * part, 2 * part + 1], language)
        for name, language in names.items()
        for part in range(2)
    }
    lines = [f"- config_name: {n}\n  data_files:\n  - split: test\n    path: {n}/test-*\n" for n in names]
    return put(tmp_path / "covost2", {**files, "README.md": f"---\nconfigs:\n{''.join(lines)}---\n".encode()})


def test_covost2(covost2):
    read = preset("covost2", covost2)
    assert read.languages() == ("en", "fr", "zh_CN")  # English speech has several configurations
    assert (read.description, preset("covost2", covost2, "fr_en").languages()) == ("covost2:test", ("fr",))
    found = rows(read.listing("fr"))
    assert found[2] == ("common_voice_fr_2.0", "fr/test/common_voice_fr_2.mp3", "s2", "", 102)
    assert len(found) == 4
    english, french = ({u.sentence for u in read.listing(code).utterances} for code in ("en", "fr"))
    assert english.isdisjoint(french)
    with pytest.raises(ValueError, match=r"has no split 'train'\. There are: test"):
        preset("covost2", covost2, "fr_en", "train").listing("fr")
    with pytest.raises(ValueError, match=r"no language 'de'\. Did you mean en"):
        read.listing("de")
    translated = preset("covost2", covost2, "en_zh-CN", columns=("transcription=translation",))
    spoken = preset("covost2", covost2, "en_zh-CN")  # the table of tune's recipe joins both by sentence
    assert [(u.sentence, u.transcription) for u in translated.listing("en").utterances] == [
        (u.sentence, u.transcription.replace("s", "t")) for u in spoken.listing("en").utterances
    ]
    (covost2 / "fr_en/test-00001-of-00002.parquet").unlink()
    with pytest.raises(ValueError, match="has 1 of 2 files of a series"):
        preset("covost2", covost2).listing("fr")


def test_voxpopuli_as_the_hub_converts_it(tmp_path):
    """No card; a folder for each language, and the split's name says that the conversion may be partial."""
    content = table(
        {
            "audio_id": ["20180131-0900-PLENARY-15-fr_7", "20180131-0900-PLENARY-15-fr_6"],
            "language": [2, 2],
            "raw_text": ["Merci.", ""],
            "normalized_text": ["merci", ""],
            "gender": ["female", "None"],
            "speaker_id": ["1", "None"],
        },
        [("a.wav", wav(200)), (None, wav(300))],
        labels={"language": ["en", "de", "fr"]},
    )
    root = put(tmp_path, {"fr/partial-test/0000.parquet": content, "de/partial-test/0000.parquet": content})
    read = preset("voxpopuli", root)
    assert read.languages() == ("de", "fr")
    found = read.listing("fr")
    assert rows(found) == [
        ("20180131-0900-PLENARY-15-fr_6.0", "fr/test/000001", "", "None", 300),
        ("20180131-0900-PLENARY-15-fr_7.0", "fr/test/a.wav", "merci", "female", 200),
    ]
    assert found.utterances[1].raw_transcription == "Merci."
    by_column = corpus.open_corpus(f"hub:{root}:fr:test", ["sentence=audio_id", "language=language"])
    assert by_column.languages() == ("fr",)
    assert by_column.description == f"hub:{root.name}:fr:test"
    assert len(by_column.listing("fr").utterances) == 2


def test_mass(tmp_path):
    names = {
        "french_corpus/B01___01_Matthieu____FRNTLSN2DA_verse_7": "Salmon engendra Boaz",
        "french_corpus/B08___02_1Corinthiens_FRNTLSN2DA_verse_10": "Car",
        "en/B01___01_Matthew_____ENGESVN1DA_verse_7": "and Solomon",
        "en/B07___02_1CorinthiansENGESVN1DA_verse_10": "these things",
        "x/B01___01_San_Mateo___EUSEABN1DA_verse_7": "Salomonek",
    }
    for name, text in names.items():
        put(tmp_path, {f"{name}_one_channel.wav": wav(160), f"{name}.txt": f"{text}\n".encode()})
    read = corpus.open_corpus(f"mass:{tmp_path}")
    assert (read.languages(), read.description) == (("en", "eu", "fr"), "mass")
    sentences = {code: [u.sentence for u in read.listing(code).utterances] for code in read.languages()}
    verses = ["01_Matthew_verse_7", "02_1Corinthians_verse_10"]
    assert sentences == {"en": verses, "fr": verses, "eu": verses[:1]}
    assert read.listing("fr").utterances[0].transcription == "Salmon engendra Boaz"
    put(tmp_path, {"en/B01___01_Gospel_____ENGESVN1DA_verse_7.wav": wav(160)})
    with pytest.raises(ValueError, match="'Gospel' isn't a book of MaSS"):
        corpus.open_corpus(f"mass:{tmp_path}")
    with pytest.raises(ValueError, match="holds no verse of MaSS"):
        corpus.open_corpus(f"mass:{tmp_path / 'x' / 'y'}")


@pytest.mark.parametrize("form", ["metadata.jsonl", "metadata.csv"])
def test_audio_folder(tmp_path, form):
    """Files beside their metadata; languages in a column; in a folder whose path holds a colon."""
    root = tmp_path / "a:b"
    names = [(number, language) for language in ("fr", "pt-BR") for number in (10, 9)]
    lines = [
        {"file_name": f"{language}/{number}.wav", "n": number, "lang": language, "text": f"t{number}"}
        for number, language in names
    ]
    metadata = "".join(json.dumps(line) + "\n" for line in lines)
    if form.endswith("csv"):
        metadata = "\n".join(
            ",".join(map(str, line)) for line in [lines[0], *(line.values() for line in lines)]
        )
    sounds = {f"test/{language}/{number}.wav": wav(100 * number) for number, language in names}
    put(root, {**sounds, f"test/{form}": metadata.encode()})
    columns = ["sentence=n", "language=lang", "transcription=text"]
    read = corpus.open_corpus(f"hub:{root}", columns)
    assert (read.languages(), read.description) == (("fr", "pt_BR"), "hub:a:b:test")
    assert rows(read.listing("pt_BR")) == [
        ("9.0", "pt_BR/test/pt-BR/9.wav", "t9", "", 900),
        ("10.0", "pt_BR/test/pt-BR/10.wav", "t10", "", 1000),
    ]
    assert read.listing("fr").utterances[0].source.size == len(wav(900))
    with pytest.raises(ValueError, match=r"column id is missing\. There are: file_name, n, lang, text"):
        corpus.open_corpus(f"hub:{root}", ["sentence=id", "language=lang"]).languages()
    with pytest.raises(ValueError, match=r"name the column of the language by --columns=language=COLUMN"):
        corpus.open_corpus(f"hub:{root}", ["sentence=n"]).languages()


def test_own_columns_and_what_cannot_be_listed(tmp_path):
    content = table(
        {"key": ["b", "a"], "words": ["wb", "wa"], "who": [1, 0], "name": ["r1", "r2"]},
        [("0.wav", wav(160)), ("0.wav", wav(320))],
        audio="speech",
        labels={"who": ["male", "female"]},
    )
    root = put(tmp_path / "own", {"data/en/test-00000-of-00001.parquet": content})
    split = ["  - split: test", "    path: data/en/test-*"]
    card = ["---", "configs:", "- config_name: en", "  data_files:", *split, "---"]
    put(root, {"README.md": "\n".join(card).encode()})
    columns = ["sentence=key", "transcription=words", "audio=speech", "gender=who", "id=name"]
    for spec in (f"hub:{root}", f"hub:{root}:en", f"hub:{root}:en:test", f"hub:{root}:test"):
        read = corpus.open_corpus(spec, columns)
        assert rows(read.listing("en")) == [
            ("r2", "en/test/0.wav", "wa", "male", 320),
            ("r1", "en/test/0.wav", "wb", "female", 160),
        ]
    for own, rule in (
        (["sentence=id", "audio=speech"], r"column id is missing\. Name the sentence by.*There are: key"),
        (["sentence=key"], r"column audio\.bytes is missing.*--columns=audio=NAME"),
    ):
        with pytest.raises(ValueError, match=rule):
            corpus.open_corpus(f"hub:{root}", own).listing("en")
    put(tmp_path / "texts", {"test.csv": b"a,b\n1,2\n"})
    with pytest.raises(ValueError, match=r"in csv files, which can't be listed .*refs/convert/parquet"):
        corpus.open_corpus(f"hub:{tmp_path / 'texts'}", ["sentence=a"]).languages()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty.*The hub converts most data sets"):
        corpus.open_corpus(f"hub:{tmp_path / 'empty'}", ["sentence=a"]).languages()
