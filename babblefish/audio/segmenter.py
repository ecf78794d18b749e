"""Endpointing: cuts a stream of audio into utterances, on sample time, without clock or threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines.contracts import Engines, TurnDetector, VoiceStream
from babblefish.settings import Settings

_HYSTERESIS = 0.15
"""Speech goes on while its probability is no further than this below the threshold (Silero's own value)."""

_TAIL_MS = 200
"""Silence kept after the last chunk of speech, for a last consonant too soft to count as speech."""

_SPLIT_WINDOW_S = 5.0
"""Overlong speech is split within its last seconds, so that most of it keeps its context."""

_SPLIT_STRETCH_MS = 160
"""Over which the voice detector's answers count: a short breath, longer than most consonants."""

_SPLIT_HALF_MS = 30
"""On either side of a cut, over which the level counts: a gap between two words."""

_SPLIT_VOICE_DB = 10.0
"""How much louder a stretch may be that the voice detector takes for none than one that it takes for speech."""

_ASK_MS = 192
"""Silence after which the turn detector is asked: what it was trained with, in whole chunks of Silero."""

_HEARD_MS = 8000
"""What the turn detector hears, whatever of it belongs to earlier utterances: as much as it can use. By the end of an
utterance alone it is more often sure of too much."""

_FINISHED, _UNFINISHED = 0.8, 0.5
"""What the turn detector answers of a sentence that is finished, and that is not, see ``benchmarks/endpointing.py``."""

_PAUSE_MS = 160
"""A pause within an utterance, in which somebody else may have begun to speak; a stop consonant is shorter."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of speech cut out of a stream.

    Attributes:
        samples: Shape ``[n]``, 16 kHz, with pre-roll and a short tail of silence.
        start_sample: Position in the stream, in samples from its start, at which the speech began.
        end_sample: Position in the stream, in samples from its start, at which the speech ended; the samples fed
            since then are the part of the latency that went into making sure.
        speech_s: Seconds of it that are speech.
        pauses: Where in ``samples`` the middle of each pause is that was too short to end it.
    """

    samples: Samples
    start_sample: int
    end_sample: int
    speech_s: float
    pauses: tuple[int, ...] = ()

    def cut(self, places: Sequence[int]) -> list[Segment]:
        """Return the segments that it is made of when it is cut at some samples.

        Where in the stream they end is known to some 100 ms, and their speech by their length.
        """
        total = len(self.samples)
        ends = [self.end_sample - (total - place) for place in places]
        starts = [self.start_sample, *ends]
        return [
            Segment(
                self.samples[first:last],
                start,
                end,
                self.speech_s * (last - first) / total,
                tuple(pause - first for pause in self.pauses if first < pause < last),
            )
            for (first, last), start, end in zip(
                pairwise([0, *places, total]), starts, [*ends, self.end_sample], strict=True
            )
        ]


def open_segmenter(engines: Engines, settings: Settings) -> Segmenter:
    """Return what finds the utterances of one stream."""
    return Segmenter(engines.voice_detector.open_stream(), settings, engines.turn_detector)


class SpeechMeter:
    """Measures how much of an utterance is speech, by the rule that the segmenter goes by.

    Args:
        voice_stream: Fresh.
        settings: For ``speech_threshold``.
    """

    def __init__(self, voice_stream: VoiceStream, settings: Settings) -> None:
        self._voice = voice_stream
        self._threshold = settings.speech_threshold
        self._rest: Samples = np.empty(0, dtype=np.float32)
        self._speaks = False
        self._chunks = 0

    @property
    def speech_s(self) -> float:
        """Seconds of speech so far."""
        return self._chunks * self._voice.chunk_samples / SAMPLE_RATE_HZ

    def feed(self, samples: Samples) -> None:
        """Take the next part of the utterance, of any length."""
        step = self._voice.chunk_samples
        data = np.concatenate((self._rest, samples))
        whole = len(data) - len(data) % step
        self._rest = data[whole:]
        for chunk in data[:whole].reshape(-1, step):
            threshold = self._threshold - (_HYSTERESIS if self._speaks else 0.0)
            self._speaks = self._voice.probability(chunk) >= threshold
            self._chunks += self._speaks


class Segmenter:
    """Finds the utterances of one stream; the same ones, whatever the length of the frames.

    It decides chunk by chunk and holds at most ``max_utterance_s`` of audio, and the last eight seconds, in endless
    speech as in endless silence.

    Args:
        voice_stream: Voice activity of this stream, and of no other.
        settings: For ``speech_threshold``, ``pre_roll_ms``, ``hangover_ms``, ``longest_hangover_ms``,
            ``min_speech_ms``, ``max_utterance_s``.
        turn_detector: Says once in each pause whether the speaker has finished, which decides how long the silence has
            to be that ends the utterance; without it, it is ``hangover_ms``.
    """

    def __init__(
        self, voice_stream: VoiceStream, settings: Settings, turn_detector: TurnDetector | None = None
    ) -> None:
        self._voice = voice_stream
        self._turn_detector = turn_detector
        self._chunk_samples = voice_stream.chunk_samples
        self._enter = settings.speech_threshold
        self._stay = max(0.01, settings.speech_threshold - _HYSTERESIS)
        self._pre_roll = self._chunks_in(settings.pre_roll_ms)
        self._hangover = self._chunks_in(settings.hangover_ms)
        self._longest_hangover = max(self._hangover, self._chunks_in(settings.longest_hangover_ms))
        self._ask = self._chunks_in(_ASK_MS)
        self._min_speech = self._chunks_in(settings.min_speech_ms)
        self._tail = self._chunks_in(_TAIL_MS)
        self._longest = int(settings.max_utterance_s * SAMPLE_RATE_HZ) // self._chunk_samples
        self._split_window = min(self._chunks_in(_SPLIT_WINDOW_S * 1000), self._longest // 2)
        self._split_stretch = self._chunks_in(_SPLIT_STRETCH_MS)
        self._heard: deque[Samples] = deque(maxlen=self._chunks_in(_HEARD_MS))
        self._pause = self._chunks_in(_PAUSE_MS)

        self._rest: Samples = np.empty(0, dtype=np.float32)
        self._start_sample = 0
        self._chunks: list[Samples] = []
        self._probabilities: list[float] = []
        self._is_speech: list[bool] = []
        self._speech_end = 0
        """Number of chunks up to and with the last one of speech; 0 outside speech."""
        self._is_continuation = False
        self._needed = self._hangover
        """Chunks of silence that end the utterance, by what is known of its end."""

    def _chunks_in(self, milliseconds: float) -> int:
        return -int(-milliseconds * SAMPLE_RATE_HZ // (1000 * self._chunk_samples))

    @property
    def in_speech(self) -> bool:
        """Whether someone speaks, or did so lately that it may go on; true for a click, too, until it proves one."""
        return self._speech_end > 0

    @property
    def is_speaking(self) -> bool:
        """Whether the newest chunk is speech."""
        return self.in_speech and self._is_speech[-1]

    @property
    def is_ending(self) -> bool:
        """Whether the silence is as long as an utterance keeps of it, but not yet long enough to end one."""
        return self.in_speech and len(self._chunks) - self._speech_end >= self._tail

    @property
    def length(self) -> int:
        """Samples of the utterance that has not ended; 0 outside speech."""
        return len(self._chunks) * self._chunk_samples if self.in_speech else 0

    @property
    def speech_s(self) -> float:
        """Seconds of speech in the utterance that has not ended."""
        return self._speech_s(len(self._chunks)) if self.in_speech else 0.0

    def so_far(self) -> Samples:
        """Return the utterance that has not ended, shape ``[n]``; empty outside speech."""
        return np.concatenate(self._chunks) if self.in_speech else np.empty(0, dtype=np.float32)

    def ending(self) -> Segment | None:
        """Return the segment that there will be if the silence goes on, or None where it would be a click."""
        if not (self.is_ending and self._is_long_enough):
            return None
        count = self._speech_end + self._tail
        return self._segment(count, *self._span(count))

    def up_to_quietest(self, after_s: float, before_s: float) -> Segment | None:
        """Return the segment that there would be if speech that has not ended were cut at its quietest moment.

        Args:
            after_s: That moment is no sooner after the beginning.
            before_s: And no later before now.
        """
        first, last = self._chunks_in(after_s * 1000), len(self._chunks) - self._chunks_in(before_s * 1000)
        if not self.in_speech or last - first < self._split_stretch:
            return None
        count = self._quietest(first, last)
        return self._segment(count, self._span(count)[0], self._start_sample + count * self._chunk_samples)

    def cut(self, length: int, end_sample: int) -> Segment:
        """End the utterance that goes on within itself; the rest of it goes on as the next one.

        Args:
            length: In samples, as of a segment that ``ending`` or ``up_to_quietest`` returned for this utterance.
            end_sample: The same segment's.
        """
        segment = self._cut(length // self._chunk_samples, end_sample)
        # What was cut off may be few words, yet it is words: no click.
        self._is_continuation = self.in_speech
        return segment

    def feed(self, samples: Samples) -> list[Segment]:
        """Take the next frame of the stream, of any length, and return the utterances that it ended."""
        data = np.concatenate((self._rest, samples))
        whole = len(data) - len(data) % self._chunk_samples
        self._rest = data[whole:].copy()
        return list(self._segments(data[:whole].reshape(-1, self._chunk_samples)))

    def flush(self) -> list[Segment]:
        """End the utterance now, without waiting for silence, and begin anew."""
        if len(self._rest):
            padded = np.pad(self._rest, (0, self._chunk_samples - len(self._rest)))
            self._take(self._rest, self._voice.probability(padded))
            self._rest = self._rest[:0]
        segments = list(self._end()) if self.in_speech else []
        self._drop(len(self._chunks))
        return segments

    def _segments(self, chunks: Iterable[Samples]) -> Iterator[Segment]:
        for chunk in chunks:
            # a copy, so that a few chunks of pre-roll do not keep a frame of a minute alive
            self._take(chunk.copy(), self._voice.probability(chunk))
            if not self.in_speech:
                self._drop(len(self._chunks) - self._pre_roll)
            elif self._is_over():
                yield from self._end()
            elif len(self._chunks) >= self._longest:
                yield self._split()

    def _is_over(self) -> bool:
        """Say whether the silence is long enough; asks the turn detector once in each pause."""
        silence = len(self._chunks) - self._speech_end
        if silence == 0:
            self._needed = self._hangover
        elif silence == self._ask and self._turn_detector is not None and self._is_long_enough:
            completeness = self._turn_detector.completeness(np.concatenate(self._heard))
            if completeness >= _FINISHED:
                self._needed = silence
            elif completeness <= _UNFINISHED:
                self._needed = self._longest_hangover
        return silence >= self._needed

    def _take(self, chunk: Samples, probability: float) -> None:
        is_speech = probability >= (self._stay if self.in_speech else self._enter)
        self._chunks.append(chunk)
        self._heard.append(chunk)
        self._probabilities.append(probability)
        self._is_speech.append(is_speech)
        if is_speech:
            self._speech_end = len(self._chunks)

    def _drop(self, count: int) -> None:
        """Let go of the first ``count`` chunks, if it is above zero."""
        count = max(0, count)
        self._start_sample += sum(len(chunk) for chunk in self._chunks[:count])
        del self._chunks[:count], self._probabilities[:count], self._is_speech[:count]
        self._speech_end = max(0, self._speech_end - count)

    @property
    def _is_long_enough(self) -> bool:
        return self._is_continuation or sum(self._is_speech) >= self._min_speech

    def _span(self, count: int) -> tuple[int, int]:
        """Return where the speech in the first ``count`` chunks begins, and where the speech so far ends."""
        is_speech = self._is_speech[:count]
        before = is_speech.index(True) if any(is_speech) else 0
        end = sum(len(chunk) for chunk in self._chunks[: self._speech_end])
        return self._start_sample + before * self._chunk_samples, self._start_sample + end

    def _cut(self, count: int, end_sample: int | None = None) -> Segment:
        start_sample, speech_end_sample = self._span(count)
        segment = self._segment(count, start_sample, speech_end_sample if end_sample is None else end_sample)
        self._drop(count)
        return segment

    def _segment(self, count: int, start_sample: int, end_sample: int) -> Segment:
        samples = np.concatenate(self._chunks[:count])
        return Segment(samples, start_sample, end_sample, self._speech_s(count), tuple(self._pauses(count)))

    def _pauses(self, count: int) -> Iterator[int]:
        """Yield the middle of each pause between the first and the last speech of the first chunks."""
        at = 0
        for is_speech, chunks in groupby(self._is_speech[:count]):
            length = len(list(chunks))
            if not is_speech and at > 0 and at + length < count and length >= self._pause:
                yield (at + length // 2) * self._chunk_samples
            at += length

    def _speech_s(self, count: int) -> float:
        return sum(self._is_speech[:count]) * self._chunk_samples / SAMPLE_RATE_HZ

    def _end(self) -> Iterator[Segment]:
        """Leave speech; the silence after the tail may be the pre-roll of what comes next."""
        if self._is_long_enough:
            yield self._cut(min(len(self._chunks), self._speech_end + self._tail))
        self._speech_end = 0
        self._is_continuation = False
        self._is_speech = [False] * len(self._chunks)
        self._drop(len(self._chunks) - self._pre_roll)

    def _split(self) -> Segment:
        """Cut overlong speech at its quietest recent moment; what follows goes on as the next segment."""
        now = len(self._chunks)
        count = self._quietest(now - self._split_window, now)
        return self.cut(count * self._chunk_samples, self._start_sample + count * self._chunk_samples)

    def _quietest(self, first: int, last: int) -> int:
        """Return between which two of the chunks it is quietest: by the level, and by the voice detector.

        In speech without a pause the voice detector is as sure in a gap between two words as it is in a vowel, and
        where it is loud the level says as little.

        Args:
            first: Number of the first chunk that is looked at.
            last: Number of the one after the last.
        """
        squares = np.square(np.concatenate(self._chunks[first:last]), dtype=np.float64)
        half = _SPLIT_HALF_MS * SAMPLE_RATE_HZ // 1000
        cuts = np.arange(1, last - first) * self._chunk_samples
        total = np.concatenate([[0.0], np.cumsum(squares)])
        levels_db = 10 * np.log10((total[cuts + half] - total[cuts - half]) / (2 * half) + 1e-12)
        width = self._split_stretch
        voice = np.convolve(self._probabilities[first:last], np.ones(width) / width, mode="same")[1:]
        score = levels_db + _SPLIT_VOICE_DB * voice
        return last - 1 - int(np.argmin(score[::-1]))
