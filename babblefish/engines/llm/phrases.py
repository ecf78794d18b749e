"""What a language model says when it speaks for itself: answers, offers of help, remarks about the translation."""

from __future__ import annotations

import re

_LANGUAGE_NAMES = (
    r"english|french|german|spanish|italian|portuguese|polish|"
    r"anglais|français|allemand|espagnol|italien|portugais|polonais|"
    r"(?:englisch|französisch|deutsch|spanisch|italienisch|portugiesisch|polnisch)|"
    r"inglés|francés|alemán|español|italiano|portugués|polaco|"
    r"inglese|francese|tedesco|spagnolo|portoghese|polacco|"
    r"inglês|francês|alemão|espanhol|português|polonês|"
    r"angielsk\w+|francusk\w+|niemieck\w+|hiszpańsk\w+|włosk\w+|portugalsk\w+|polsk\w+|"
    r"po (?:angielsku|francusku|niemiecku|hiszpańsku|włosku|portugalsku|polsku)"
)
_TRANSLATE = r"translat|tradu|übersetz|übertrag|tłumacz|dolmetsch"

_HAS_LANGUAGE_NAME = re.compile(rf"\b(?:{_LANGUAGE_NAMES})")
_LABEL = re.compile(
    rf"(?:^|[.!?…] |\n)(?:(?:in |en |auf |in |em )?(?:{_LANGUAGE_NAMES})|translation|traduction|übersetzung|"
    rf"traducción|"
    r"traduzione|tradução|tłumaczenie|assistant|assistente|asistente|user|system|note|answer|output) ?:"
)
_MARKUP = re.compile(r"```|\*\*|\n|^[-*•#] |<\||\|>|</?\w+>")
_REMARK = re.compile(
    rf"\b{_TRANSLATE}|\b(?:in|en|auf|em|into|ins) (?:{_LANGUAGE_NAMES})\b|"
    r"[\"“”„«»](?: \w+){0,2} (?:means|signifie|veut dire|bedeutet|heißt|significa|quiere decir|vuol dire|"
    r"quer dizer|oznacza)\b"
)
_ABOUT_LANGUAGE = re.compile(
    rf"{_TRANSLATE}|interpret|intérpret|\b(?:{_LANGUAGE_NAMES})|"
    r"mean|signifi|veut dire|bedeut|heiß|dire|dizer|decir|znacz"
)
_ALTERNATIVES = re.compile(r"\w[.!?]? / [¿¡]?\w|\w[.!?] \((?!\d)|\w \((?!\d)")

_ANSWERS = (
    # an offer of help
    (
        r"\b(?:can|may|could) i (?:help|assist)|\bi (?:can|could|will) (?:help|assist)|happy to (?:help|assist)|"
        r"\b(?:puis-je|je (?:peux|pourrais)) (?:vous |t'|te )?aider|\bkann ich (?:ihnen |dir |"
        r"euch )?(?:\w+ )?(?:weiter)?helfen|"
        r"ich kann (?:ihnen|dir|euch) .*helfen|\bpuedo ayudar|\bposso aiutar|\bposso ajudar|\bajudá-l[oa]|"
        r"\bmogę (?:ci |wam |panu |pani |państwu )?(?:\w+ )?pomóc",
        r"help|assist|aid|hilf|helf|hülf|ayud|aiut|ajud|pom[oó][cgż]|pomag|serv|dien|faire pour|do for|fare per|"
        r"fazer por|hacer por|zrobić dla|secour|hand\b|main\b|mano|"
        r"rękę|tun\b",
    ),
    # an apology
    (
        r"^(?:i'?m sorry|i am sorry|sorry|i apologi|je suis désolé|désolé|je m'excuse|es tut mir leid|"
        r"tut mir leid|entschuldig|"
        r"lo siento|lo lamento|mi dispiace|mi spiace|desculp|sinto muito|lamento|przepraszam|przykro mi)",
        r"sorry|pardon|excus|apolog|afraid|fear|crain|fürcht|befürcht|tem[eo]|receio|obawia|regret|unfortun|"
        r"désol|malheur|peur|leid|leider|entschuld|verzeih|"
        r"bedau|sient|lament|"
        r"perd[oó]n|disculp|licen[çc]|permi[st]|desgracia|dispiac|spiac|scus|purtroppo|desculp|sinto|sentimos|"
        r"infeliz|pena|przepr|przykro|wybacz|"
        r"żał|niestety|sympath|condol|beileid|pésame|shame|pity|dommage|schade|bother|disturb",
    ),
    # what it is
    (
        r"\b(?:as an|i am an|i'm an|als|en tant qu'|je suis une?|como|soy una?|sono un'?|come|sou uma?|jako|"
        r"jestem) ?"
        r"(?:ai|ia|ki|si|intelligence|inteligencia|intelligenza|inteligência|sztuczn\w+)\b|language model|"
        r"modèle de langage|"
        r"sprachmodell|modelo de (?:lenguaje|linguagem)|modello (?:di linguaggio|linguistico)|model\w* językow|"
        r"(?:virtual|virtuel|virtueller|virtuale|wirtualn\w+) assist|assist\w+ (?:virtual|virtuel)|\bqwen|"
        r"\balibaba\b|openai|chatgpt",
        r"\b(?:ai|ia|ki|si)\b|model|modèle|robot|intel|sprachmod|assist|qwen|alibaba|openai|chatgpt|sztuczn",
    ),
    # a willing beginning
    (
        r"^(?:sure|certainly|of course|absolutely|bien sûr|certainement|natürlich|selbstverständlich|claro|"
        r"por supuesto|"
        r"desde luego|certamente|certo|com certeza|oczywiście|jasne)[!,.:]+ \w+ \w+ \w+",
        r"sure|certain|course|absolut|definit|right|yes|bien|sûr|évidem|d'accord|ok|oui|natürlich|selbst|klar|"
        r"gern|sicher|"
        r"freilich|doch|ja|claro|supuesto|luego|cómo no|vale|cert|ovvi|natural|come no|sì|certeza|óbvio|pois|"
        r"sim|oczywi|"
        r"jasne|pewn|pewien|dobr|gladly|volontiers|volentieri|sí",
    ),
    # a delivery
    (
        r"^(?:here (?:is|are)|here's|voici|aquí (?:está|tiene|tienes|hay)|ecco|aqui está|oto)\b.*(?::|$)",
        r"here|there|this|these|voi[cl]|hier|da\b|dies|bitte|aqu|acá|ahí|est[aeo]|toma|ecco|qui|quest|prego|olh|"
        r"oto|tu\b|to\b|"
        r"proszę|masz|tien|tenez|eis",
    ),
)
"""What an answer says, and the stems of any language that let a source say so itself."""

_ANSWER_PATTERNS = tuple((re.compile(said), re.compile(rf"\b(?:{stems})")) for said, stems in _ANSWERS)

_ASKS = re.compile(r"[?\uff1f\u061f\u037e;]|[\u0e00-\u0eff\u1000-\u109f\u3040-\u9fff]")
"""A question mark of whatever kind, or a script that may do without."""


def explains(source: str, target: str) -> bool:
    """Say whether a translation speaks about the translation, has marks of a document, or offers several."""
    said, text = source.lower(), target.lower()
    if _MARKUP.search(text) and not _MARKUP.search(said):
        return True
    if _LABEL.search(text) and not re.search(r"\w ?:", said):
        return True
    if _ALTERNATIVES.search(text) and not re.search(r"[/(]", said):
        return True
    return _REMARK.search(text) is not None and not _ABOUT_LANGUAGE.search(said)


def answers(source: str, target: str, complete: bool) -> bool:
    """Say whether a translation replies to what was said, or says what only an assistant would.

    Args:
        source: What was said.
        target: The translation.
        complete: Whether a question mark would have come by now.
    """
    said, text = source.lower(), target.lower().replace("\u2019", "'")
    if not any(letter.isalnum() for letter in said):
        return any(letter.isalnum() for letter in text)
    if complete and said.endswith("?") and not _ASKS.search(text):
        return True
    return any(pattern.search(text) and not licence.search(said) for pattern, licence in _ANSWER_PATTERNS)
