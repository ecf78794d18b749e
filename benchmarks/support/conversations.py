"""Conversations and monologues, made of recorded sentences: what is heard, and the truth about it.

A seed gives the same samples every time. The sentences are those of ``shared/audio`` (``recorded``), or any other
clips, such as those of ``speech``. They are joined with pauses, in which the room of the recording before goes on; some
sentences get a hesitation, a pause at a gap between two of their words. Such a gap is found by its level: the closure
of a stop consonant is quiet, too, but shorter, so one of the two longest quiet stretches of a sentence is taken. A
hesitation made like this has the melody of a sentence that goes on, but no drawled word before it.

The recordings of ``speakers`` have no text; each is one sentence or several, and ends with one, as LibriSpeech cuts its
test sets at the ends of sentences only (Panayotov et al. 2015). Where one of their sentences ends within a recording is
not known, so what a segmenter makes of the pauses that such a recording has itself is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines.contracts import VoiceDetector
from babblefish.engines.silero import Silero
from benchmarks.support import harness
from benchmarks.support.harness import Clip
from benchmarks.support.speech import noisy

QUIET_ROOM_DB = 40.0
"""Speech over noise in a quiet room."""

_SPEECH = 0.5
"""Probability from which a chunk is speech, as for the segmenter."""

_FRAME = SAMPLE_RATE_HZ // 100
_GAP_DB, _ABOVE_ROOM_DB = -25.0, 5.0
"""A frame is quiet so far below the loudest twentieth of a sentence, or so little above the room it was recorded in."""

_LEVEL = 0.05
"""Root mean square of every sentence."""

_ROOM_S, _AWAY_S = 0.2, 0.1
"""How much of a recording's room is kept, and how far from its speech it begins."""

_LEAST_GAP_S = 0.05
_FADE_S = 0.005
_LEAD_S, _TRAIL_S = 0.5, 2.0
"""Silence before the first and after the last sentence."""

_HESITATION_S = (0.4, 1.2)
_SHORT_GAP_S = 0.03
"""What ``without_pause`` leaves of every gap."""


@dataclass(frozen=True)
class Line:
    """A sentence that can be said.

    Attributes:
        name: Of the recording.
        lang: ISO 639-3.
        texts: ISO 639-3 → what is said and what it means; without ``lang`` where that is not known.
        samples: From the first to the last chunk of speech, at the level that all lines have.
        room: A stretch of the recording in which nobody speaks; empty where it has none.
    """

    name: str
    lang: str
    texts: Mapping[str, str]
    samples: Samples
    room: Samples

    def silence(self, length: int) -> Samples:
        """Return so many samples of the room, which goes to and fro so that it has no seams."""
        if not len(self.room):
            return np.zeros(length, dtype=np.float32)
        there_and_back = np.concatenate([self.room, self.room[::-1]])
        return np.resize(there_and_back, length)


@dataclass(frozen=True)
class Sentence:
    """What was said, and where in the samples.

    Attributes:
        text: In the language it was said in; empty where that is not known.
        lang: ISO 639-3.
        translations: ISO 639-3 → what it means in other languages.
        speaker: Who said it.
        start_sample: Of its first sound.
        end_sample: After its last sound.
    """

    text: str
    lang: str
    translations: Mapping[str, str]
    speaker: str
    start_sample: int
    end_sample: int


@dataclass(frozen=True)
class Pause:
    """A pause that was put in.

    Attributes:
        start_sample: After the sound before it.
        end_sample: Of the sound after it.
        is_inside: Whether it is inside a sentence, so that an utterance should not end here.
    """

    start_sample: int
    end_sample: int
    is_inside: bool

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (self.end_sample - self.start_sample) / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Recording:
    """What a microphone hears, and the truth about it.

    Attributes:
        name: For people.
        samples: Shape ``[n]``, 16 kHz.
        sentences: In the order in which they begin; those of two people may overlap.
        pauses: Those put in, in their order; between two sentences only where nobody speaks.
    """

    name: str
    samples: Samples
    sentences: tuple[Sentence, ...]
    pauses: tuple[Pause, ...] = ()


@dataclass
class _Tape:
    """A recording that is being put together."""

    pieces: list[tuple[int, Samples]] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    end: int = round(_LEAD_S * SAMPLE_RATE_HZ)
    last: Line | None = None

    def say(self, line: Line, speaker: str, gap: int, inside: Sequence[Pause] = ()) -> None:
        """Put a sentence, with the hesitations that were put into it, so long after the end of all before it."""
        at = self.end + (gap if self.last else 0)
        if self.last and gap > 0:
            self.pauses.append(Pause(self.end, at, is_inside=False))
            self.pieces.append((self.end, self.last.silence(gap)))
        self.pauses += [Pause(at + one.start_sample, at + one.end_sample, is_inside=True) for one in inside]
        self.pieces.append((at, line.samples))
        end = at + len(line.samples)
        meaning = {lang: text for lang, text in line.texts.items() if lang != line.lang}
        self.sentences.append(Sentence(line.texts.get(line.lang, ""), line.lang, meaning, speaker, at, end))
        if end >= self.end:
            self.end, self.last = end, line

    def recording(self, name: str, snr_db: float, seed: int) -> Recording:
        """Mix what was put, and noise."""
        trail = round(_TRAIL_S * SAMPLE_RATE_HZ)
        if self.last:
            self.pieces.append((self.end, self.last.silence(trail)))
        samples = np.zeros(self.end + trail, dtype=np.float32)
        for at, piece in self.pieces:
            samples[at : at + len(piece)] += piece
        return Recording(name, noisy(samples, snr_db, seed), tuple(self.sentences), tuple(self.pauses))


def recorded() -> dict[str, list[Line]]:
    """Return the recorded sentences of ``shared/audio``; ends the program where there are none.

    Returns:
        Those with a text by their language; those of each person in ``speakers``, which have none, by the person's
        number.
    """
    detector = Silero()
    found: dict[str, list[Line]] = {}
    for clip in harness.clips():
        found.setdefault(clip.lang, []).append(line_of(clip, detector))
    for file in sorted((harness.SHARED_AUDIO / "speakers").glob("*.flac")):
        clip = Clip(file.name, "eng", {}, read_speech(file))
        found.setdefault(file.name.split("-")[0], []).append(line_of(clip, detector))
    return found


def line_of(clip: Clip, detector: VoiceDetector) -> Line:
    """Return a clip that holds speech as a line."""
    stream = detector.open_stream()
    step = stream.chunk_samples
    chunks = clip.samples[: len(clip.samples) - len(clip.samples) % step].reshape(-1, step)
    speech = [at for at, chunk in enumerate(chunks) if stream.probability(chunk) >= _SPEECH]
    first, end = speech[0] * step, (speech[-1] + 1) * step
    samples = clip.samples[first:end]
    scale = np.float32(_LEVEL / np.sqrt(np.mean(np.square(samples))))
    away = _samples(_AWAY_S)
    rooms = [_quietest(clip.samples[: max(0, first - away)]), _quietest(clip.samples[end + away :])]
    room = min((room for room in rooms if len(room)), key=_power, default=clip.samples[:0])
    return Line(clip.name, clip.lang, clip.texts, _faded(samples * scale), room * scale)


def _quietest(samples: Samples) -> Samples:
    """Return the quietest stretch of silence, as long as is kept of a room; empty where it is shorter."""
    length = _samples(_ROOM_S)
    starts = range(0, len(samples) - length + 1, _FRAME)
    return min((samples[at : at + length] for at in starts), key=_power, default=samples[:0])


def _power(samples: Samples) -> float:
    return float(np.mean(np.square(samples)))


def monologue(
    seed: int,
    lines: Sequence[Line],
    duration_s: float = 40.0,
    *,
    speaker: str = "",
    pauses_s: tuple[float, float] = (0.2, 2.0),
    hesitating: float = 0.5,
    hesitations_s: tuple[float, float] = _HESITATION_S,
    snr_db: float = QUIET_ROOM_DB,
) -> Recording:
    """Return one person who speaks for a while.

    Args:
        seed: Of every choice and of the noise.
        lines: What is said; each once before any comes again.
        duration_s: Beyond which no further sentence begins.
        speaker: Who speaks.
        pauses_s: The shortest and the longest pause between two sentences.
        hesitating: Share of the sentences that get a hesitation, where they have a gap for one.
        hesitations_s: The shortest and the longest hesitation.
        snr_db: How far the speech is above the noise.
    """
    draw = np.random.default_rng(seed)
    tape = _Tape()
    for line in _in_turn(draw, lines):
        if tape.end > duration_s * SAMPLE_RATE_HZ:
            break
        pause = _samples(draw.uniform(*pauses_s))
        inside: tuple[Pause, ...] = ()
        if draw.random() < hesitating:
            line, inside = hesitant(line, draw.uniform(*hesitations_s), draw)
        tape.say(line, speaker, pause, inside)
    return tape.recording(f"monologue {speaker} {seed}", snr_db, seed)


def conversation(
    seed: int,
    people: Mapping[str, Sequence[Line]],
    duration_s: float = 40.0,
    *,
    gaps_s: tuple[float, float] = (0.1, 1.0),
    overlapping: float = 0.0,
    hesitating: float = 0.3,
    snr_db: float = QUIET_ROOM_DB,
) -> Recording:
    """Return people who speak in turn, one to three sentences each, as one microphone between them hears them.

    Args:
        seed: Of every choice and of the noise.
        people: What each of at least two says.
        duration_s: Beyond which no further sentence begins.
        gaps_s: The shortest and the longest silence between two sentences.
        overlapping: Share of the turns that begin up to 0.8 s before the one before has ended.
        hesitating: Share of the sentences that get a hesitation, where they have a gap for one.
        snr_db: How far the speech is above the noise.
    """
    draw = np.random.default_rng(seed)
    said = {name: _in_turn(draw, lines) for name, lines in people.items()}
    tape, speaker = _Tape(), ""
    while tape.end <= duration_s * SAMPLE_RATE_HZ:
        speaker = str(draw.choice([name for name in people if name != speaker]))
        for number in range(int(draw.integers(1, 4))):
            line = next(said[speaker])
            inside: tuple[Pause, ...] = ()
            if draw.random() < hesitating:
                line, inside = hesitant(line, draw.uniform(*_HESITATION_S), draw)
            gap = _samples(draw.uniform(*gaps_s))
            if number == 0 and draw.random() < overlapping:
                gap = -_samples(draw.uniform(0.2, 0.8))
            tape.say(line, speaker, gap, inside)
    return tape.recording(f"conversation of {', '.join(people)} {seed}", snr_db, seed)


def without_pause(
    seed: int, lines: Sequence[Line], duration_s: float = 60.0, *, speaker: str = "", snr_db: float = QUIET_ROOM_DB
) -> Recording:
    """Return somebody who does not draw breath: no silence between sentences, and 30 ms at most within them.

    Args:
        seed: Of the order and of the noise.
        lines: What is said.
        duration_s: Beyond which no further sentence begins.
        speaker: Who speaks.
        snr_db: How far the speech is above the noise.
    """
    tape = _Tape()
    for line in _in_turn(np.random.default_rng(seed), lines):
        if tape.end > duration_s * SAMPLE_RATE_HZ:
            break
        tape.say(breathless(line), speaker, 0)
    return tape.recording(f"without a pause {speaker} {seed}", snr_db, seed)


def hesitant(line: Line, pause_s: float, draw: np.random.Generator) -> tuple[Line, tuple[Pause, ...]]:
    """Put a pause into a sentence, at one of the two longest gaps away from its ends.

    Returns:
        The longer line, and the pause in it; the line as it is, and nothing, where it has no such gap.
    """
    total = len(line.samples)
    inner = [(first, last) for first, last in gaps(line) if total // 5 <= first and last <= total - total // 5]
    if not inner:
        return line, ()
    widest = sorted(inner, key=lambda gap: gap[1] - gap[0])[-2:]
    first, last = widest[int(draw.integers(len(widest)))]
    more = line.silence(max(0, _samples(pause_s) - (last - first)))
    before, after = np.split(line.samples, [(first + last) // 2])
    pause = Pause(first, last + len(more), is_inside=True)
    return replace(line, samples=np.concatenate([_faded(before), more, _faded(after)])), (pause,)


def breathless(line: Line) -> Line:
    """Return a line with at most 30 ms of each of its gaps."""
    kept: list[Samples] = []
    at, half = 0, _samples(_SHORT_GAP_S) // 2
    for first, last in gaps(line):
        kept.append(_faded(line.samples[at : first + half]))
        at = last - half
    return replace(line, samples=np.concatenate([*kept, _faded(line.samples[at:])]))


def gaps(line: Line) -> list[tuple[int, int]]:
    """Return first and end sample of each stretch of 50 ms or more in which hardly more than the room is heard."""
    levels = _levels_db(line.samples)
    limit = _GAP_DB
    if len(line.room):
        limit = max(limit, 10 * np.log10(_power(line.room) / _loud(line.samples)) + _ABOVE_ROOM_DB)
    quiet = np.concatenate([[False], levels < limit, [False]])
    edges = np.flatnonzero(quiet[1:] != quiet[:-1]) * _FRAME
    found = [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
    return [(first, last) for first, last in found if last - first >= _samples(_LEAST_GAP_S)]


def _frame_powers(samples: Samples) -> NDArray[np.float64]:
    whole = samples[: len(samples) - len(samples) % _FRAME].astype(np.float64)
    return np.asarray(np.mean(np.square(whole.reshape(-1, _FRAME)), axis=1))


def _loud(samples: Samples) -> float:
    return float(np.quantile(_frame_powers(samples), 0.95))


def _levels_db(samples: Samples) -> NDArray[np.float64]:
    """Return the level of each 10 ms, in decibels above the loudest twentieth."""
    return np.asarray(10 * np.log10(np.maximum(_frame_powers(samples) / _loud(samples), 1e-12)))


def _faded(samples: Samples) -> Samples:
    """Return samples that begin and end softly, so that a cut is no click."""
    ramp = np.linspace(0, 1, min(_samples(_FADE_S), len(samples) // 2), dtype=np.float32)
    faded = samples.copy()
    faded[: len(ramp)] *= ramp
    faded[len(faded) - len(ramp) :] *= ramp[::-1]
    return faded


def _in_turn(draw: np.random.Generator, lines: Sequence[Line]) -> Iterator[Line]:
    """Yield lines in an order drawn by lot, then in another one, without end."""
    while True:
        yield from (lines[at] for at in draw.permutation(len(lines)))


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)
