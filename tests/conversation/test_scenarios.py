"""The owner's scenarios, over the wire, with the real embedded engines."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
from collections.abc import AsyncIterator
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile

from babblefish.cli.demo import TRAILING_SILENCE_S, read_speech
from babblefish.domain import Samples
from babblefish.engines.contracts import Engines
from babblefish.languages import LANGUAGES, spoken_by
from tests.support.fakes import silence
from tests.support.serving import (
    EMBEDDED,
    ENGLISH_SPEECH,
    FRENCH_SPEECH,
    SHARED_AUDIO,
    UNHURRIED,
    Client,
    Running,
    load_engines,
    serving_on_a_port,
    spoken,
)

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def embedded() -> Engines:
    return load_engines(EMBEDDED)


@pytest.fixture
async def real(embedded: Engines) -> AsyncIterator[Running]:
    async with serving_on_a_port(EMBEDDED, embedded, UNHURRIED) as running:
        yield running
    embedded.close()


def duration_s(encoded: str) -> float:
    """Decode a spoken translation; it must hold sound, not silence."""
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(encoded)), dtype="float32")
    assert np.abs(samples).max() > 0.05
    return len(samples) / rate_hz


@pytest.mark.skipif(find_spec("misaki") is None, reason="Kokoro reads Japanese and Chinese with misaki")
def test_every_language_is_spoken_by_the_engine_that_the_table_names(embedded: Engines) -> None:
    voices = {code: embedded.synthesizer_for(code) for code in LANGUAGES}
    spoken = {code: engine.name if engine else None for code, engine in voices.items()}
    assert spoken == {code: spoken_by(code, "embedded") for code in LANGUAGES}


async def test_pierre_speaks_into_one_client_and_dans_phone_shows_and_says_english(real: Running) -> None:
    phone = await real.client(target_lang="eng", name="Pierre")
    await phone.say(read_speech(FRENCH_SPEECH))
    (result,) = await phone.wait_for("result", timeout_s=PATIENCE_S)
    assert (result["source_lang"], result["speaker_name"], result["quality"]) == ("fra", "Pierre", "good")
    assert "happy to see you tonight" in result["translation"]
    assert result["tts_voice"] == "kokoro:af_heart"
    assert 3 < duration_s(result["tts_audio"]) < 15


async def test_two_voices_in_turn_on_one_client_are_both_named(real: Running) -> None:
    phone = await real.client(target_lang="spa", name="Claire", mode="stream", audio="stream")
    for speech in (FRENCH_SPEECH, ENGLISH_SPEECH) * 2:
        await phone.stream(read_speech(speech))
        await phone.stream(silence(1.0))
    # A reader's pause may make two utterances of one reading.
    await phone.wait_until(lambda: _turns(phone) == ["fra", "eng", "fra", "eng"], PATIENCE_S)
    names = {(result["source_lang"], result["speaker_name"]) for result in phone.of_type("result")}
    assert names == {("fra", "Claire"), ("eng", "Speaker 2")}
    await phone.send_message(type="rename_speaker", speaker_id="speaker_2", name="Dan")
    await phone.wait_for("speaker", 3)
    await phone.stream(read_speech(ENGLISH_SPEECH))
    await phone.stream(silence(1.0))
    await phone.wait_until(lambda: phone.of_type("result")[-1]["speaker_name"] == "Dan", PATIENCE_S)


def _turns(client: Client) -> list[str]:
    """Return the languages spoken, one after another."""
    return [lang for lang, _ in itertools.groupby(result["source_lang"] for result in client.of_type("result"))]


async def test_three_clients_with_three_languages_each_hear_the_others_in_their_own(
    real: Running, embedded: Engines
) -> None:
    people = {
        "Claire": ("fra", FRENCH_SPEECH, await real.client(target_lang="fra", name="Claire")),
        "Dan": ("eng", ENGLISH_SPEECH, await real.client(target_lang="eng", name="Dan")),
        "Ines": ("spa", None, await real.client(target_lang="spa", name="Ines")),
    }
    # Not what somebody has just been heard to say: the server would take that for its own translation.
    question = spoken(embedded, "¿Dónde está la estación de autobuses?", "spa")
    for count, (_, file, client) in enumerate(people.values(), start=1):
        await client.say(read_speech(file) if file else question)
        await client.wait_for("result", count, PATIENCE_S)
    for lang, _, client in people.values():
        results = {result["speaker_name"]: result for result in await client.wait_for("result", 3, PATIENCE_S)}
        assert results.keys() == people.keys()
        for speaker, result in results.items():
            source_lang = people[speaker][0]
            assert (result["source_lang"], result["target_lang"]) == (source_lang, lang)
            if source_lang == lang:
                assert (result["quality"], result["tts_audio"]) == ("original", None)
            else:
                assert result["translation"] != result["source_text"]
                assert duration_s(result["tts_audio"]) > 1


async def test_a_language_that_kokoro_does_not_speak_is_spoken_by_espeak(real: Running) -> None:
    listener = await real.client(target_lang="deu")
    await listener.say(read_speech(FRENCH_SPEECH))
    (result,) = await listener.wait_for("result", timeout_s=PATIENCE_S)
    assert result["tts_voice"] == "espeak:de+f2", "Pierre's voice is high"
    assert duration_s(result["tts_audio"]) > 1


async def test_polish_listeners_are_told_that_there_is_no_way_to_polish(real: Running) -> None:
    marek = await real.client(target_lang="pol")
    await marek.say(read_speech(FRENCH_SPEECH))
    (result,) = await marek.wait_for("result", timeout_s=PATIENCE_S)
    assert (result["requested_lang"], result["target_lang"], result["quality"]) == ("pol", "eng", "untranslated")


async def test_what_pierre_says_is_read_in_english_while_he_says_it(real: Running) -> None:
    pierre = await real.client(target_lang="fra", name="Pierre", mode="stream", audio="none")
    dan = await real.client(target_lang="eng", mode="stream", audio="none")
    await pierre.stream(read_speech(FRENCH_SPEECH), paced=True, silence_s=TRAILING_SILENCE_S)
    results = await dan.wait_for("result", timeout_s=PATIENCE_S)
    partials = dan.of_type("partial")
    assert dan.messages.index(partials[0]) < dan.messages.index(results[0])
    for result in results:  # a reader's pause may make two utterances of it
        read = [partial for partial in partials if partial["utterance_id"] == result["utterance_id"]]
        assert {(partial["source_lang"], partial["target_lang"], partial["name"]) for partial in read} <= {
            ("fra", "eng", "Pierre")
        }
        for partial in read:
            # Of half a sentence another translation may be as good, but what was heard is mostly the same.
            shared = words(partial["source_text"]) & words(result["source_text"])
            assert len(shared) > len(words(partial["source_text"])) / 2
    assert {partial["utterance_id"] for partial in partials} <= {result["utterance_id"] for result in results}


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


async def test_noise_and_silence_are_not_words(real: Running) -> None:
    client = await real.client(target_lang="eng")
    noise = np.random.default_rng(3).normal(0, 0.1, 48000).astype(np.float32)
    for samples in (noise, silence(2.0), np.clip(noise * 100, -1, 1)):
        await client.say(samples)
    errors = await client.wait_for("error", 3, PATIENCE_S)
    assert {error["code"] for error in errors} == {"no_speech"}
    await client.say(read_speech(ENGLISH_SPEECH))
    await client.wait_for("result", timeout_s=PATIENCE_S)


@pytest.mark.skipif(not SHARED_AUDIO.is_dir(), reason="no recorded speech beside the project")
async def test_recorded_speech_in_six_languages_is_understood(real: Running) -> None:
    listener = await real.client(target_lang="eng", audio="none")
    entries = json.loads((SHARED_AUDIO / "manifest.json").read_text())["utterances"]
    speakers = {entry["lang"]: await real.client(target_lang="eng", audio="none") for entry in entries}
    for entry in entries:
        before = len(listener.of_type("result"))
        await speakers[entry["lang"]].say(read_speech(SHARED_AUDIO / entry["file"]))
        await listener.wait_for("result", before + 1, PATIENCE_S)
    results = listener.of_type("result")
    assert [result["source_lang"] for result in results] == [entry["lang"] for entry in entries]
    assert "ask what you can do for your country" in results[-1]["translation"]


@pytest.mark.skipif(not SHARED_AUDIO.is_dir(), reason="no recorded speech beside the project")
async def test_two_recorded_voices_keep_their_names(real: Running) -> None:
    client = await real.client(target_lang="eng", source_lang="eng", audio="none")
    french = await real.client(target_lang="fra", audio="stream")
    wanted = []
    for number in range(4):
        for speaker in ("1688-142285", "2033-164914"):
            file = SHARED_AUDIO / "speakers" / f"{speaker}-{number:04d}.flac"
            samples: Samples = read_speech(file)[: 16000 * 8]
            await client.say(samples)
            wanted.append(speaker)
            await client.wait_for("result", len(wanted), PATIENCE_S)
    heard = [result["speaker_id"] for result in client.of_type("result")]
    assert len(set(zip(wanted, heard, strict=True))) == 2
    results = await french.wait_for("result", len(wanted), PATIENCE_S)
    spoken_by = [(result["speaker_id"], result["tts_voice"]) for result in results]
    assert len(set(spoken_by)) == len({voice for _, voice in spoken_by}) == 2, "each is heard in a voice of their own"


async def test_what_claire_types_is_read_and_heard_in_english_and_spanish(real: Running) -> None:
    claire = await real.client(target_lang="fra", name="Claire")
    english = await real.client(target_lang="eng")
    spanish = await real.client(target_lang="spa", audio="stream", mode="stream")
    await claire.say_text("Le train pour Lyon part à sept heures du soir.")
    (result,) = await english.wait_for("result", timeout_s=PATIENCE_S)
    assert (result["source_lang"], result["speaker_name"], result["typed"]) == ("fra", "Claire", True)
    assert {"train", "Lyon", "7"} <= set(re.findall(r"\w+", result["translation"].replace("seven", "7")))
    assert 1 < duration_s(result["tts_audio"]) < 10
    await spanish.wait_until(lambda: any(piece["last"] for piece in spanish.of_type("speech")), PATIENCE_S)
    assert "tren" in spanish.of_type("result")[0]["translation"]
    await claire.say_text("\U0001f44d")
    thumb = (await english.wait_for("result", 2, PATIENCE_S))[-1]
    assert (thumb["translation"], thumb["tts_audio"]) == ("\U0001f44d", None)


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("Wo ist der Bahnhof?", "deu"),
        ("Dziękuję bardzo, do widzenia!", "pol"),
        ("¿Cuánto cuesta esto?", "spa"),
        ("Спасибо большое", "rus"),
        ("ありがとう", "jpn"),
        ("Schmidt", "eng"),
    ],
)
async def test_the_language_of_what_is_typed_is_told_by_its_text(real: Running, text: str, lang: str) -> None:
    client = await real.client(target_lang="eng", audio="none")
    await real.client(target_lang="fra", audio="none")
    await client.say_text(text)
    (result,) = await client.wait_for("result", timeout_s=PATIENCE_S)
    assert result["source_lang"] == lang
