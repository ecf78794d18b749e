"""Endpointing: a stream of audio becomes utterances."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pytest

from babblefish.audio.segmenter import Segment, Segmenter
from babblefish.cli.demo import read_speech
from babblefish.domain import Samples
from babblefish.engines.contracts import TurnDetector
from babblefish.engines.silero import Silero
from babblefish.settings import Settings
from benchmarks.endpointing import IN_A_VOWEL_DB, loudness_db, utterances
from benchmarks.support import conversations
from tests.support.serving import SHARED_AUDIO

CHUNK = 512
CHUNK_MS = 32


class LevelStream:
    """A voice stream for which the mean of a chunk is its probability of speech."""

    chunk_samples = CHUNK

    def probability(self, chunk: Samples) -> float:
        assert chunk.shape == (CHUNK,)
        return float(chunk.mean())


class ScriptedTurnDetector:
    """Gives its answers in turn, and keeps what it was asked."""

    name = "scripted"

    def __init__(self, *answers: float) -> None:
        self.answers = [*answers]
        self.asked: list[Samples] = []

    def completeness(self, samples: Samples) -> float:
        self.asked.append(samples)
        return self.answers.pop(0)


class ContentTurnDetector:
    """Answers by what it is asked, as a real one does."""

    name = "content"

    def completeness(self, samples: Samples) -> float:
        return float(np.abs(samples).sum() * 1000 % 1)


def chunks(*levels: tuple[float, int]) -> Samples:
    """Return a stretch of chunks for each pair of probability and number of chunks, with a trace of its position."""
    samples = np.concatenate([np.full(count * CHUNK, level, dtype=np.float32) for level, count in levels])
    wiggle = np.arange(len(samples), dtype=np.float32) % CHUNK - (CHUNK - 1) / 2
    position = np.arange(len(samples)) // CHUNK % 50 + 1
    return (samples + wiggle * position * 1e-7).astype(np.float32)


SILENCE, SPEECH = 0.02, 0.9
SETTINGS = Settings(
    speech_threshold=0.5, pre_roll_ms=320, hangover_ms=512, min_speech_ms=160, max_utterance_s=6.4, model_dir="unused"
)


def segmenter(settings: Settings = SETTINGS) -> Segmenter:
    return Segmenter(LevelStream(), settings)


def run(samples: Samples, settings: Settings = SETTINGS) -> list[Segment]:
    one = segmenter(settings)
    return [*one.feed(samples), *one.flush()]


@pytest.mark.parametrize(
    ("answer", "silence"),
    [(0.97, 6), (0.8, 6), (0.7, 16), (0.5, 38), (0.02, 38)],
)
def test_the_silence_that_ends_an_utterance_depends_on_whether_it_is_finished(answer: float, silence: int) -> None:
    one = Segmenter(LevelStream(), SETTINGS, ScriptedTurnDetector(answer))
    assert not one.feed(chunks((SPEECH, 20), (SILENCE, silence - 1)))
    (segment,) = one.feed(chunks((SILENCE, 1)))
    assert segment.end_sample == 20 * CHUNK
    assert len(segment.samples) == (20 + min(7, silence)) * CHUNK


def test_a_hesitation_of_a_second_does_not_cut_a_sentence() -> None:
    detector = ScriptedTurnDetector(0.1, 0.95)
    one = Segmenter(LevelStream(), SETTINGS, detector)
    (segment,) = one.feed(chunks((SPEECH, 20), (SILENCE, 35), (SPEECH, 20), (SILENCE, 6)))
    assert segment.end_sample == 75 * CHUNK


def test_the_turn_detector_is_asked_once_in_each_pause_with_all_that_was_said() -> None:
    stream = chunks((SPEECH, 20), (SILENCE, 5), (SPEECH, 20), (SILENCE, 10), (SPEECH, 20), (SILENCE, 30))
    detector = ScriptedTurnDetector(0.6, 0.6)
    assert len(Segmenter(LevelStream(), SETTINGS, detector).feed(stream)) == 1
    assert [len(asked) // CHUNK for asked in detector.asked] == [20 + 5 + 20 + 6, 20 + 5 + 20 + 10 + 20 + 6]
    np.testing.assert_array_equal(detector.asked[0], stream[: 51 * CHUNK])


def test_the_turn_detector_hears_the_last_eight_seconds_whatever_has_ended_in_them() -> None:
    stream = chunks((SILENCE, 200), (SPEECH, 20), (SILENCE, 30), (SPEECH, 20), (SILENCE, 30))
    detector = ScriptedTurnDetector(0.97, 0.97)
    assert len(Segmenter(LevelStream(), SETTINGS, detector).feed(stream)) == 2
    for asked, until in zip(detector.asked, (226, 276), strict=True):
        np.testing.assert_array_equal(asked, stream[max(0, until - 250) * CHUNK : until * CHUNK])


def test_the_turn_detector_is_not_asked_about_a_click() -> None:
    detector = ScriptedTurnDetector()
    assert Segmenter(LevelStream(), SETTINGS, detector).feed(chunks((SPEECH, 4), (SILENCE, 40))) == []


def test_an_answer_counts_for_its_own_pause_only() -> None:
    one = Segmenter(LevelStream(), SETTINGS, ScriptedTurnDetector(0.1, 0.7, 0.95))
    first, second = one.feed(
        chunks((SPEECH, 20), (SILENCE, 30), (SPEECH, 20), (SILENCE, 16), (SPEECH, 20), (SILENCE, 6))
    )
    assert [first.end_sample, second.end_sample] == [70 * CHUNK, 106 * CHUNK]


def test_flush_does_not_wait_for_the_end_of_an_unfinished_sentence() -> None:
    one = Segmenter(LevelStream(), SETTINGS, ScriptedTurnDetector(0.1))
    assert not one.feed(chunks((SPEECH, 20), (SILENCE, 20)))
    (segment,) = one.flush()
    assert segment.end_sample == 20 * CHUNK


def test_an_unfinished_sentence_waits_no_shorter_than_any_other() -> None:
    patient = SETTINGS.model_copy(update={"hangover_ms": 2048})
    one = Segmenter(LevelStream(), patient, ScriptedTurnDetector(0.1))
    assert not one.feed(chunks((SPEECH, 20), (SILENCE, 63)))
    assert one.feed(chunks((SILENCE, 1)))


def test_silence_holds_no_utterance() -> None:
    assert run(chunks((SILENCE, 300))) == []


def test_an_utterance_that_has_not_ended_can_be_looked_at_without_changing_it() -> None:
    stream = chunks((SILENCE, 40), (SPEECH, 20), (SILENCE, 2), (SPEECH, 3), (SILENCE, 40))
    one = segmenter()
    seen, segments = [], []
    for chunk in stream.reshape(-1, CHUNK):
        segments += one.feed(chunk)
        seen.append((one.is_speaking, round(one.speech_s * 1000), len(one.so_far()) // CHUNK))
    assert seen[39] == (False, 0, 0)
    assert seen[40] == (True, CHUNK_MS, 11)  # with ten chunks of pre-roll
    assert seen[59] == (True, 20 * CHUNK_MS, 30)
    assert seen[61] == (False, 20 * CHUNK_MS, 32)
    assert seen[64] == (True, 23 * CHUNK_MS, 35)
    assert seen[-1] == (False, 0, 0)
    assert [len(segment.samples) for segment in segments] == [len(segment.samples) for segment in run(stream)]


def test_an_utterance_has_its_pre_roll_and_a_short_tail() -> None:
    stream = chunks((SILENCE, 40), (SPEECH, 20), (SILENCE, 40))
    (segment,) = run(stream)
    assert segment.end_sample == 60 * CHUNK
    # 320 ms are 10 chunks of pre-roll; 200 ms of tail are 7 chunks, rounded up
    np.testing.assert_array_equal(segment.samples, stream[30 * CHUNK : 67 * CHUNK])
    assert len(segment.samples) / 16000 == pytest.approx(37 * CHUNK_MS / 1000)


def test_an_utterance_comes_out_as_soon_as_the_hangover_is_over() -> None:
    one = segmenter()
    assert one.feed(chunks((SPEECH, 20), (SILENCE, 15))) == []
    assert one.in_speech
    assert len(one.feed(chunks((SILENCE, 1)))) == 1
    assert not one.in_speech


def test_a_pause_shorter_than_the_hangover_does_not_end_an_utterance() -> None:
    (segment,) = run(chunks((SPEECH, 20), (SILENCE, 15), (SPEECH, 20), (SILENCE, 20)))
    assert segment.end_sample == 55 * CHUNK


def test_a_longer_pause_makes_two_utterances_that_share_no_audio() -> None:
    stream = chunks((SILENCE, 5), (SPEECH, 20), (SILENCE, 16), (SPEECH, 20), (SILENCE, 20))
    first, second = run(stream)
    np.testing.assert_array_equal(first.samples, stream[: 32 * CHUNK])
    # the tail of the first is over at chunk 32, so that the second has 9 chunks of pre-roll instead of 10
    np.testing.assert_array_equal(second.samples, stream[32 * CHUNK : 68 * CHUNK])


def test_a_click_is_no_utterance_and_the_shortest_word_is_one() -> None:
    assert run(chunks((SILENCE, 20), (SPEECH, 4), (SILENCE, 20))) == []
    assert len(run(chunks((SILENCE, 20), (SPEECH, 5), (SILENCE, 20)))) == 1


def test_speech_begins_at_the_threshold_and_goes_on_a_little_below_it() -> None:
    assert run(chunks((SILENCE, 20), (0.45, 30), (SILENCE, 20))) == []
    (segment,) = run(chunks((SILENCE, 20), (SPEECH, 5), (0.4, 30), (0.3, 20)))
    assert segment.end_sample == 55 * CHUNK


def test_flush_ends_an_utterance_at_once_and_keeps_its_last_samples() -> None:
    one = segmenter()
    stream = chunks((SPEECH, 21))[: 20 * CHUNK + 400]
    assert one.feed(stream) == []
    (segment,) = one.flush()
    np.testing.assert_array_equal(segment.samples, stream)
    assert segment.end_sample == len(stream)
    assert one.flush() == []
    assert not one.in_speech


def test_after_a_flush_positions_go_on_and_no_audio_comes_twice() -> None:
    one = segmenter()
    one.feed(chunks((SPEECH, 20))[: 19 * CHUNK + 100])
    one.flush()
    second = chunks((SILENCE, 3), (SPEECH, 10), (SILENCE, 16))
    (segment,) = one.feed(second)
    np.testing.assert_array_equal(segment.samples, second[: 20 * CHUNK])
    assert segment.end_sample == 19 * CHUNK + 100 + 13 * CHUNK


def test_speech_that_is_too_long_is_split_at_its_quietest_recent_moment() -> None:
    stream = chunks((SPEECH, 130), (0.36, 5), (SPEECH, 120), (SILENCE, 30))
    first, second = run(stream)
    assert 131 * CHUNK <= len(first.samples) <= 134 * CHUNK
    assert first.end_sample == len(first.samples)
    assert second.end_sample == 255 * CHUNK


class ScriptedStream:
    """A voice stream that gives these probabilities in turn."""

    chunk_samples = CHUNK

    def __init__(self, probabilities: Iterable[float]) -> None:
        self._probabilities = iter(probabilities)

    def probability(self, chunk: Samples) -> float:
        return next(self._probabilities)


def test_speech_without_a_pause_is_split_in_the_gap_between_two_words() -> None:
    talk = np.sin(np.arange(250 * CHUNK) / 8).astype(np.float32)
    talk[150 * CHUNK + 200 : 152 * CHUNK + 100] *= 0.05
    (first,) = Segmenter(ScriptedStream([0.99] * 250), SETTINGS).feed(talk)
    assert 150 * CHUNK + 200 < first.end_sample < 152 * CHUNK + 100


def test_where_it_is_loud_the_voice_detector_says_where_speech_is_split() -> None:
    loud = np.random.default_rng(1).normal(0, 0.1, 250 * CHUNK).astype(np.float32)
    heard = [0.99] * 150 + [0.4] * 5 + [0.99] * 95
    (first,) = Segmenter(ScriptedStream(heard), SETTINGS).feed(loud)
    assert 151 * CHUNK <= first.end_sample <= 154 * CHUNK


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_AUDIO.is_dir(), reason="needs the recorded speech beside the project")
def test_recorded_speech_without_a_pause_is_never_split_in_a_vowel() -> None:
    detector = Silero()
    for name, lines in conversations.recorded().items():
        heard = conversations.without_pause(1, lines, 45, speaker=name).samples
        splits = [one for one in utterances(Segmenter(detector.open_stream(), Settings()), heard) if one.is_split]
        assert splits, name
        for split in splits:
            assert loudness_db(heard, split.end_sample) < IN_A_VOWEL_DB


def test_a_split_loses_no_sample_and_keeps_every_part_short_enough() -> None:
    rng = np.random.default_rng(1)
    stream = chunks(*((float(level), 1) for level in rng.uniform(0.4, 1.0, 2000)), (SILENCE, 40))
    stream[:CHUNK] += 0.5
    segments = run(stream)
    joined = np.concatenate([segment.samples for segment in segments])
    np.testing.assert_array_equal(joined, stream[: len(joined)])
    assert len(joined) == (2000 + 7) * CHUNK
    assert all(len(segment.samples) / 16000 <= SETTINGS.max_utterance_s for segment in segments)


def test_a_word_that_a_split_tore_off_is_not_taken_for_a_click() -> None:
    stream = chunks((SPEECH, 193), (SILENCE, 5), (SPEECH, 3), (SILENCE, 30))
    segments = run(stream)
    assert [segment.end_sample for segment in segments] == [195 * CHUNK, 201 * CHUNK]


def test_after_a_split_that_only_silence_follows_nothing_comes() -> None:
    segments = run(chunks((SPEECH, 190), (SILENCE, 40)))
    assert len(segments) == 1
    assert segments[0].end_sample >= 190 * CHUNK


@pytest.mark.parametrize("detector", [None, ContentTurnDetector()])
@pytest.mark.parametrize("seed", range(8))
def test_the_same_utterances_come_out_whatever_the_length_of_the_frames(
    seed: int, detector: TurnDetector | None
) -> None:
    rng = np.random.default_rng(seed)
    levels = [(float(rng.choice([SILENCE, 0.4, SPEECH])), int(rng.integers(1, 60))) for _ in range(60)]
    stream = chunks(*levels)[: -int(rng.integers(1, CHUNK))]
    at_once = Segmenter(LevelStream(), SETTINGS, detector)
    whole = [*at_once.feed(stream), *at_once.flush()]
    assert whole
    one = Segmenter(LevelStream(), SETTINGS, detector)
    pieces: list[Segment] = []
    ends = np.cumsum(rng.choice([1, 320, 512, 1600, 4096], len(stream) // 320))
    for start, end in itertools.pairwise([0, *ends, len(stream)]):
        pieces += one.feed(stream[start : min(end, len(stream))])
    pieces += one.flush()
    assert [piece.end_sample for piece in pieces] == [segment.end_sample for segment in whole]
    for piece, segment in zip(pieces, whole, strict=True):
        np.testing.assert_array_equal(piece.samples, segment.samples)


def test_a_segment_is_known_before_it_is_sure_that_it_has_ended() -> None:
    one = segmenter()
    one.feed(chunks((SILENCE, 20), (SPEECH, 10), (SILENCE, 6)))
    assert not one.is_ending
    assert one.ending() is None
    assert not one.feed(chunks((SILENCE, 1)))
    early = one.ending()
    assert early is not None
    one.feed(chunks((SILENCE, 3)))
    later = one.ending()
    (segment,) = one.feed(chunks((SILENCE, 20)))
    for known in (early, later):
        assert known is not None
        np.testing.assert_array_equal(known.samples, segment.samples)
        assert (known.start_sample, known.end_sample) == (segment.start_sample, segment.end_sample)
        assert known.speech_s == segment.speech_s
    assert one.ending() is None


def test_a_click_is_no_segment_that_is_ending() -> None:
    one = segmenter()
    one.feed(chunks((SILENCE, 20), (SPEECH, 2), (SILENCE, 10)))
    assert one.is_ending
    assert one.ending() is None


def test_speech_that_goes_on_is_cut_at_a_pause_without_losing_a_sample() -> None:
    stream = chunks((SPEECH, 20), (SILENCE, 8), (SPEECH, 3), (SILENCE, 30))
    one = segmenter()
    one.feed(stream[: 28 * CHUNK])
    seen = one.ending()
    assert seen is not None
    one.feed(stream[28 * CHUNK : 30 * CHUNK])
    first = one.cut(len(seen.samples), seen.end_sample)
    np.testing.assert_array_equal(first.samples, seen.samples)
    assert (first.start_sample, first.end_sample, first.speech_s) == (seen.start_sample, seen.end_sample, seen.speech_s)
    assert one.length == (30 - 27) * CHUNK
    (second,) = one.feed(stream[30 * CHUNK :])  # three chunks of words are no click
    np.testing.assert_array_equal(np.concatenate([first.samples, second.samples]), stream[: 38 * CHUNK])
    assert (second.start_sample, second.end_sample) == (28 * CHUNK, 31 * CHUNK)


def test_the_quietest_moment_is_looked_for_away_from_both_ends() -> None:
    one = segmenter()
    one.feed(chunks((SPEECH, 20), (0.36, 5), (SPEECH, 40), (0.4, 5), (SPEECH, 40), (0.37, 5), (SPEECH, 5)))
    found = one.up_to_quietest(after_s=1.0, before_s=0.5)
    assert found is not None
    assert len(found.samples) == found.end_sample == 67 * CHUNK  # the quietest of those far enough from both ends
    cut = one.cut(len(found.samples), found.end_sample)
    np.testing.assert_array_equal(cut.samples, found.samples)
    assert one.in_speech
    assert one.up_to_quietest(after_s=1.0, before_s=1.0) is None


@pytest.mark.parametrize("level", [SILENCE, SPEECH])
def test_memory_stays_bounded_in_a_stream_that_never_changes(level: float) -> None:
    one = segmenter()
    frame = chunks((level, 50))
    for _ in range(40):
        one.feed(frame)
    held = sum(len(chunk) for chunk in one._chunks)
    assert held <= SETTINGS.max_utterance_s * 16000


def test_a_few_chunks_of_pre_roll_do_not_keep_a_long_frame_alive() -> None:
    one = segmenter()
    one.feed(chunks((SILENCE, 2000)))
    assert all(chunk.base is None for chunk in one._chunks)
    assert one._rest.base is None


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_AUDIO.is_dir(), reason="needs the recorded speech beside the project")
def test_each_recorded_sentence_is_one_utterance_with_all_its_words() -> None:
    detector = Silero()
    noise = np.random.default_rng(0).normal(0, 3e-4, 19200).astype(np.float32)
    clips = [read_speech(path) for path in sorted(SHARED_AUDIO.glob("test_*.wav"))]
    for clip in clips:
        one = Segmenter(detector.open_stream(), Settings())
        (segment,) = one.feed(np.concatenate([noise, clip, noise]))
        assert len(segment.samples) / 16000 > 0.5 * len(clip) / 16000
    one = Segmenter(detector.open_stream(), Settings())
    joined = np.concatenate([noise, *itertools.chain.from_iterable((clip, noise) for clip in clips)])
    assert len(one.feed(joined)) == len(clips)
