"""A small dictionary in dictd's format, packed as dictzip packs it: read, and refused where it is damaged."""

import struct
import zlib

import pytest

from isogloss.engine.texts import dictd

ARTICLES = {
    "00databaseshort": "English-French FreeDict Dictionary\n",
    "hundred": 'hundred /hʌndrəd/\ncent <n>Ct., /sã/ centaine [math.]\n      "100 times"  - cent fois\n',
    "may": "May /mei/\nmai\n",
    "march": "March /matʃ/\nmars\n",
    "march ": "march /matʃ/\n1. marcher (au pas)\n2. défiler; avancer\n   Synonym: {walk}\n see: {go}\n",
    "microwave": "micro-wave\nmicro-onde\n         Note: cuisine\n",
    "at once": "at once /x/\ntout de suite\n",
}
BASE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def base64(number):
    digits = ""
    while not digits or number:
        number, rest = divmod(number, 64)
        digits = BASE[rest] + digits
    return digits


def packed(data):
    """Data in gzip's format with the extra field of dictzip: chunks that can be read apart."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    size, chunks = 64, []
    for first in range(0, len(data), size):
        chunks.append(packer.compress(data[first : first + size]) + packer.flush(zlib.Z_FULL_FLUSH))
    end = packer.flush()
    extra = b"RA" + struct.pack("<HHHH", 6 + 2 * len(chunks), 1, size, len(chunks))
    extra += b"".join(struct.pack("<H", len(chunk)) for chunk in chunks)
    head = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x02\x03" + struct.pack("<H", len(extra)) + extra
    return head + b"".join(chunks) + end + struct.pack("<II", zlib.crc32(data), len(data))


@pytest.fixture
def index(tmp_path):
    data, lines = b"", []
    for headword, article in ARTICLES.items():
        raw = article.encode()
        # Padding, so that offsets need several digits.
        data += b"\n" * 100
        lines.append(f"{headword.strip()}\t{base64(len(data))}\t{base64(len(raw))}\n")
        data += raw
    (tmp_path / "english.french.dict.dz").write_bytes(packed(data))
    (tmp_path / "english.french.index").write_text("".join(lines), encoding="utf-8")
    return tmp_path / "english.french.index"


def test_translations_of_one_word_without_remarks_and_examples(index):
    words = ["hundred", "may", "march", "micro-wave", "at", "atonce", "nowhere", "00databaseshort"]
    assert dictd.translations(index, words) == {
        "hundred": ("cent", "ct", "centaine"),
        "may": ("mai",),
        "march": ("mars", "marcher", "défiler", "avancer"),
        "micro-wave": ("micro-onde",),
    }


def test_articles_that_are_not_packed(index, tmp_path):
    import gzip  # noqa: PLC0415 only here

    file = tmp_path / "english.french.dict.dz"
    (tmp_path / "english.french.dict").write_bytes(gzip.decompress(file.read_bytes()))
    file.unlink()
    assert dictd.translations(index, ["may"]) == {"may": ("mai",)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.unlink(), "not a file"),
        (lambda index: index.with_name("english.french.dict.dz").unlink(), "dict.dz is missing"),
        (lambda index: index.with_name("english.french.dict.dz").write_bytes(b"no gzip"), "can't be read"),
        (lambda index: index.write_text("may\tB!\tC\n"), "line 1: not of dictd's format"),
        (lambda index: index.write_text("x\tA\tB\nmay B C\n"), "line 2: not of dictd's format"),
        (lambda index: index.write_text("may\tBAAAA\tC\n"), "line 1: the articles end before it"),
    ],
)
def test_what_is_no_dictionary_is_refused(index, change, message):
    change(index)
    with pytest.raises(ValueError, match=message):
        dictd.translations(index, ["may"])
