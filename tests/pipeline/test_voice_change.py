"""An utterance is cut where another voice goes on after a short pause."""

from __future__ import annotations

import numpy as np
import pytest

from babblefish.audio.segmenter import Segment, Segmenter
from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ
from babblefish.engines.campplus.encoder import CamPlusPlus
from babblefish.engines.silero import Silero
from babblefish.models import install
from babblefish.pipeline.voice_change import by_voice
from babblefish.settings import Settings
from tests.support.fakes import Calls, Fakes, FakeSpeakerEncoder, FakeVoiceTracker, silence, speech
from tests.support.serving import SHARED_AUDIO, Running
from tests.support.waiting import until

CASE = SHARED_AUDIO / "cases" / "06_two_languages_gap350.wav"


READERS = sorted((SHARED_AUDIO / "speakers").glob("*-0000.flac"))


def segment(*said: tuple[int, float]) -> Segment:
    """Return what phrases make, with a pause of 0.2 s after each but the last."""
    parts = [part for phrase, seconds in said for part in (speech(phrase, seconds), silence(0.2))][:-1]
    ends = np.cumsum([len(part) for part in parts])
    pauses = tuple(int(end - 1600) for end in ends[1:-1:2])
    samples = np.concatenate(parts)
    return Segment(samples, 800, 800 + len(samples), sum(seconds for _, seconds in said), pauses)


@pytest.mark.parametrize(
    ("said", "lengths_s"),
    [
        ([(11, 2.0), (21, 2.0)], [2.1, 2.1]),
        ([(11, 2.0), (12, 2.0)], [4.2]),
        ([(11, 2.0), (21, 2.0), (11, 2.0)], [2.1, 2.2, 2.1]),
        ([(11, 0.5), (12, 0.5), (21, 2.0)], [1.3, 2.1]),
        ([(11, 0.5), (21, 3.0)], [3.7]),
        ([(11, 3.0), (21, 0.5)], [3.7]),
        ([(11, 4.0)], [4.0]),
    ],
)
def test_a_segment_is_cut_between_two_voices_of_which_enough_is_heard(
    said: list[tuple[int, float]], lengths_s: list[float]
) -> None:
    whole = segment(*said)
    parts = by_voice(whole, FakeSpeakerEncoder(Calls()))
    assert [len(part.samples) / SAMPLE_RATE_HZ for part in parts] == pytest.approx(lengths_s)
    np.testing.assert_array_equal(np.concatenate([part.samples for part in parts]), whole.samples)
    assert sum(part.speech_s for part in parts) == pytest.approx(whole.speech_s)
    assert (parts[0].start_sample, parts[-1].end_sample) == (whole.start_sample, whole.end_sample)


@pytest.mark.parametrize(
    ("said", "lengths_s"),
    [
        ([(11, 2.0), (21, 2.0)], [2.0, 2.0]),
        ([(11, 2.0), (12, 2.0)], [4.0]),
        ([(11, 2.0), (21, 2.0), (11, 2.0)], [2.0, 2.0, 2.0]),
        ([(11, 0.5), (21, 0.5), (11, 0.5)], [1.5]),
    ],
)
def test_an_encoder_that_tracks_a_voice_needs_no_pause(said: list[tuple[int, float]], lengths_s: list[float]) -> None:
    samples = np.concatenate([speech(phrase, seconds) for phrase, seconds in said])
    whole = Segment(samples, 800, 800 + len(samples), len(samples) / SAMPLE_RATE_HZ)
    parts = by_voice(whole, FakeVoiceTracker(Calls()))
    assert [len(part.samples) / SAMPLE_RATE_HZ for part in parts] == pytest.approx(lengths_s, abs=0.25)
    np.testing.assert_array_equal(np.concatenate([part.samples for part in parts]), samples)


async def test_two_who_share_a_microphone_and_answer_at_once_are_two_utterances(running: Running) -> None:
    listener = await running.client(target_lang="eng", audio="none")
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(np.concatenate([speech(11), silence(0.3), speech(21), silence(1.0)]))
    await until(lambda: len(listener.of_type("result")) == 2)
    first, second = listener.of_type("result")
    assert (first["source_lang"], second["source_lang"]) == ("fra", "eng")
    assert first["speaker_id"] != second["speaker_id"]
    assert first["utterance_id"] != second["utterance_id"]


async def test_who_pauses_is_one_utterance_and_one_whose_encoder_fails_too(running: Running, fakes: Fakes) -> None:
    listener = await running.client(target_lang="eng", audio="none")
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(np.concatenate([speech(11), silence(0.3), speech(11), silence(1.0)]))
    await listener.wait_for("result")
    fakes.speaker_encoder.broken = True
    await speaker.set(source_lang="fra")
    await speaker.stream(np.concatenate([speech(11, 3.0), silence(0.3), speech(21), silence(1.0)]))
    await listener.wait_for("result", 2)
    await speaker.catch_up()
    assert len(listener.of_type("result")) == 2


@pytest.mark.slow
@pytest.mark.skipif(not CASE.is_file(), reason="the recorded speech is not here")
def test_a_french_and_an_english_voice_in_a_third_of_a_second_are_told_apart() -> None:
    settings = Settings()
    segmenter = Segmenter(Silero().open_stream(), settings)
    segments = [*segmenter.feed(read_speech(CASE)), *segmenter.flush()]
    encoder = CamPlusPlus(install.locate("campplus", settings.model_dir), 1)
    parts = [part for whole in segments for part in by_voice(whole, encoder)]
    assert len(parts) == 2


@pytest.mark.slow
@pytest.mark.skipif(not READERS, reason="the recorded speech is not here")
def test_two_readers_without_a_pause_are_told_apart_and_one_is_left_whole() -> None:
    encoder = CamPlusPlus(install.locate("campplus", Settings().model_dir), 1)
    first, second = (read_speech(path)[SAMPLE_RATE_HZ : 4 * SAMPLE_RATE_HZ] for path in READERS[:2])
    both = np.concatenate([first, second])
    parts = by_voice(Segment(both, 0, len(both), 6.0), encoder)
    assert [len(part.samples) / SAMPLE_RATE_HZ for part in parts] == pytest.approx([3.0, 3.0], abs=0.5)
    alone = read_speech(READERS[0])
    assert len(by_voice(Segment(alone, 0, len(alone), len(alone) / SAMPLE_RATE_HZ), encoder)) == 1
