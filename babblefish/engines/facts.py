"""What is public of the checkpoints facebook/seamless-m4t-v2-large and facebook/nllb-200-distilled-600M.

To hold the code and a folder of weights against, so none of it is computed from either. SeamlessM4T's languages, their
order and their tokens are from the script that converted the model (``convert_fairseq2_to_hf.py`` of transformers), its
sentences and units from the slow tests of transformers, its speakers from the card ``vocoder_v2`` of
seamless_communication, the number of its parameters from the default ``SeamlessM4Tv2Config``, which that script takes.
NLLB's sentence is from its page in the documentation of transformers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and its tokens.

    Attributes:
        lang: In the model's own code.
        text: As it is written.
        tokens: With those of the language and the end.
    """

    lang: str
    text: str
    tokens: tuple[int, ...]


_LANGUAGES = (
    "afr amh arb ary arz asm azj bel ben bos bul cat ceb ces ckb cmn cmn_Hant cym dan deu ell eng est eus fin fra fuv "
    "gaz gle glg guj heb hin hrv hun hye ibo ind isl ita jav jpn kan kat kaz khk khm kir kor lao lit lug luo lvs mai "
    "mal mar mkd mlt mni mya nld nno nob npi nya ory pan pbt pes pol por ron rus sat slk slv sna snd som spa srp swe "
    "swh tam tel tgk tgl tha tur ukr urd uzn vie yor yue zlm zul"
)
SEAMLESS_LANGUAGES = {lang: token for token, lang in enumerate(_LANGUAGES.split(), start=256_001)}
"""The languages that SeamlessM4T reads and writes, in its own codes and order, each with its token."""

SEAMLESS_VOCABULARY = 256_102
"""Rows of its embedding; the three behind the languages are written by nobody."""

_UNIT_LANGUAGES = (
    "arb ben cat ces cmn cym dan deu eng est fin fra hin ind ita jpn kan kor mlt nld pes pol por ron rus slk spa swe "
    "swh tam tel tgl tha tur ukr urd uzn vie"
)
SEAMLESS_UNIT_LANGUAGES = {lang: token for token, lang in enumerate(_UNIT_LANGUAGES.split(), start=10_043)}
"""The languages that its text-to-unit model has a symbol for."""

_SPEAKERS = (
    "arb:0 ben:1 cat:2 ces:3 cmn:4 cym:6 dan:7 deu:9 eng:10 est:11 fin:14 fra:15 hin:16 ind:17 ita:29 jpn:30 kor:31 "
    "mlt:32 nld:35 pes:38 pol:39 por:40 ron:41 rus:43 slk:44 spa:45 swe:46 swh:49 tel:52 tgl:53 tha:54 tur:61 ukr:62 "
    "urd:63 uzn:66 vie:69"
)
SEAMLESS_SPEAKERS = {lang: int(speaker) for lang, speaker in (pair.split(":") for pair in _SPEAKERS.split())}
"""By language, the speaker that its vocoder learned it from; where there were several, the one that Meta's own code
takes. No checkpoint carries this table, and the default of transformers is the Arabic speaker for all."""

SEAMLESS_VOICES = {lang: index for index, lang in enumerate(SEAMLESS_SPEAKERS)}
"""The languages that its vocoder speaks, each with its index there."""

SEAMLESS_PARAMETERS = 2_309_249_669
"""With those that are tied counted once."""

SEAMLESS_READ = Sentence("fra", "C'est un test.", (256_026, 109, 247_729, 171, 128, 6816, 247_676, 3))
"""What its tokenizer makes of a text that is to be translated."""

SEAMLESS_WRITTEN = Sentence("eng", "It's a test.", (3, 256_022, 3080, 1, 247_669, 10, 6816, 247_676, 3))
"""What its decoder makes of that in float32, greedily and with every token allowed: 1, the unknown, is the
apostrophe."""

SEAMLESS_UNITS = (
    *(4746, 7163, 8208, 8208, 1315, 1266, 4307, 1119, 989, 9594, 3007, 3007, 4341, 5205, 7631, 7631, 3202, 4061, 9092),
    *(3191, 7509, 1715, 5280, 5280, 3554, 8812, 8197, 6366, 5382, 5382, 7330, 2758, 9433, 9433, 6863, 7510, 5800, 5800),
    *(5286, 1948, 1825, 1825, 3956, 8724, 8724, 5331, 8914, 9315, 9315, 5288, 2588, 8167, 8787, 8787, 8063, 6008, 2621),
    *(2621, 2621, 5696),
)
"""Of 20 ms each, what it makes of that in float32: the numbers that its vocoder takes, after ``vocoder_offset``."""

NLLB_READ = Sentence("eng_Latn", "How was your day?", (256_047, 13_374, 1398, 4260, 4039, 248_130, 2))
"""What NLLB's tokenizer makes of a text that is to be translated."""
