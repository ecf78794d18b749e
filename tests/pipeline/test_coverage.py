"""A transcript that leaves out half of what was said is doubtful."""

from __future__ import annotations

import pytest

from babblefish.domain import Quality, Transcript
from babblefish.pipeline.coverage import leaves_out
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


@pytest.mark.parametrize(("duration_s", "quality"), [(2.0, Quality.GOOD), (6.0, Quality.DRAFT)])
async def test_what_is_made_of_such_a_transcript_is_a_draft(
    running: Running, fakes: Fakes, duration_s: float, quality: Quality
) -> None:
    speaker, listener = await running.client(target_lang="fra"), await running.client(target_lang="eng")
    await speaker.say(speech(12, duration_s))
    (result,) = await listener.wait_for("result")
    assert (result["translation"], result["quality"]) == ("<eng> comment allez vous ce soir", quality)
