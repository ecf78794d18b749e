"""A transcript that leaves out half of what was said is doubtful, and so is a text that says more than was said."""

from __future__ import annotations

import pytest

from babblefish.domain import Quality, Transcript
from babblefish.pipeline.coverage import doubtful, leaves_out, says_more
from tests.support.fakes import Fakes, speech
from tests.support.serving import Running


@pytest.mark.parametrize(
    ("text", "lang", "speech_s", "leaves"),
    [
        ("Personne n'est en mesure de prendre votre appel en ce moment.", "fra", 4.0, False),
        ("Personne n'est en mesure de prendre votre appel en ce moment.", "fra", 7.0, True),
        ("My favourite number is 3061.", "eng", 4.0, False),
        ("No!", "eng", 2.0, False),
        ("Спасибо большое.", "rus", 5.0, True),
        ("我明天不能来,对不起。", "cmn", 3.0, False),
        ("नमस्ते, आप कैसे हैं?", "hin", 3.0, False),
        ("", "eng", 3.0, True),
    ],
)
def test_too_few_letters_for_the_speech_mean_that_something_is_missing(
    text: str, lang: str, speech_s: float, leaves: bool
) -> None:
    assert leaves_out(Transcript(text, lang, 0.9, 0.9), speech_s) == leaves


@pytest.mark.parametrize(
    ("text", "speech_s", "more"),
    [
        ("Hello.", 0.58, False),
        ("Hello, how are you?", 0.58, True),
        ("Hello, how are you?", 0.8, False),
        # As people and voices say them; of the last one the voice detector hears a third.
        ("Personne n'est en mesure de prendre votre appel en ce moment.", 2.56, False),
        ("Die Werbung vermittelt einen falschen Eindruck.", 2.08, False),
        ("Фокстрот.", 0.19, False),
        ("人人生而自由,在尊严和权利上一律平等。", 3.9, False),
        ("人人生而自由,在尊严和权利上一律平等。", 1.2, True),
        ("すべての人間は、生まれながらにして自由である。", 3.0, False),
        ("すべての人間は、生まれながらにして自由である。", 1.0, True),
        ("안녕하세요, 만나서 반갑습니다.", 2.0, False),
        ("안녕하세요, 만나서 반갑습니다.", 0.6, True),
        ("नमस्ते, आप कैसे हैं?", 1.2, False),
        ("नमस्ते, आप कैसे हैं?", 0.4, True),
    ],
)
def test_more_letters_than_the_speech_has_room_for_were_not_said(text: str, speech_s: float, more: bool) -> None:
    assert says_more(text, speech_s) == more


def test_a_translation_that_says_more_than_the_speech_is_doubted_by_itself() -> None:
    transcript = Transcript("Hello.", "eng", 1.0, 0.9)
    texts = {"eng": "Hello.", "fra": "Bonjour, comment allez-vous ce soir ?", "deu": "Hallo."}
    assert doubtful(transcript, texts, 0.58) == {"fra"}


@pytest.mark.parametrize(("duration_s", "quality"), [(0.7, Quality.DRAFT), (2.0, Quality.GOOD), (6.0, Quality.DRAFT)])
async def test_what_is_made_of_such_a_transcript_is_a_draft(
    running: Running, fakes: Fakes, duration_s: float, quality: Quality
) -> None:
    speaker, listener = await running.client(target_lang="fra"), await running.client(target_lang="eng")
    await speaker.say(speech(12, duration_s))
    (result,) = await listener.wait_for("result")
    assert (result["translation"], result["quality"]) == ("<eng> comment allez vous ce soir", quality)
