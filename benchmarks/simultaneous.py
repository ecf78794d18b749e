"""Simultaneous beside consecutive interpreting: how long a sentence waits for its translation, and what that costs.

A monologue of connected sentences (``data/monologues.json``), read by the default voice of its language with short
pauses between them, is streamed at the pace of speech to one listener, once in each way, on one server. Its speech is
synthesized, so its words are clearer and its clauses more regular than those of a person.

With ``--readers`` so many people of ``shared/audio/speakers`` read instead, in English: the recordings of each, in
their order, with pauses of 0.2 to 0.6 s. What they read is not written down. A "sentence" is then one recording, and
what the server makes of it by itself, as an utterance, stands in for its text and its meaning; so the chrF says how
like that the translation is, and not how good.

Wait: from the end of each sentence until its translation begins to sound. A listener's player plays one result after
another at its own speed; where in a result a sentence begins is taken in proportion to its words.

Lag: StreamLAAL (Papi et al., "StreamAtt: Direct Streaming Speech-to-Text Translation with Attention-based Audio History
Selection", ACL 2024), computation-aware: LAAL (Papi et al., "Over-Generation Cannot Be Rewarded", AutoSimTrans 2022) of
each sentence, where a word's delay is when its result arrived, since the sentence's beginning. Words are given to the
sentences by a least-edits alignment with the references, as mWERSegmenter does.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import io
import itertools
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jiwer
import numpy as np
import psutil
import soundfile

from babblefish.client import connect
from babblefish.domain import SAMPLE_RATE_HZ, Interpreting, Samples
from benchmarks.support import harness
from benchmarks.support.conversations import recorded
from benchmarks.support.corpus import DATA
from benchmarks.support.speech import noisy, read_aloud, voice_of
from benchmarks.translation_quality import chrf, statistics_of

_WAYS: tuple[Interpreting, ...] = ("simultaneous", "consecutive")
_LEAD_S, _TRAIL_S = 0.5, 1.5
_PAUSE_S = 0.3
_READERS_PAUSES_S = (0.2, 0.6)
_AUDIBLE = 0.01
_SNR_DB = 40.0
_LISTEN_ON_S = 12.0
_PATIENCE_S = 120.0
_PREPARED_S = 8.0
"""A language model reads its examples of a pair when the first listener comes."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of the monologue, when it is said in seconds from its beginning, and what it means."""

    text: str
    meaning: str
    begin_s: float
    end_s: float


@dataclass
class Heard:
    """A result as its listener got it; seconds from the monologue's beginning."""

    utterance_id: str
    said: str
    translation: str
    arrived_s: float
    pieces: list[tuple[float, float]] = field(default_factory=list)
    """When each piece of its speech arrived, and how long it is."""


@dataclass(frozen=True)
class Monologue:
    """What one person says.

    Attributes:
        name: Of the language that it was written in, or of the reader.
        samples: Shape ``[n]``, 16 kHz.
        spans_s: When each sentence begins and ends, in seconds.
        texts: Each sentence by language, where they are known.
    """

    name: str
    samples: Samples
    spans_s: Sequence[tuple[float, float]]
    texts: Sequence[Mapping[str, str]] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ

    def parts(self) -> list[Samples]:
        """Return each sentence by itself."""
        return [self.samples[slice(*(int(at_s * SAMPLE_RATE_HZ) for at_s in span))] for span in self.spans_s]


def joined(name: str, sounds: Sequence[Samples], pauses_s: Sequence[float]) -> Monologue:
    """Return sentences one after another, each with a pause behind it."""
    tape = [np.zeros(int(_LEAD_S * SAMPLE_RATE_HZ), dtype=np.float32)]
    spans = []
    for sound, pause_s in zip(sounds, pauses_s, strict=True):
        begin_s = sum(map(len, tape)) / SAMPLE_RATE_HZ
        spans.append((begin_s, begin_s + len(sound) / SAMPLE_RATE_HZ))
        tape += [sound, np.zeros(int(pause_s * SAMPLE_RATE_HZ), dtype=np.float32)]
    return Monologue(name, noisy(np.concatenate(tape), _SNR_DB, seed=0), spans)


def _read_out(lang: str, rows: Sequence[Mapping[str, str]]) -> Monologue:
    voice = voice_of(lang)
    sounds = []
    for row in rows:
        samples = read_aloud(row[lang], lang, voice)
        audible = np.flatnonzero(np.abs(samples) > _AUDIBLE)
        sounds.append(samples[audible[0] : audible[-1] + 1])
    return replace(joined(lang, sounds, [_PAUSE_S] * len(sounds)), texts=rows)


def _recorded(readers: int) -> list[Monologue]:
    draw = np.random.default_rng(0)
    people = {name: lines for name, lines in recorded().items() if name.isdigit()}
    return [
        joined(name, [line.samples for line in lines], draw.uniform(*_READERS_PAUSES_S, len(lines)).tolist())
        for name, lines in itertools.islice(people.items(), readers)
    ]


def owners(references: Sequence[str], words: Sequence[str]) -> list[int]:
    """Return for each word the reference that it belongs to, by the alignment with the fewest edits."""
    flat = [(at, word) for at, text in enumerate(references) for word in _plain(text)]
    found = [-1] * len(words)
    if words:
        hypothesis = [" ".join(_plain(word)) or "-" for word in words]
        aligned = jiwer.process_words(" ".join(word for _, word in flat), " ".join(hypothesis)).alignments[0]
        owner = 0
        for chunk in aligned:
            for step, at in enumerate(range(chunk.hyp_start_idx, chunk.hyp_end_idx)):
                if chunk.type != "insert":
                    owner = flat[chunk.ref_start_idx + step][0]
                if at < len(found):
                    found[at] = owner
    return found


def _plain(text: str) -> list[str]:
    return ["".join(filter(str.isalnum, word)).casefold() or "-" for word in text.split()]


def laal(delays_s: Sequence[float], reference_words: int, duration_s: float) -> float:
    """Return the length-adaptive average lagging of one sentence, in seconds.

    Args:
        delays_s: Of each word of the translation, since the sentence's beginning.
        reference_words: Of the reference.
        duration_s: Of the sentence.
    """
    step_s = duration_s / max(len(delays_s), reference_words)
    lags = []
    for at, delay_s in enumerate(delays_s):
        lags.append(delay_s - at * step_s)
        if delay_s >= duration_s:
            break
    return statistics.mean(lags)


def stream_laal(sentences: Sequence[Sentence], heard: Sequence[Heard]) -> float:
    """Return the mean of the sentences' lags; those of which no word came are left out."""
    words = [(word, one.arrived_s) for one in heard for word in one.translation.split()]
    by_sentence: dict[int, list[float]] = {}
    for owner, (_, arrived_s) in zip(
        owners([one.meaning for one in sentences], [w for w, _ in words]), words, strict=True
    ):
        by_sentence.setdefault(owner, []).append(arrived_s)
    return statistics.mean(
        laal(
            [arrived_s - sentences[at].begin_s for arrived_s in arrived],
            len(sentences[at].meaning.split()),
            sentences[at].end_s - sentences[at].begin_s,
        )
        for at, arrived in by_sentence.items()
        if at >= 0
    )


def waits_s(sentences: Sequence[Sentence], heard: Sequence[Heard]) -> list[float]:
    """Return for each sentence how long after its end its translation begins to sound."""
    words = [(at, word) for at, one in enumerate(heard) for word in one.said.split()]
    belongs = owners([one.text for one in sentences], [word for _, word in words])
    begins: dict[int, float] = {}
    free_s = 0.0
    for at, one in enumerate(heard):
        mine = [owner for owner, (result, _) in zip(belongs, words, strict=True) if result == at]
        if not one.pieces:
            continue
        start_s = max(free_s, one.pieces[0][0])
        total_s = sum(duration_s for _, duration_s in one.pieces)
        for arrived_s, duration_s in one.pieces:
            free_s = max(free_s, arrived_s) + duration_s
        for place, owner in enumerate(mine):
            begins.setdefault(owner, start_s + total_s * place / len(mine))
    return [begins[at] - sentence.end_s for at, sentence in enumerate(sentences) if at in begins]


async def sentences_of(port: int, lang: str, target: str, said: Monologue) -> list[Sentence]:
    """Return the sentences of a monologue; where they are not known, as the server translates each by itself."""
    if said.texts:
        return [Sentence(row[lang], row[target], *span) for row, span in zip(said.texts, said.spans_s, strict=True)]
    found = []
    room = f"{said.name}-{target}-alone"
    async with connect(harness.url(port), room=room, target_lang=target, source_lang=lang, audio="none") as client:
        for samples, span in zip(said.parts(), said.spans_s, strict=True):
            await client.say(samples)
            (result,) = await client.wait_for("result", timeout_s=_PATIENCE_S)
            client.messages.clear()
            found.append(Sentence(result["source_text"], result["translation"], *span))
    return found


async def _interpret(
    port: int, lang: str, target: str, way: Interpreting, said: Monologue
) -> tuple[list[Heard], float]:
    """Stream a monologue and return what its listener heard, and the words of interim captions that were replaced."""
    room = f"{said.name}-{target}-{way}"  # of its own, so that nobody who has left is translated for
    async with contextlib.AsyncExitStack() as stack:
        joining = [
            connect(
                harness.url(port),
                room=room,
                target_lang=heard,
                source_lang=lang,
                mode="stream",
                audio=audio,
                interpreting=way,
                backlog=None,
            )
            for heard, audio in ((lang, "none"), (target, "stream"))
        ]
        speaker, listener = [await stack.enter_async_context(one) for one in joining]
        await asyncio.sleep(_PREPARED_S)
        started_s = time.monotonic()
        heard: dict[str, Heard] = {}
        partials: dict[str, list[str]] = {}
        playing = asyncio.create_task(speaker.stream(said.samples, paced=True, silence_s=_TRAIL_S))

        async def listen() -> None:
            async for message in listener:
                at_s = time.monotonic() - started_s
                utterance_id = message.get("utterance_id") or ""
                if message["type"] == "result":
                    result = Heard(utterance_id, message["source_text"], message["translation"], at_s)
                    assert heard.setdefault(utterance_id, result) is result, "what was committed has changed"
                    partials.setdefault(utterance_id, []).append(message["translation"])
                elif message["type"] == "partial":
                    partials.setdefault(utterance_id, []).append(message["translation"])
                elif message["type"] == "speech" and message["audio"]:
                    sound, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(message["audio"])))
                    heard[utterance_id].pieces.append((at_s, len(sound) / rate_hz))

        listening = asyncio.create_task(listen())
        await playing
        await asyncio.sleep(_LISTEN_ON_S)
        listening.cancel()
    replaced = sum(_erased(texts) for texts in partials.values())
    return list(heard.values()), replaced / max(1, sum(len(one.translation.split()) for one in heard.values()))


def _erased(texts: Sequence[str]) -> int:
    erased = 0
    for before, after in itertools.pairwise(text.split() for text in texts):
        kept = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
        erased += len(before) - kept
    return erased


def _spoken(pairs: Sequence[tuple[str, str]], readers: int) -> dict[str, list[Monologue]]:
    """Return what is said in each language.

    Raises:
        ValueError: There is nothing in one of the languages.
    """
    langs = {lang for lang, _ in pairs}
    if readers:
        if langs != {"eng"}:
            raise ValueError("the readers speak English")
        return {"eng": _recorded(readers)}
    rows = json.loads((DATA / "monologues.json").read_text(encoding="utf-8"))
    if unknown := {lang for pair in pairs for lang in pair} - set(rows[0]):
        raise ValueError(f"the monologue is not written in {', '.join(sorted(unknown))}")
    return {lang: [_read_out(lang, rows)] for lang in langs}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Have each pair's monologues interpreted in both ways on one server."""
    pairs = [(lang, target) for lang, _, target in (pair.strip().partition("-") for pair in options.pairs.split(","))]
    spoken = _spoken(pairs, options.readers)
    figures: dict[str, Any] = {}
    with harness.server_process() as (port, process):
        server = psutil.Process(process.pid)
        talks = [
            (lang, target, said, asyncio.run(sentences_of(port, lang, target, said)))
            for lang, target in pairs
            for said in spoken[lang]
        ]
        for way in _WAYS:
            waits: list[float] = []
            of_talks: dict[str, Any] = {}
            cpu_s = sum(server.cpu_times()[:2])
            for lang, target, said, sentences in talks:
                heard, replaced = asyncio.run(_interpret(port, lang, target, way, said))
                waits += (waited := waits_s(sentences, heard))
                meant = " ".join(sentence.meaning for sentence in sentences)
                [score] = chrf(statistics_of([" ".join(one.translation for one in heard)], [meant]))
                of_talks[f"{said.name} → {target}"] = {
                    "results": len(heard),
                    "sentences_heard": len(waited),
                    "wait_s": harness.spread(waited),
                    "stream_laal_s": round(stream_laal(sentences, heard), 2),
                    "chrf_to_each_by_itself" if options.readers else "chrf": round(float(score), 1),
                    "interim_words_replaced_per_word": round(replaced, 2),
                }
            said_min = sum(said.duration_s for _, _, said, _ in talks) / 60
            cpu_s = sum(server.cpu_times()[:2]) - cpu_s
            figures[way] = {"wait_s": harness.spread(waits), "cpu_s_per_minute_of_speech": round(cpu_s / said_min, 1)}
            figures[way]["by_monologue"] = of_talks
    return figures


if __name__ == "__main__":
    harness.main(__doc__, measure, pairs="eng-fra", readers=0)
