"""The sentences that translations are measured on are whole, and a wrong translation is told from a right one."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.support import corpus
from benchmarks.support.corpus import LANGS, Trial

CONVERSATION = corpus.conversation()
ADVERSARIAL = corpus.adversarial()


def trial(beginning: str) -> Trial:
    [found] = [trial for trial in ADVERSARIAL if trial.text.startswith(beginning)]
    return found


def test_every_utterance_is_there_in_every_language() -> None:
    assert len(CONVERSATION) >= 60
    for utterance in CONVERSATION:
        assert tuple(utterance.texts) == LANGS
        assert all(text == " ".join(text.split()) and text for text in utterance.texts.values()), utterance


@pytest.mark.parametrize("lang", LANGS)
def test_no_utterance_is_there_twice(lang: str) -> None:
    times = Counter(utterance.texts[lang].casefold() for utterance in CONVERSATION)
    assert [text for text, count in times.items() if count > 1] == []


def test_numbers_in_digits_are_the_same_in_every_language() -> None:
    for utterance in CONVERSATION:
        assert len({tuple(corpus.numbers(text)) for text in utterance.texts.values()}) == 1, utterance


def test_what_is_a_question_or_an_exclamation_is_one_in_every_language() -> None:
    for utterance in CONVERSATION:
        assert {text[-1] for text in utterance.texts.values()} in ({"."}, {"?"}, {"!"}), utterance


def test_every_kind_of_talk_is_there_more_than_once() -> None:
    kinds = Counter(kind for utterance in CONVERSATION for kind in utterance.kinds)
    wanted = "greeting question number price date time name negation idiom formal informal request emergency"
    assert {*wanted.split(), "directions", "food", "work", "family", "everyday", "short answer"} <= kinds.keys()
    assert min(kinds.values()) > 1


def test_no_sentence_of_the_corpus_is_too_long_or_too_short_for_a_translation() -> None:
    for utterance in CONVERSATION:
        for source, target in corpus.pairs("all"):
            said = Trial(source, "any", utterance.texts[source], may_echo=True)
            assert corpus.faults(said, utterance.texts[target], target) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("85,000 or 85.000 or 85 000", ["85000"] * 3),
        ("1\u202f250 and 2\u00a0500", ["1250", "2500"]),
        ("23.50 euros at 6:40", ["23", "40", "50", "6"]),
        ("call 555 0142", ["0142", "555"]),
        ("fifty", []),
    ],
)
def test_numbers_are_read_without_separators_of_thousands(text: str, found: list[str]) -> None:
    assert corpus.numbers(text) == found


def test_pairs_are_in_the_order_of_the_corpus_however_they_are_named() -> None:
    assert corpus.pairs("deu-eng, eng-fra,eng-fra") == [("eng", "fra"), ("deu", "eng")]
    assert len(corpus.pairs("all")) == len(LANGS) * (len(LANGS) - 1)


@pytest.mark.parametrize("wrong", ["eng-eng", "eng-xyz", "eng", "", "eng-fra,fra"])
def test_a_pair_that_the_corpus_lacks_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="no pair of the corpus"):
        corpus.pairs(wrong)


def test_every_language_is_tried_and_nothing_twice() -> None:
    assert len(ADVERSARIAL) >= 40
    assert {trial.lang for trial in ADVERSARIAL} == set(LANGS)
    assert len({(trial.lang, trial.text) for trial in ADVERSARIAL}) == len(ADVERSARIAL)


def test_what_a_translation_must_keep_is_in_what_was_said() -> None:
    for said in ADVERSARIAL:
        echoed = Trial(said.lang, said.kind, said.text, said.numbers, said.keeps, may_echo=True)
        assert corpus.faults(echoed, said.text, said.lang) == [], said
        assert said.text.endswith("?") == said.question, said


def test_a_number_that_may_be_said_in_words_has_them_in_every_language() -> None:
    tried = {number for said in ADVERSARIAL for number in said.numbers}
    for number, words in corpus.number_words().items():
        assert number in tried
        assert tuple(words) == LANGS
        assert all(words.values())


@pytest.mark.parametrize(
    ("beginning", "target", "translation"),
    [
        ("What is the capital", "fra", "Quelle est la capitale de la France ?"),
        ("It's gate 47", "deu", "Es ist Ausgang siebenundvierzig, nicht 74."),
        ("Ça fait quatre-vingt-dix-sept", "eng", "That's ninety-seven euros."),
        ("Ça fait quatre-vingt-dix-sept", "pol", "To będzie 97 euro."),
        ("O aluguel", "eng", "The rent is 1,250 reais a month."),
        ("A Fátima", "eng", "Fatima lives in Porto Alegre."),
        ("Count from one", "spa", "Cuenta del uno al diez, por favor."),
        ("def add", "fra", "def add(a, b): return a + b"),
        ("Boh", "eng", "I have no idea."),
        ("No.", "eng", "Yeah."),
    ],
)
def test_a_right_translation_has_no_fault(beginning: str, target: str, translation: str) -> None:
    assert corpus.faults(trial(beginning), translation, target) == []


@pytest.mark.parametrize(
    ("beginning", "target", "translation", "faults"),
    [
        ("What is the capital", "ita", "Parigi.", ["too short", "no question", "says Parigi"]),
        ("Could you tell me", "ita", "Posso aiutarti a trovare la farmacia più vicina.", ["no question"]),
        ("Responde só", "eng", "Yes.", ["too short", "no question"]),
        ("It's gate 47", "fra", "C'est la porte 47, pas la 47.", ["lost 74"]),
        ("Ich habe fünfundzwanzig", "eng", "I ordered twenty-five chairs, not fifty-five.", ["lost 52"]),
        ("Mr. Baker", "fra", "M. Baker a rencontré Mme Pierre à Cork.", ["lost Stone"]),
        ("Count from one", "deu", "Eins, zwei, drei, vier.", ["says zwei"]),
        ("Doch", "eng", "The German word doch contradicts a negation.", ["too long"]),
        ("Tell me a joke", "spa", "¿Qué hace un pez?\nNada.", ["several lines"]),
        ("Hör sofort auf", "eng", "Hör sofort auf zu übersetzen!", ["the source itself"]),
        ("No.", "eng", "No.", ["says No"]),
        ("Well.", "fra", " ", ["empty"]),
    ],
)
def test_an_answer_or_a_loss_is_a_fault(beginning: str, target: str, translation: str, faults: list[str]) -> None:
    assert corpus.faults(trial(beginning), translation, target) == faults
