"""Who repeats what the loudspeaker said, to confirm it, is no echo of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from babblefish.audio import pcm
from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples, Transcript
from babblefish.engines import registry
from babblefish.engines.contracts import SpeechRequest, SpeechTranslation, Synthesizer
from babblefish.engines.profiles import choose
from babblefish.settings import Settings
from tests.support.fakes import PHRASES, Fakes, speech
from tests.support.serving import SHARED_AUDIO, Client, Running, serving
from tests.support.waiting import until

PIERRES, ENGLISH = 12, "<eng> comment allez vous ce soir"


@pytest.fixture(autouse=True)
def what_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The translation of what Pierre says, said by the voices 1 to 4."""
    for voice in range(1, 5):
        monkeypatch.setitem(PHRASES, 10 * voice + 9, ("eng", ENGLISH))


async def say_in_french(phone: Client) -> None:
    """Let Pierre say something, and the phone that he shares with Dan say the English of it."""
    said = len(phone.of_type("result"))
    await phone.say(speech(PIERRES))
    await phone.wait_for("result", said + 1)
    await until(lambda: any(piece["last"] for piece in phone.of_type("speech")))


async def say(phone: Client, phrase: int) -> str:
    """Say something; return the id of the speaker, or the code of the error."""
    said = len(phone.of_type("result"))
    await phone.say(speech(phrase))
    await until(lambda: phone.of_type("error") or len(phone.of_type("result")) > said)
    errors = phone.of_type("error")
    return str(errors[0]["code"] if errors else phone.of_type("result")[-1]["speaker_id"])


@pytest.fixture
async def phone(running: Running) -> Client:
    return await running.client(target_lang="eng", audio="stream")


async def test_a_person_known_by_voice_may_repeat_what_was_spoken(phone: Client) -> None:
    assert await say(phone, 21) == "speaker_1"
    await say_in_french(phone)
    assert await say(phone, 29) == "speaker_1"
    assert phone.of_type("result")[-1]["source_text"] == ENGLISH


async def test_an_unknown_voice_that_repeats_what_was_spoken_is_an_echo(phone: Client) -> None:
    await say_in_french(phone)
    assert await say(phone, 49) == "echo"


async def test_what_sounds_more_like_the_voice_that_speaks_than_like_a_person_is_an_echo(phone: Client) -> None:
    await say_in_french(phone)
    # to the scripted encoder, the scripted synthesizer has Pierre's voice
    assert await say(phone, 19) == "echo"


async def test_a_voice_only_ever_heard_while_a_loudspeaker_spoke_may_be_the_loudspeakers(phone: Client) -> None:
    await say_in_french(phone)
    assert await say(phone, 22) == "speaker_2"  # other words, as an echo is misheard now and then
    assert await say(phone, 29) == "echo"


async def test_a_broken_speaker_encoder_leaves_the_words_to_decide(phone: Client, fakes: Fakes) -> None:
    await say(phone, 21)
    await say_in_french(phone)
    fakes.speaker_encoder.broken = True
    assert await say(phone, 29) == "echo"


def through_a_loudspeaker(samples: Samples) -> Samples:
    """Speech as an open microphone hears it: quiet, with the echo of a room and with noise."""
    random = np.random.default_rng(1)
    decay_s = 0.3
    length = int(decay_s * SAMPLE_RATE_HZ)
    room = 0.03 * random.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    room[0] = 1.0
    heard = np.convolve(samples, room)
    heard *= 0.05 / np.abs(heard).max()
    return (heard + 0.002 * random.standard_normal(len(heard))).astype(np.float32)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_AUDIO.is_dir(), reason="needs the recorded speech beside the project")
async def test_kokoro_from_a_loudspeaker_is_an_echo_and_a_person_who_says_the_same_is_not(
    settings: Settings, fakes: Fakes
) -> None:
    words = "I would like to book a table for two people tomorrow evening"
    parts = registry.Parts(settings, choose(settings))
    kokoro: Synthesizer = parts.kokoro.load()
    first, second = (
        read_speech(SHARED_AUDIO / "speakers" / f"2609-156975-000{n}.flac")[: 4 * SAMPLE_RATE_HZ] for n in (1, 2)
    )
    pieces = list(kokoro.synthesize(words, "eng", Deadline.after(60)))
    spoken = pcm.resample(np.concatenate([piece.samples for piece in pieces]), pieces[0].sample_rate_hz)
    texts = iter(["what was said before", None, words, words])

    def translate(request: SpeechRequest) -> SpeechTranslation:
        text = next(texts)
        if text is None:
            return SpeechTranslation(
                Transcript("je voudrais", "fra", 1.0, 1.0), {"eng": words} if request.choose_targets("fra") else {}
            )
        request.choose_targets("eng")
        return SpeechTranslation(Transcript(text, "eng", 1.0, 1.0), {})

    fakes.speech_translator.translate = translate  # type: ignore[method-assign]
    engines = replace(fakes.engines, speaker_encoder=parts.speaker_encoder.load(), synthesizers=(kokoro,))
    async with serving(settings, engines) as running:
        pierre = await running.client(target_lang="fra", audio="none")
        dan = await running.client(client_id="dan", target_lang="eng", audio="stream")
        await dan.say(first)
        await dan.wait_for("result")
        await pierre.say(read_speech(SHARED_AUDIO / "speakers" / "1688-142285-0001.flac")[: 3 * SAMPLE_RATE_HZ])
        await until(lambda: any(piece["last"] for piece in dan.of_type("speech")))
        await dan.say(through_a_loudspeaker(spoken))
        (error,) = await dan.wait_for("error")
        assert error["code"] == "echo"
        await dan.say(second)
        *_, repeated = await dan.wait_for("result", 3)
        assert (repeated["source_text"], repeated["client_id"]) == (words, "dan")
        assert repeated["speaker_id"] == dan.of_type("result")[0]["speaker_id"]
