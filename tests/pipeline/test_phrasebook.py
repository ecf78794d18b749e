"""Everyday phrases have their translation from a table, and everything else from a translator."""

from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import permutations

import pytest

from babblefish.domain import Quality, Transcript
from babblefish.engines.contracts import SpeechRequest, SpeechTranslation
from babblefish.pipeline.interpreter import Interpreter
from babblefish.pipeline.phrasebook import Phrasebook, read, spoken
from babblefish.settings import Settings
from tests.support.fakes import Fakes, speech
from tests.support.serving import Running

PHRASES = read()
HEARD = ("eng", "fra", "deu", "spa", "ita", "por")
"""Languages that the phrases are translated to."""
SAID = (*HEARD, "pol")


@pytest.fixture(scope="module")
def phrasebook() -> Phrasebook:
    return Phrasebook()


# The table


def test_every_phrase_of_english_is_in_each_language_that_can_be_heard() -> None:
    assert [phrase["eng"][0].text for phrase in PHRASES if "eng" in phrase and not phrase.keys() >= set(HEARD)] == []
    assert [phrase for phrase in PHRASES if len(phrase) < 2] == []


def test_every_form_ends_as_a_sentence_and_is_composed() -> None:
    forms = [form.text for phrase in PHRASES for cell in phrase.values() for form in cell]
    assert [form for form in forms if form[-1] not in ".?!" or not spoken(form).words] == []
    assert [form for form in forms if unicodedata.normalize("NFC", form) != form or form != form.strip()] == []
    assert [form for form in forms if set(form) & set("[]|\t;/()")] == []


def test_a_phrase_asks_in_every_language_or_in_none() -> None:
    asking = [{spoken(form.text).is_question for cell in phrase.values() for form in cell} for phrase in PHRASES]
    assert [phrase for phrase, asks in zip(PHRASES, asking, strict=True) if len(asks) > 1] == []


@pytest.mark.parametrize("lang", SAID)
def test_what_is_looked_up_means_one_thing(lang: str) -> None:
    looked_up = [spoken(form.text) for phrase in PHRASES for form in phrase.get(lang, ()) if form.is_looked_up]
    assert [key for key, times in Counter(looked_up).items() if times > 1] == []
    twice = [[spoken(form.text) for form in phrase.get(lang, ())] for phrase in PHRASES]
    assert [keys for keys in twice if len(set(keys)) < len(keys)] == []


@pytest.mark.parametrize("pair", [pair for pair in permutations(SAID, 2) if pair[1] in HEARD], ids="-".join)
def test_each_pair_has_at_least_two_hundred_phrases(pair: tuple[str, str], phrasebook: Phrasebook) -> None:
    source, target = pair
    found = {
        phrasebook.translation(form.text, source, target)
        for phrase in PHRASES
        for form in phrase.get(source, ())
        if form.is_looked_up
    }
    assert len(found - {None}) >= 200


# What is looked up


@pytest.mark.parametrize(
    ("said", "source", "target", "translation"),
    [
        ("No.", "eng", "spa", "No."),
        ("Sí.", "spa", "fra", "Oui."),
        ("Lo siento.", "spa", "fra", "Je suis désolé."),
        ("Please", "eng", "spa", "Por favor."),
        ("Salut", "fra", "ita", "Ciao."),
        ("Good morning.", "eng", "deu", "Guten Morgen."),
        ("See you tomorrow.", "eng", "por", "Até amanhã."),
        ("I don't know.", "eng", "fra", "Je ne sais pas."),
        ("Nie wiem.", "pol", "eng", "I don't know."),
    ],
)
def test_a_phrase_has_its_translation(
    said: str, source: str, target: str, translation: str, phrasebook: Phrasebook
) -> None:
    assert phrasebook.translation(said, source, target) == translation


@pytest.mark.parametrize(
    "said",
    ["what time is it?", "WHAT TIME IS IT?", "What time  is it ?", "\u201cWhat time is it?\u201d", "What time is it?!"],
)
def test_case_space_and_marks_make_no_difference(said: str, phrasebook: Phrasebook) -> None:
    assert phrasebook.translation(said, "eng", "ita") == "Che ore sono?"


def test_apostrophes_and_accents_may_be_written_in_any_way(phrasebook: Phrasebook) -> None:
    assert phrasebook.translation("I don\u2019t know.", "eng", "spa") == "No lo sé."
    assert phrasebook.translation(unicodedata.normalize("NFD", "À bientôt."), "fra", "eng") == "See you soon."


@pytest.mark.parametrize(
    ("said", "target", "translation"),
    [
        ("Where?", "fra", "Où\u202f?"),
        ("Where?", "spa", "¿Dónde?"),
        ("Help!", "fra", "Au secours\u202f!"),
        ("Help!", "spa", "¡Socorro!"),
        ("Help!", "deu", "Hilfe!"),
        ("Thank you!", "spa", "¡Gracias!"),
        ("Help.", "spa", "Socorro."),
        ("Help", "spa", "¡Socorro!"),
        ("Wait...", "fra", "Attendez."),
    ],
)
def test_it_ends_as_what_was_said_does_with_the_marks_of_its_language(
    said: str, target: str, translation: str, phrasebook: Phrasebook
) -> None:
    assert phrasebook.translation(said, "eng", target) == translation


def test_polite_stays_polite_and_familiar_familiar(phrasebook: Phrasebook) -> None:
    assert phrasebook.translation("Wie heißen Sie?", "deu", "fra") == "Comment vous appelez-vous\u202f?"
    assert phrasebook.translation("Wie heißt du?", "deu", "fra") == "Comment tu t'appelles\u202f?"
    assert phrasebook.translation("Come ti chiami?", "ita", "eng") == "What's your name?"


def test_several_sentences_are_translated_if_each_is_a_phrase(phrasebook: Phrasebook) -> None:
    assert phrasebook.translation("Hello! How are you?", "eng", "spa") == "¡Hola! ¿Cómo está?"
    assert phrasebook.translation("Hello! The boiler is broken.", "eng", "spa") is None


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("Bitte.", "deu"),
        ("Morgen.", "deu"),
        ("Prego.", "ita"),
        ("Salut.", "fra"),
        ("Ciao.", "ita"),
        ("Buenas noches.", "spa"),
        ("Combien ?", "fra"),
        ("Proszę.", "pol"),
    ],
)
def test_what_may_mean_two_things_is_left_to_the_translator(said: str, source: str, phrasebook: Phrasebook) -> None:
    assert phrasebook.translation(said, source, "eng") is None


def test_a_question_and_a_statement_in_the_same_words_are_two_phrases(phrasebook: Phrasebook) -> None:
    assert phrasebook.translation("Wie bitte?", "deu", "eng") == "Pardon?"
    assert phrasebook.translation("Ça va ?", "fra", "eng") == "How are you?"
    assert phrasebook.translation("Ça va.", "fra", "eng") is None


@pytest.mark.parametrize("said", ["", "...", "?", "Thank you, Mary.", "No parking.", "Hello\nGoodbye"])
def test_what_is_no_phrase_is_left_to_the_translator(said: str, phrasebook: Phrasebook) -> None:
    assert phrasebook.translation(said, "eng", "fra") is None


@pytest.mark.parametrize("pair", [("eng", "eng"), ("eng", "swh"), ("swh", "eng")])
def test_a_language_without_phrases_has_no_translation(pair: tuple[str, str], phrasebook: Phrasebook) -> None:
    assert phrasebook.translation("No.", *pair) is None


# In a conversation


def heard(fakes: Fakes, lang: str, text: str, doubtful: bool = False, lang_confidence: float = 0.9) -> None:
    """Let the recogniser hear these words, whatever is said."""

    def translate(request: SpeechRequest) -> SpeechTranslation:
        made = {target: f"<{target}> {text}" for target in request.choose_targets(lang)}
        return SpeechTranslation(
            Transcript(text, lang, lang_confidence, 0.9), made, doubtful=frozenset({lang} if doubtful else ())
        )

    fakes.speech_translator.translate = translate  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("doubtful", "lang_confidence", "quality"),
    [(False, 0.9, Quality.GOOD), (True, 0.9, Quality.DRAFT), (False, 0.2, Quality.DRAFT)],
)
async def test_a_phrase_is_good_unless_the_transcript_or_its_language_is_doubtful(
    running: Running, fakes: Fakes, doubtful: bool, lang_confidence: float, quality: Quality
) -> None:
    heard(fakes, "eng", "Thank you.", doubtful, lang_confidence)
    speaker, listener = await running.client(target_lang="eng"), await running.client(target_lang="spa")
    await speaker.say(speech(21))
    (result,) = await listener.wait_for("result")
    assert (result["translation"], result["quality"]) == ("Gracias.", quality)
    assert fakes.calls.count["text spa"] == 0


async def test_a_phrase_is_preferred_to_what_the_speech_translator_made(running: Running, fakes: Fakes) -> None:
    heard(fakes, "fra", "Lequel ?")
    speaker, listener = await running.client(target_lang="fra"), await running.client(target_lang="eng")
    await speaker.say(speech(11))
    (result,) = await listener.wait_for("result")
    assert result["translation"] == "Which one?"


async def test_the_glossary_has_its_way(running: Running, fakes: Fakes) -> None:
    heard(fakes, "eng", "Thank you.")
    speaker = await running.client(target_lang="eng")
    listener = await running.client(target_lang="spa", glossary="thank you=spa:muchas mercedes")
    await speaker.say(speech(21))
    (result,) = await listener.wait_for("result")
    assert result["translation"] == "<spa> Thank you."


async def test_a_phrase_that_is_written_needs_no_translator_either(settings: Settings, fakes: Fakes) -> None:
    async with Interpreter.open(settings, fakes.engines) as interpreter:
        caption = await interpreter.pipeline.texts.translate("Lo siento.", "spa", "fra")
    assert (caption.text, caption.quality, caption.path) == ("Je suis désolé.", Quality.GOOD, ("spa", "fra"))
    assert fakes.calls.count["text fra"] == 0
