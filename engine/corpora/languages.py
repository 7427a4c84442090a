"""Names, groups and Whisper tokens of the 102 languages of FLEURS, and the names of its splits.

Names and the seven geographic groups, with their order, are those of the dataset's card (google/fleurs).
Whisper has a token for 83 of the languages. A corpus may write a language as FLEURS ("en_us"), as Whisper or
ISO 639 ("en"), or with another region ("en-GB"): `find` accepts all of these.
"""

import dataclasses

SPLITS = {"train": "train", "dev": "dev", "validation": "dev", "test": "test"}
"""Our name of a split by its name in files; the hub's name of dev is validation."""

WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Whisper codes of the languages that openai/whisper treats as written without spaces between words."""

OTHER_GROUP = "other"
"""Group of a language that FLEURS does not have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Language:
    """Language of FLEURS.

    Attributes:
      code: code on the hub, of two or three parts, such as "cmn_hans_cn".
      name: English name.
      group: geographic group, one of GROUPS.
      whisper: its token between <| and |>; "" if Whisper has none. Cantonese is "zh" here,
        as in every model but large-v3 and its kin, which have "yue".
    """

    code: str
    name: str
    group: str
    whisper: str


# code, Whisper's token or -, name
_TABLE = {
    "Western Europe": """
        ast_es       -   Asturian
        bs_ba        bs  Bosnian
        ca_es        ca  Catalan
        cy_gb        cy  Welsh
        da_dk        da  Danish
        de_de        de  German
        el_gr        el  Greek
        en_us        en  English
        es_419       es  Spanish
        fi_fi        fi  Finnish
        fr_fr        fr  French
        ga_ie        -   Irish
        gl_es        gl  Galician
        hr_hr        hr  Croatian
        hu_hu        hu  Hungarian
        is_is        is  Icelandic
        it_it        it  Italian
        kea_cv       -   Kabuverdianu
        lb_lu        lb  Luxembourgish
        mt_mt        mt  Maltese
        nb_no        no  Norwegian
        nl_nl        nl  Dutch
        oc_fr        oc  Occitan
        pt_br        pt  Portuguese
        sv_se        sv  Swedish
    """,
    "Eastern Europe": """
        be_by        be  Belarusian
        bg_bg        bg  Bulgarian
        cs_cz        cs  Czech
        et_ee        et  Estonian
        hy_am        hy  Armenian
        ka_ge        ka  Georgian
        lt_lt        lt  Lithuanian
        lv_lv        lv  Latvian
        mk_mk        mk  Macedonian
        pl_pl        pl  Polish
        ro_ro        ro  Romanian
        ru_ru        ru  Russian
        sk_sk        sk  Slovak
        sl_si        sl  Slovenian
        sr_rs        sr  Serbian
        uk_ua        uk  Ukrainian
    """,
    "Central-Asia/Middle-East/North-Africa": """
        ar_eg        ar  Arabic
        az_az        az  Azerbaijani
        ckb_iq       -   Sorani-Kurdish
        fa_ir        fa  Persian
        he_il        he  Hebrew
        kk_kz        kk  Kazakh
        ky_kg        -   Kyrgyz
        mn_mn        mn  Mongolian
        ps_af        ps  Pashto
        tg_tj        tg  Tajik
        tr_tr        tr  Turkish
        uz_uz        uz  Uzbek
    """,
    "Sub-Saharan Africa": """
        af_za        af  Afrikaans
        am_et        am  Amharic
        ff_sn        -   Fula
        ha_ng        ha  Hausa
        ig_ng        -   Igbo
        kam_ke       -   Kamba
        lg_ug        -   Ganda
        ln_cd        ln  Lingala
        luo_ke       -   Luo
        nso_za       -   Northern-Sotho
        ny_mw        -   Nyanja
        om_et        -   Oromo
        sn_zw        sn  Shona
        so_so        so  Somali
        sw_ke        sw  Swahili
        umb_ao       -   Umbundu
        wo_sn        -   Wolof
        xh_za        -   Xhosa
        yo_ng        yo  Yoruba
        zu_za        -   Zulu
    """,
    "South-Asia": """
        as_in        as  Assamese
        bn_in        bn  Bengali
        gu_in        gu  Gujarati
        hi_in        hi  Hindi
        kn_in        kn  Kannada
        ml_in        ml  Malayalam
        mr_in        mr  Marathi
        ne_np        ne  Nepali
        or_in        -   Oriya
        pa_in        pa  Punjabi
        sd_in        sd  Sindhi
        ta_in        ta  Tamil
        te_in        te  Telugu
        ur_pk        ur  Urdu
    """,
    "South-East Asia": """
        ceb_ph       -   Cebuano
        fil_ph       tl  Filipino
        id_id        id  Indonesian
        jv_id        jw  Javanese
        km_kh        km  Khmer
        lo_la        lo  Lao
        mi_nz        mi  Maori
        ms_my        ms  Malay
        my_mm        my  Burmese
        th_th        th  Thai
        vi_vn        vi  Vietnamese
    """,
    "CJK": """
        cmn_hans_cn  zh  Mandarin Chinese
        ja_jp        ja  Japanese
        ko_kr        ko  Korean
        yue_hant_hk  zh  Cantonese Chinese
    """,
}

GROUPS = tuple(_TABLE)
LANGUAGES = {
    code: Language(code=code, name=name, group=group, whisper=whisper.strip("-"))
    for group, lines in _TABLE.items()
    for code, whisper, name in (line.split(maxsplit=2) for line in lines.strip().splitlines())
}
"""By code, in the order of groups."""

_BY_PART = {part: language for language in reversed(LANGUAGES.values()) if (part := language.whisper)} | {
    code.partition("_")[0]: language for code, language in LANGUAGES.items()
}
"""By Whisper's code ("zh" is Mandarin, not Cantonese) and by the first part of the FLEURS code."""


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


def whisper_code(code: str) -> str:
    """Whisper's code of a language, which may have no token: "zh", "yue", "ky"."""
    base = base_code(code)
    language = _BY_PART.get(base)
    # Whisper large-v3 has a token for Cantonese, and every model splits its text into words as Cantonese.
    return language.whisper if language and language.whisper and base != "yue" else base
