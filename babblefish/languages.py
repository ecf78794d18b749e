"""Languages: the code on the wire (ISO 639-3), the browser's (BCP 47), and each engine's own codes and voices.

Chinese in traditional characters is written only, and has a tag instead of a code: it is heard as Chinese (``spoken``).

A code or voice that is missing says that the engine does not know the language.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from babblefish.errors import UnknownLanguageError


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Attributes:
        code: ISO 639-3, as on the wire; ``cmn-Hant`` is the one with a script (BCP 47).
        bcp47: What browsers call it.
        name: In English.
        native_name: In itself.
        whisper: Whisper's token, or None.
        espeak: eSpeak NG's voice, or None.
        kokoro: What reads a text for Kokoro: eSpeak NG's voice, ``ja`` or ``zh`` (misaki's), or None.
        seamless: SeamlessM4T's code where it is another one than ``code``; ``to_seamless`` says what it knows.
    """

    code: str
    bcp47: str
    name: str
    native_name: str
    whisper: str | None = None
    espeak: str | None = None
    kokoro: str | None = None
    seamless: str | None = None


_TABLE = (
    Language("eng", "en", "English", "English", whisper="en", espeak="en-us", kokoro="en-us"),
    Language("fra", "fr", "French", "Français", whisper="fr", espeak="fr-fr", kokoro="fr-fr"),
    Language("spa", "es", "Spanish", "Español", whisper="es", espeak="es", kokoro="es"),
    Language("ita", "it", "Italian", "Italiano", whisper="it", espeak="it", kokoro="it"),
    Language("por", "pt", "Portuguese", "Português", whisper="pt", espeak="pt-br", kokoro="pt-br"),
    Language("pol", "pl", "Polish", "Polski", whisper="pl", espeak="pl"),
    Language("deu", "de", "German", "Deutsch", whisper="de", espeak="de"),
    Language("nld", "nl", "Dutch", "Nederlands", whisper="nl", espeak="nl"),
    Language("cat", "ca", "Catalan", "Català", whisper="ca", espeak="ca"),
    Language("ron", "ro", "Romanian", "Română", whisper="ro", espeak="ro"),
    Language("rus", "ru", "Russian", "Русский", whisper="ru", espeak="ru"),
    Language("ukr", "uk", "Ukrainian", "Українська", whisper="uk", espeak="uk"),
    Language("ces", "cs", "Czech", "Čeština", whisper="cs", espeak="cs"),
    Language("slk", "sk", "Slovak", "Slovenčina", whisper="sk", espeak="sk"),
    Language("hun", "hu", "Hungarian", "Magyar", whisper="hu", espeak="hu"),
    Language("ell", "el", "Greek", "Ελληνικά", whisper="el", espeak="el"),
    Language("tur", "tr", "Turkish", "Türkçe", whisper="tr", espeak="tr"),
    Language("ara", "ar", "Arabic", "العربية", whisper="ar", espeak="ar", seamless="arb"),
    Language("arz", "arz", "Egyptian Arabic", "مصري"),
    Language("ary", "ary", "Moroccan Arabic", "الدارجة"),
    Language("heb", "he", "Hebrew", "עברית", whisper="he", espeak="he"),
    Language("hin", "hi", "Hindi", "हिन्दी", whisper="hi", espeak="hi", kokoro="hi"),
    Language("cmn", "zh", "Chinese", "中文", whisper="zh", espeak="cmn", kokoro="zh"),
    Language(
        "cmn-Hant",
        "zh-Hant",
        "Chinese (Traditional)",
        "繁體中文",
        espeak="cmn",
        kokoro="zh",
        seamless="cmn_Hant",
    ),
    Language("yue", "yue", "Cantonese", "粵語", whisper="yue", espeak="yue"),
    Language("jpn", "ja", "Japanese", "日本語", whisper="ja", espeak="ja", kokoro="ja"),
    Language("kor", "ko", "Korean", "한국어", whisper="ko", espeak="ko"),
    Language("vie", "vi", "Vietnamese", "Tiếng Việt", whisper="vi", espeak="vi"),
    Language("tha", "th", "Thai", "ไทย", whisper="th"),
    Language("ind", "id", "Indonesian", "Bahasa Indonesia", whisper="id", espeak="id"),
    Language("msa", "ms", "Malay", "Bahasa Melayu", whisper="ms", espeak="ms", seamless="zlm"),
    Language("tgl", "tl", "Tagalog", "Tagalog", whisper="tl"),
    Language("ceb", "ceb", "Cebuano", "Binisaya"),
    Language("swe", "sv", "Swedish", "Svenska", whisper="sv", espeak="sv"),
    Language("dan", "da", "Danish", "Dansk", whisper="da", espeak="da"),
    Language("nor", "no", "Norwegian", "Norsk", whisper="no", espeak="nb", seamless="nob"),
    Language("nno", "nn", "Norwegian Nynorsk", "Nynorsk", whisper="nn"),
    Language("fin", "fi", "Finnish", "Suomi", whisper="fi", espeak="fi"),
    Language("isl", "is", "Icelandic", "Íslenska", whisper="is", espeak="is"),
    Language("est", "et", "Estonian", "Eesti", whisper="et", espeak="et"),
    Language("lav", "lv", "Latvian", "Latviešu", whisper="lv", espeak="lv", seamless="lvs"),
    Language("lit", "lt", "Lithuanian", "Lietuvių", whisper="lt", espeak="lt"),
    Language("bul", "bg", "Bulgarian", "Български", whisper="bg", espeak="bg"),
    Language("srp", "sr", "Serbian", "Српски", whisper="sr", espeak="sr"),
    Language("hrv", "hr", "Croatian", "Hrvatski", whisper="hr", espeak="hr"),
    Language("bos", "bs", "Bosnian", "Bosanski", whisper="bs", espeak="bs"),
    Language("slv", "sl", "Slovenian", "Slovenščina", whisper="sl", espeak="sl"),
    Language("mkd", "mk", "Macedonian", "Македонски", whisper="mk", espeak="mk"),
    Language("sqi", "sq", "Albanian", "Shqip", whisper="sq", espeak="sq"),
    Language("bel", "be", "Belarusian", "Беларуская", whisper="be", espeak="be"),
    Language("glg", "gl", "Galician", "Galego", whisper="gl"),
    Language("eus", "eu", "Basque", "Euskara", whisper="eu", espeak="eu"),
    Language("oci", "oc", "Occitan", "Occitan", whisper="oc"),
    Language("bre", "br", "Breton", "Brezhoneg", whisper="br"),
    Language("cym", "cy", "Welsh", "Cymraeg", whisper="cy", espeak="cy"),
    Language("gle", "ga", "Irish", "Gaeilge", espeak="ga"),
    Language("mlt", "mt", "Maltese", "Malti", whisper="mt", espeak="mt"),
    Language("ltz", "lb", "Luxembourgish", "Lëtzebuergesch", whisper="lb", espeak="lb"),
    Language("yid", "yi", "Yiddish", "ייִדיש", whisper="yi"),
    Language("lat", "la", "Latin", "Latina", whisper="la", espeak="la"),
    Language("fas", "fa", "Persian", "فارسی", whisper="fa", espeak="fa", seamless="pes"),
    Language("urd", "ur", "Urdu", "اردو", whisper="ur", espeak="ur"),
    Language("pus", "ps", "Pashto", "پښتو", whisper="ps", seamless="pbt"),
    Language("snd", "sd", "Sindhi", "سنڌي", whisper="sd", espeak="sd"),
    Language("ckb", "ckb", "Central Kurdish", "کوردیی ناوەندی"),
    Language("pan", "pa", "Punjabi", "ਪੰਜਾਬੀ", whisper="pa", espeak="pa"),
    Language("guj", "gu", "Gujarati", "ગુજરાતી", whisper="gu", espeak="gu"),
    Language("mar", "mr", "Marathi", "मराठी", whisper="mr", espeak="mr"),
    Language("ben", "bn", "Bengali", "বাংলা", whisper="bn", espeak="bn"),
    Language("asm", "as", "Assamese", "অসমীয়া", whisper="as", espeak="as"),
    Language("mni", "mni", "Manipuri", "মৈতৈলোন্"),
    Language("ori", "or", "Odia", "ଓଡ଼ିଆ", espeak="or", seamless="ory"),
    Language("mai", "mai", "Maithili", "मैथिली"),
    Language("sat", "sat", "Santali", "ᱥᱟᱱᱛᱟᱲᱤ"),
    Language("nep", "ne", "Nepali", "नेपाली", whisper="ne", espeak="ne", seamless="npi"),
    Language("sin", "si", "Sinhala", "සිංහල", whisper="si", espeak="si"),
    Language("tam", "ta", "Tamil", "தமிழ்", whisper="ta", espeak="ta"),
    Language("tel", "te", "Telugu", "తెలుగు", whisper="te", espeak="te"),
    Language("kan", "kn", "Kannada", "ಕನ್ನಡ", whisper="kn", espeak="kn"),
    Language("mal", "ml", "Malayalam", "മലയാളം", whisper="ml", espeak="ml"),
    Language("san", "sa", "Sanskrit", "संस्कृतम्", whisper="sa"),
    Language("mya", "my", "Burmese", "မြန်မာ", whisper="my", espeak="my"),
    Language("khm", "km", "Khmer", "ខ្មែរ", whisper="km"),
    Language("lao", "lo", "Lao", "ລາວ", whisper="lo"),
    Language("bod", "bo", "Tibetan", "བོད་སྐད", whisper="bo"),
    Language("mon", "mn", "Mongolian", "Монгол", whisper="mn", seamless="khk"),
    Language("kaz", "kk", "Kazakh", "Қазақша", whisper="kk", espeak="kk"),
    Language("kir", "ky", "Kyrgyz", "Кыргызча", espeak="ky"),
    Language("uzb", "uz", "Uzbek", "Oʻzbekcha", whisper="uz", espeak="uz", seamless="uzn"),
    Language("tgk", "tg", "Tajik", "Тоҷикӣ", whisper="tg"),
    Language("tuk", "tk", "Turkmen", "Türkmençe", whisper="tk", espeak="tk"),
    Language("tat", "tt", "Tatar", "Татарча", whisper="tt", espeak="tt"),
    Language("bak", "ba", "Bashkir", "Башҡортса", whisper="ba", espeak="ba"),
    Language("aze", "az", "Azerbaijani", "Azərbaycanca", whisper="az", espeak="az", seamless="azj"),
    Language("hye", "hy", "Armenian", "Հայերեն", whisper="hy", espeak="hy"),
    Language("kat", "ka", "Georgian", "ქართული", whisper="ka", espeak="ka"),
    Language("amh", "am", "Amharic", "አማርኛ", whisper="am", espeak="am"),
    Language("orm", "om", "Oromo", "Oromoo", espeak="om", seamless="gaz"),
    Language("swa", "sw", "Swahili", "Kiswahili", whisper="sw", espeak="sw", seamless="swh"),
    Language("hau", "ha", "Hausa", "Hausa", whisper="ha"),
    Language("yor", "yo", "Yoruba", "Yorùbá", whisper="yo"),
    Language("ibo", "ig", "Igbo", "Igbo"),
    Language("ful", "ff", "Fula", "Fulfulde", seamless="fuv"),
    Language("lug", "lg", "Ganda", "Luganda"),
    Language("luo", "luo", "Luo", "Dholuo"),
    Language("sna", "sn", "Shona", "chiShona", whisper="sn"),
    Language("nya", "ny", "Chewa", "Chicheŵa"),
    Language("zul", "zu", "Zulu", "isiZulu"),
    Language("som", "so", "Somali", "Soomaali", whisper="so"),
    Language("lin", "ln", "Lingala", "Lingála", whisper="ln"),
    Language("afr", "af", "Afrikaans", "Afrikaans", whisper="af", espeak="af"),
    Language("mlg", "mg", "Malagasy", "Malagasy", whisper="mg"),
    Language("fao", "fo", "Faroese", "Føroyskt", whisper="fo"),
    Language("hat", "ht", "Haitian Creole", "Kreyòl ayisyen", whisper="ht", espeak="ht"),
    Language("haw", "haw", "Hawaiian", "ʻŌlelo Hawaiʻi", whisper="haw", espeak="haw"),
    Language("mri", "mi", "Maori", "Māori", whisper="mi", espeak="mi"),
    Language("sun", "su", "Sundanese", "Basa Sunda", whisper="su"),
    Language("jav", "jv", "Javanese", "Basa Jawa", whisper="jw"),
    Language("epo", "eo", "Esperanto", "Esperanto", espeak="eo"),
)

LANGUAGES: dict[str, Language] = {language.code: language for language in _TABLE}
"""Every language the system has a name for, by ISO 639-3 code."""


def script(character: str) -> str:
    """Return the script of a letter as Unicode names it: ``"é"`` → ``"LATIN"``, ``"я"`` → ``"CYRILLIC"``."""
    name = unicodedata.name(character, "")
    return name.split()[0] if name else ""


def scripts(code: str) -> frozenset[str]:
    """Return the scripts, other than Latin, that a language is written with: those of its own name, and the kana."""
    letters = {character for character in LANGUAGES[code].native_name if unicodedata.category(character)[0] == "L"}
    kana = {"HIRAGANA", "KATAKANA"} if code == "jpn" else set()
    return frozenset({script(letter) for letter in letters} | kana) - {"LATIN", "MODIFIER"}


_BY_WHISPER = {language.whisper: language.code for language in _TABLE if language.whisper}

_SEAMLESS_CODES = (
    "afr amh arb ary arz asm azj bel ben bos bul cat ceb ces ckb cmn cmn_Hant cym dan deu ell eng est eus fin fra fuv "
    "gaz gle glg guj heb hin hrv hun hye ibo ind isl ita jav jpn kan kat kaz khk khm kir kor lao lit lug luo lvs mai "
    "mal mar mkd mlt mni mya nld nno nob npi nya ory pan pbt pes pol por ron rus sat slk slv sna snd som spa srp swe "
    "swh tam tel tgk tgl tha tur ukr urd uzn vie yor yue zlm zul"
)
_SEAMLESS_TEXT = frozenset(_SEAMLESS_CODES.split())
"""The languages that SeamlessM4T v2 writes, in its codes (text outputs in its model card)."""

_SEAMLESS_SPOKEN = (
    "ara ben cat ces cmn cym dan deu eng est fin fra hin ind ita jpn kor mlt nld fas pol por ron rus slk spa swe swa "
    "tel tgl tha tur ukr urd uzb vie"
)
_SEAMLESS_SPEECH = frozenset(_SEAMLESS_SPOKEN.split())
"""The languages that SeamlessM4T v2 speaks (speech outputs in its model card)."""

_FLORES_BY_SCRIPT = {
    "Latn": "ace afr aka als ast ayr azj bam ban bem bjn bos bug cat ceb ces cjk crh cym dan deu dik dyu eng epo est "
    "eus ewe fao fij fin fon fra fur fuv gaz gla gle glg grn hat hau hrv hun ibo ilo ind isl ita jav kab kac "
    "kam kbp kea kik kin kmb kmr knc kon lij lim lin lit lmo ltg ltz lua lug luo lus lvs min mlt mos mri nld "
    "nno nob nso nus nya oci pag pap plt pol por quy ron run sag scn slk slv smo sna som sot spa srd ssw sun "
    "swe swh szl taq tgl tpi tsn tso tuk tum tur twi umb uzn vec vie war wol xho yor zsm zul",
    "Arab": "ace acm acq aeb ajp apc arb ars ary arz azb bjn ckb kas knc pbt pes prs snd uig urd",
    "Cyrl": "bak bel bul kaz khk kir mkd rus srp tat tgk ukr",
    "Deva": "awa bho hin hne kas mag mai mar npi san",
    "Beng": "asm ben mni sat",
}
_FLORES_OTHER_SCRIPTS = (
    "amh_Ethi bod_Tibt dzo_Tibt ell_Grek guj_Gujr heb_Hebr hye_Armn jpn_Jpan kan_Knda kat_Geor khm_Khmr kor_Hang "
    "lao_Laoo mal_Mlym mya_Mymr ory_Orya pan_Guru shn_Mymr sin_Sinh tam_Taml taq_Tfng tel_Telu tha_Thai tir_Ethi "
    "tzm_Tfng ydd_Hebr yue_Hant zho_Hans zho_Hant"
)
FLORES_CODES = frozenset(_FLORES_OTHER_SCRIPTS.split()).union(
    f"{part}_{script}" for script, parts in _FLORES_BY_SCRIPT.items() for part in parts.split()
)
"""The languages that NLLB-200 reads and writes: ISO 639-3 and the script (ISO 15924), as in the FLORES-200 data set."""

_FLORES_OTHERWISE = (
    "ara:arb_Arab aze:azj_Latn cmn:zho_Hans cmn-Hant:zho_Hant fas:pes_Arab ful:fuv_Latn lav:lvs_Latn mlg:plt_Latn "
    "mon:khk_Cyrl msa:zsm_Latn nep:npi_Deva nor:nob_Latn ori:ory_Orya orm:gaz_Latn pus:pbt_Arab sqi:als_Latn "
    "swa:swh_Latn uzb:uzn_Latn yid:ydd_Hebr"
)
_FLORES = {code[:3]: code for code in FLORES_CODES if code[:3] in LANGUAGES} | dict(
    pair.split(":") for pair in _FLORES_OTHERWISE.split()
)
_BY_FLORES = {code: lang for lang, code in _FLORES.items()}

SPOKEN_WITH: dict[str, tuple[str, ...]] = {
    "embedded": ("kokoro", "espeak"),
    "light": ("kokoro", "espeak"),
    "open": ("kokoro", "espeak"),
    "cascade": ("kokoro", "espeak"),
    "full": ("kokoro", "seamless", "espeak"),
}
"""The engines that speak, by profile, the best first: a language is spoken by the first one that has a voice for it."""


def spoken_by(code: str, profile: str) -> str | None:
    """Return the engine that speaks a language in a profile, or None where nobody does."""
    known = LANGUAGES[code]
    voices = {"kokoro": known.kokoro, "seamless": spoken(code) in _SEAMLESS_SPEECH, "espeak": known.espeak}
    return next((engine for engine in SPOKEN_WITH[profile] if voices[engine]), None)


def language(code: str) -> Language:
    """Look a language up by its ISO 639-3 code.

    Raises:
        UnknownLanguageError: No such code in the table.
    """
    try:
        return LANGUAGES[code]
    except KeyError:
        raise UnknownLanguageError(f"unknown language {code[:40]!r}: use a code such as 'eng' or 'en-GB'") from None


_OTHERWISE = (
    "alb:sqi arm:hye baq:eus bur:mya chi:cmn cze:ces dut:nld fre:fra geo:kat ger:deu gre:ell ice:isl mac:mkd mao:mri "
    "may:msa per:fas rum:ron slo:slk tib:bod wel:cym zho:cmn nb:nor fil:tgl iw:heb in:ind ji:yid jw:jav"
)
"""ISO 639-2/B (bibliographic) codes, and others that the IANA Language Subtag Registry has for these languages."""

_BY_TAG = (
    {language.seamless: language.code for language in _TABLE if language.seamless}
    | dict(pair.split(":") for pair in _OTHERWISE.split())
    | {tag: language.code for language in _TABLE for tag in (language.bcp47, language.code)}
)
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})
"""Subtags of Chinese in traditional characters: the script, and the regions that write with it."""

_TAG = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{1,8})*", re.ASCII)


def language_code(tag: str) -> str:
    """Return the code here of a language as people and browsers write it: ``"fr-FR"``, ``"fre"`` → ``"fra"``.

    Args:
        tag: BCP 47, or ISO 639-1, 639-2 or 639-3, in either case. Script and region are dropped, as they make no other
            language of any but Chinese: ``"zh-TW"`` → ``"cmn-Hant"``, ``"zh-yue"`` → ``"yue"``.

    Raises:
        UnknownLanguageError: No such language in the table.
    """
    first, *rest = tag.lower().split("-")
    code = _BY_TAG.get(first) if _TAG.fullmatch(tag.lower()) else None
    if code == "cmn" and rest:
        is_traditional = "hans" not in rest and not _TRADITIONAL.isdisjoint(rest)
        code = "yue" if rest[0] == "yue" else "cmn-Hant" if is_traditional else code
    return language(code or tag).code


def spoken(code: str) -> str:
    """Return the language that is heard where one is read: ``"cmn-Hant"`` → ``"cmn"``; any other is both."""
    return "cmn" if code == "cmn-Hant" else code


def from_whisper(token: str) -> str:
    """Return the ISO 639-3 code of Whisper's language, given without its brackets: ``"fr"`` → ``"fra"``."""
    return _BY_WHISPER[token]


def to_seamless(code: str) -> str | None:
    """Return SeamlessM4T's code of a language, or None where it does not write that language: ``"ara"`` → ``"arb"``."""
    known = language(code).seamless or code
    return known if known in _SEAMLESS_TEXT else None


def flores_code(lang: str) -> str:
    """Return NLLB's code of a language: ``"ara"`` → ``"arb_Arab"``.

    Raises:
        UnknownLanguageError: No such code in the table, or NLLB does not write that language.
    """
    known = _FLORES.get(language(lang).code)
    if known is None:
        raise UnknownLanguageError(f"NLLB does not know {LANGUAGES[lang].name}")
    return known


def language_of(flores: str) -> str:
    """Return the ISO 639-3 code of one of ``FLORES_CODES``: ``"arb_Arab"`` → ``"ara"``.

    A language without a name here keeps the code that FLORES-200 has for it: ``"ace_Latn"`` → ``"ace"``.

    Raises:
        UnknownLanguageError: It is none of them.
    """
    if flores not in FLORES_CODES:
        raise UnknownLanguageError(f"unknown language {flores[:40]!r}: use a FLORES-200 code such as 'eng_Latn'")
    return _BY_FLORES.get(flores, flores[:3])
