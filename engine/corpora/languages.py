"""Names, groups, families, places and Whisper tokens of the 102 languages of FLEURS; names of its splits.

The table is languages.tsv, which also names the other languages of Whisper. Names and the seven geographic
groups, with their order, are of the dataset's card (google/fleurs). Glottocodes, families, branches and
places are of Glottolog 4.0 (Hammarstroem, Forkel, Haspelmath 2019, CC BY 4.0). A place is that of the
language, not of the speakers: that of English is England. Whisper has a token for 83 of the languages. Hours
are those of transcribed speech in its training (Radford et al. 2022, arXiv 2212.04356, figure 11). A corpus
may write a language as FLEURS ("en_us"), as Whisper or ISO 639 ("en"), or with another region ("en-GB"):
`find` accepts all of these. `unknown` finds languages that are written in another way ("english", "EN",
"eng"), for which decoding has no language token.
"""

import dataclasses
import difflib
import pathlib
from collections.abc import Iterable

from isogloss.engine.corpora import tsv

SPLITS = {"train": "train", "dev": "dev", "validation": "dev", "test": "test"}
"""Our name of a split by its name in files; the hub's name of dev is validation."""

OTHER_GROUP = "other"
"""Group of a language that FLEURS does not have."""


@dataclasses.dataclass(frozen=True)
class Language:
    """Language of FLEURS; the fields are the columns of languages.tsv.

    Attributes:
      code: code on the hub, of two or three parts, such as "cmn_hans_cn".
      name: English name.
      group: geographic group, one of GROUPS.
      whisper: its token between <| and |>; "" if Whisper has none. Cantonese is "zh" here,
        as in every model but large-v3 and its kin, which have "yue".
      whisper_hours: hours of transcribed speech in Whisper's training, of all models but large-v3 and its
        kin; None where none are published. Speech with an English translation alone isn't in them.
      iso639_3: code of the individual language that FLEURS recorded: of Arabic, Standard Arabic, "arb".
      glottocode: of the same language, in Glottolog.
      family: its family; an isolate is a family of its own.
      branch: a node below the family, about as deep as a genus of WALS: Romance, Narrow Bantu.
      script: that of the transcripts, by ISO 15924.
      without_spaces: whether it is written without spaces between words; "yes" in the table, or empty.
      latitude: of the language's place, in degrees north.
      longitude: in degrees east.
    """

    code: str
    name: str
    group: str
    whisper: str
    whisper_hours: float | None
    iso639_3: str
    glottocode: str
    family: str
    branch: str
    script: str
    without_spaces: bool
    latitude: float
    longitude: float


_COLUMNS, *_ROWS = (row for _, row in tsv.rows(pathlib.Path(__file__).with_suffix(".tsv")))
LANGUAGES = {
    row[0]: Language(
        *row[:4],
        whisper_hours=float(row[4]) if row[4] else None,
        **dict(zip(_COLUMNS[5:-3], row[5:-3], strict=True)),
        without_spaces=row[-3] == "yes",
        latitude=float(row[-2]),
        longitude=float(row[-1]),
    )
    for row in _ROWS
    if row[2]
}
"""By code, in the order of groups."""

GROUPS = tuple(dict.fromkeys(language.group for language in LANGUAGES.values()))

_BY_PART = {part: language for language in reversed(LANGUAGES.values()) if (part := language.whisper)} | {
    code.partition("_")[0]: language for code, language in LANGUAGES.items()
}
"""By Whisper's code ("zh" is Mandarin, not Cantonese) and by the first part of the FLEURS code."""


_BEYOND_FLEURS = {row[0]: row[1] for row in _ROWS if not row[2]}
"""Names of the other languages of Whisper, by its codes; in the table they have no group."""

_WITHOUT_SPACES = frozenset(row[0].partition("_")[0] for row in _ROWS if row[-3] == "yes")

# ISO 639-3 and the bibliographic codes of ISO 639-2, of languages with a code of two letters.
_THREE_LETTERS = {
    three: two
    for pair in """
    afr=af amh=am ara=ar asm=as aze=az bak=ba bel=be bul=bg ben=bn bod=bo tib=bo bre=br bos=bs cat=ca ces=cs
    cze=cs cym=cy wel=cy dan=da deu=de ger=de ell=el gre=el eng=en spa=es est=et eus=eu baq=eu fas=fa per=fa
    ful=ff fin=fi fao=fo fra=fr fre=fr gle=ga glg=gl guj=gu hau=ha heb=he hin=hi hrv=hr hat=ht hun=hu hye=hy
    arm=hy ind=id ibo=ig isl=is ice=is ita=it jpn=ja jav=jw kat=ka geo=ka kaz=kk khm=km kan=kn kor=ko kir=ky
    lat=la ltz=lb lug=lg lin=ln lao=lo lit=lt lav=lv mlg=mg mri=mi mao=mi mkd=mk mac=mk mal=ml mon=mn mar=mr
    msa=ms may=ms mlt=mt mya=my bur=my nob=nb nep=ne nld=nl dut=nl nno=nn nor=no nya=ny oci=oc orm=om ori=or
    pan=pa pol=pl pus=ps por=pt ron=ro rum=ro rus=ru san=sa snd=sd sin=si slk=sk slo=sk slv=sl sna=sn som=so
    sqi=sq alb=sq srp=sr sun=su swe=sv swa=sw tam=ta tel=te tgk=tg tha=th tuk=tk tgl=tl tur=tr tat=tt ukr=uk
    urd=ur uzb=uz vie=vi wol=wo xho=xh yid=yi yor=yo zho=zh chi=zh zul=zu
    """.split()
    for three, _, two in [pair.partition("=")]
}

_BY_NAME = (
    {name.lower(): code for code, name in _BEYOND_FLEURS.items()}
    | {
        # "Mandarin Chinese" also as "mandarin"; a language without a token keeps its code: "kyrgyz" is "ky".
        name.lower(): language.whisper or base
        for language in reversed(LANGUAGES.values())
        for base in [language.code.partition("_")[0]]
        for name in (language.name, language.name.partition(" ")[0])
    }
    | {"chinese": "zh", "farsi": "fa", "tagalog": "tl"}
)
"""Codes by English names, in lower case."""


def find(code: str) -> Language | None:
    """Language by its FLEURS, Whisper or ISO code, with or without a region; None if not in FLEURS."""
    return LANGUAGES.get(code.replace("-", "_").lower()) or _BY_PART.get(base_code(code))


def base_code(code: str) -> str:
    """First part of a code, without region and script: "en" of "en_us" and of "en-GB"."""
    return code.replace("-", "_").lower().partition("_")[0]


def language_name(code: str) -> str:
    """English name of a language, or its code if it isn't in FLEURS."""
    language = find(code)
    return language.name if language else code


def language_group(code: str) -> str:
    """Geographic group of a language, one of GROUPS, or OTHER_GROUP."""
    language = find(code)
    return language.group if language else OTHER_GROUP


def without_spaces(code: str) -> bool:
    """True if a language, by any code that `find` accepts, is written without spaces between words."""
    language = find(code)
    return base_code(language.code if language else code) in _WITHOUT_SPACES


def whisper_code(code: str) -> str:
    """Whisper's code of a language, which may have no token: "zh", "yue", "ky"."""
    base = base_code(code)
    language = _BY_PART.get(base)
    # Whisper large-v3 has a token for Cantonese, and every model splits its text into words as Cantonese.
    return language.whisper if language and language.whisper and base != "yue" else base


def unknown(codes: Iterable[str]) -> dict[str, str]:
    """Languages that are written neither as in FLEURS nor as in Whisper, each with the nearest code or ""."""
    return {code: _nearest(code) for code in codes if not _known(code.replace("-", "_").partition("_")[0])}


def unknown_message(codes: Iterable[str]) -> str:
    """Warning of the languages that `unknown` finds, with a code for each; "" if there are none."""
    found = [f"{code} (write {near})" if near else code for code, near in unknown(codes).items()]
    if not found:
        return ""
    return (
        f"no code of FLEURS or Whisper: {', '.join(found)}; transcribe and align find no language token for "
        "another spelling, and groups of languages are unknown"
    )


def _known(base: str) -> bool:
    return base in _BY_PART or base in _BEYOND_FLEURS


def _nearest(code: str) -> str:
    base = base_code(code)
    if _known(base):
        return code.lower()
    if exact := _THREE_LETTERS.get(base) or _BY_NAME.get(base):
        return exact
    close = difflib.get_close_matches(base, _BY_NAME, n=1, cutoff=0.75)
    return _BY_NAME[close[0]] if close else ""
