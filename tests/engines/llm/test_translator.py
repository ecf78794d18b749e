"""A language model's translation is checked, tried again, and told clause by clause; the model is scripted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from babblefish.domain import Deadline, Quality
from babblefish.engines.contracts import ConversationTranslator, Route, TextRequest
from babblefish.engines.llm.model import Completion
from babblefish.engines.llm.translator import LlmTranslator
from babblefish.errors import EngineError, MistranslatedError


class ScriptedModel:
    """Writes the next of its answers for a prompt that ends with what was said, word by word."""

    def __init__(self, **answers: Sequence[str]) -> None:
        """Answers by the target language's name."""
        self.answers = {lang: list(texts) for lang, texts in answers.items()}
        self.prompts: list[str] = []
        self.temperatures: list[float] = []
        self.is_finished = True

    def complete(
        self,
        prompt: str,
        stop: str,
        max_tokens: int,
        deadline: Deadline,
        goes_on: Callable[[str], bool] = lambda _: True,
        temperature: float = 0.0,
    ) -> Completion:
        self.prompts.append(prompt)
        self.temperatures.append(temperature)
        deadline.check()
        answer = self.answers[prompt.rsplit("\n", 1)[-1].rstrip(":")].pop(0)
        written = ""
        for word in answer.split(" "):
            written += f" {word}"
            if not goes_on(written):
                return Completion(written, False)
        return Completion(written, self.is_finished)


def asked(text: str, *path: str, **options: object) -> TextRequest:
    return replace(TextRequest(text, Route(path, Quality.GOOD), Deadline.after(30)), **options)


def translator(model: ScriptedModel) -> ConversationTranslator:
    return LlmTranslator(model, is_measured=True)  # type: ignore[arg-type]


def test_a_good_translation_is_taken_as_it_is() -> None:
    model = ScriptedModel(French=["Nous partons demain matin."])
    made = translator(model).translate_utterance(asked("We are leaving tomorrow morning.", "eng", "fra"))
    assert (made.text, made.is_doubtful, made.faults) == ("Nous partons demain matin.", False, ())
    assert model.temperatures == [0.0]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("ASK NOT!", "Ask not!"),
        ("UNESCO", "UNESCO"),
        ("We met at the UN.", "We met at the UN."),
        ("明天 见", "明天 见"),
    ],
)
def test_a_sentence_in_capitals_is_read_as_one_without(said: str, read: str) -> None:
    model = ScriptedModel(French=["Ne demandez pas !"] * 2)
    with contextlib.suppress(MistranslatedError):
        translator(model).translate_utterance(asked(said, "eng", "fra"))
    assert f": {read}\n" in model.prompts[0]


def test_an_answer_instead_of_a_translation_is_made_again() -> None:
    model = ScriptedModel(French=["We are leaving tomorrow morning.", "Nous partons demain matin."])
    made = translator(model).translate_utterance(asked("We are leaving tomorrow morning.", "eng", "fra"))
    assert (made.text, made.faults) == ("Nous partons demain matin.", ("echo",))
    assert model.temperatures[0] == 0.0 < model.temperatures[1]


@pytest.mark.parametrize(
    ("lengths", "read"),
    [([10, 10, 10], 2), ([10, 40, 41], 1), ([200, 10], 1), ([10, 81], 0), ([79], 1), ([], 0)],
)
def test_a_short_utterance_is_read_with_the_last_ones_before_it_that_are_short_too(
    lengths: list[int], read: int
) -> None:
    context = tuple((f"{number}" + length * "a", length * "b") for number, length in enumerate(lengths))
    model = ScriptedModel(French=["Non."])
    translator(model).translate_utterance(asked("No.", "eng", "fra", context=context))
    was_read = [said for said, _ in context if said in model.prompts[0]]
    assert was_read == [said for said, _ in context][len(context) - read :]


def test_what_fails_with_its_context_is_tried_without_it() -> None:
    model = ScriptedModel(French=["No, not this one.", "Non, pas celui-ci."])
    context = (("Is it this one?", "C'est celui-ci ?"),)
    made = translator(model).translate_utterance(asked("No, not this one.", "eng", "fra", context=context))
    assert made.text == "Non, pas celui-ci."
    assert ["Is it this one?" in prompt for prompt in model.prompts] == [True, False]
    assert model.temperatures == [0.0, 0.0]


def test_a_long_sentence_is_read_without_what_was_said_before() -> None:
    model = ScriptedModel(French=["Je voudrais deux billets pour le concert de demain soir."])
    text = "I would like two tickets for the concert tomorrow night."
    translator(model).translate_utterance(asked(text, "eng", "fra", context=(("Hello.", "Salut."),)))
    assert "Salut" not in model.prompts[0]


def test_two_failures_on_the_way_lead_through_english() -> None:
    model = ScriptedModel(
        German=["Nous partons demain matin.", "Nous partons demain matin.", "Wir fahren morgen früh ab."],
        English=["We are leaving tomorrow morning."],
    )
    made = translator(model).translate_utterance(asked("Nous partons demain matin.", "fra", "deu"))
    assert (made.text, made.faults) == ("Wir fahren morgen früh ab.", ("echo", "echo"))


def test_without_a_usable_translation_it_says_what_was_wrong() -> None:
    model = ScriptedModel(French=["We are leaving tomorrow morning."] * 2)
    with pytest.raises(EngineError, match="not usable"):
        translator(model).translate_utterance(asked("We are leaving tomorrow morning.", "eng", "fra"))


def test_a_number_that_stays_lost_makes_a_draft() -> None:
    model = ScriptedModel(French=["Le train part à 9 heures."] * 2)
    made = translator(model).translate_utterance(asked("The train leaves at 7 o'clock.", "eng", "fra"))
    assert (made.text, made.is_doubtful, made.faults) == ("Le train part à 9 heures.", True, ("number", "number"))


def test_a_number_that_a_second_try_has_is_no_draft() -> None:
    model = ScriptedModel(French=["Le train part à 9 heures.", "Le train part à 7 heures."])
    made = translator(model).translate_utterance(asked("The train leaves at 7 o'clock.", "eng", "fra"))
    assert (made.text, made.is_doubtful) == ("Le train part à 7 heures.", False)


def test_a_term_that_stays_lost_makes_a_draft_and_one_that_a_second_try_has_does_not() -> None:
    said, terms = "The water heater is broken.", (("water heater", "chauffe-eau"),)
    wrong, right = "La chaudière est en panne.", "Le chauffe-eau est en panne."
    model = ScriptedModel(French=[wrong, wrong])
    made = translator(model).translate_utterance(asked(said, "eng", "fra", terms=terms))
    assert (made.text, made.is_doubtful, made.faults) == (wrong, True, ("term", "term"))
    model = ScriptedModel(French=[wrong, right])
    made = translator(model).translate_utterance(asked(said, "eng", "fra", terms=terms))
    assert (made.text, made.is_doubtful, made.faults) == (right, False, ("term",))
    assert all("English: water heater\nFrench: chauffe-eau" in prompt for prompt in model.prompts)


def test_what_never_ends_is_not_taken() -> None:
    model = ScriptedModel(French=["Nous partons demain matin."] * 2)
    model.is_finished = False
    with pytest.raises(EngineError, match="length"):
        translator(model).translate_utterance(asked("We are leaving tomorrow morning.", "eng", "fra"))


def test_finished_clauses_are_told_as_they_are_written() -> None:
    model = ScriptedModel(French=["Si vous voulez, nous pouvons partir maintenant, ou attendre."])
    told: list[str] = []
    said = "If you like, we can leave now, or wait."
    translator(model).translate_utterance(asked(said, "eng", "fra", on_clause=told.append))
    assert told == ["Si vous voulez,", "Si vous voulez, nous pouvons partir maintenant,"]


def test_a_clause_that_is_wrong_is_not_told_and_ends_the_try() -> None:
    model = ScriptedModel(
        French=[
            "Sure, here is the French translation: si vous voulez, partons.",
            "Si vous voulez, partons, ou attendons.",
        ]
    )
    told: list[str] = []
    said = "If you like, we can leave now, or wait."
    translator(model).translate_utterance(asked(said, "eng", "fra", on_clause=told.append))
    assert [text for text in told if not text.startswith("Si vous voulez,")] == ["Sure,"]


def test_a_long_text_is_translated_a_few_sentences_at_a_time() -> None:
    said = "The first sentence is quite long and says a lot about nothing. " * 3
    french = "La première phrase est assez longue et dit beaucoup de choses sur rien."
    model = ScriptedModel(French=[f"{french} {french} {french}", french])
    text = said + "The last sentence is short, and it ends the text that we are talking about."
    model.answers["French"][1] = "La dernière phrase est courte, et elle termine le texte dont nous parlons."
    told: list[str] = []
    made = translator(model).translate_utterance(asked(text, "eng", "fra", on_clause=told.append))
    assert (
        made.text
        == f"{french} {french} {french} La dernière phrase est courte, et elle termine le texte dont nous parlons."
    )
    assert told[-1] == f"{french} {french} {french} La dernière phrase est courte,"
    assert model.prompts[1].count(french) == 3  # the model goes on from what it wrote


def test_line_breaks_and_lines_without_words_stay() -> None:
    model = ScriptedModel(French=["Bonjour à tous.", "Au revoir."])
    translated = translator(model).translate(
        "Hello everyone.\n\n...\nGoodbye.", Route(("eng", "fra"), Quality.GOOD), Deadline.after(30)
    )
    assert translated == "Bonjour à tous.\n\n...\nAu revoir."


def test_quotation_marks_that_nobody_said_are_taken_off() -> None:
    model = ScriptedModel(French=["« Bonjour à tous. »"])
    assert translator(model).translate_utterance(asked("Hello everyone.", "eng", "fra")).text == "Bonjour à tous."


def test_a_closed_translator_can_be_used_again() -> None:
    model = ScriptedModel(French=["Bonjour à tous."])
    engine = translator(model)
    engine.close()
    assert engine.translate_utterance(asked("Hello everyone.", "eng", "fra")).text == "Bonjour à tous."


def test_preparing_a_route_has_the_examples_of_each_hop_read() -> None:
    model = ScriptedModel()
    model.answers[""] = ["", ""]
    translator(model).prepare(Route(("fra", "eng", "deu"), Quality.DRAFT), Deadline.after(30))
    assert [prompt.split(":")[0] for prompt in model.prompts] == ["French", "English"]
