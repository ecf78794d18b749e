"""Whisper through CTranslate2: language, transcript and English translation from one encoder pass.

The usual implementation pads every utterance to 30 s and runs the encoder twice when the language is unknown. Here the
window is the utterance and a few seconds of silence, the encoder runs once, and the transcript and the translation are
decoded as one batch.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path

import ctranslate2
import numpy as np
import tokenizers
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray
from rapidfuzz import fuzz

from babblefish.domain import SAMPLE_RATE_HZ, Quality, Samples, Transcript
from babblefish.engines.contracts import Hearing, SpeechRequest, SpeechTranslation
from babblefish.engines.decoding import is_looping, is_repetitive, least_logprob, max_speech_tokens
from babblefish.engines.heard_language import Spoken, by_sound, change, likeliest
from babblefish.engines.text_splitting import has_words
from babblefish.errors import NoSpeechError, TwoLanguagesError
from babblefish.languages import LANGUAGES, from_whisper, scripts

_FULL_WINDOW_S = 30.0
"""The window Whisper was trained on; nothing longer fits its position embeddings."""

_PADDING_S = 5.0
"""Silence after the utterance. With 1.5 s Whisper misses the end and repeats itself (measured)."""

_MAX_TOKENS = 224
"""Half of the decoder's 448 positions are for the preceding text, even where there is none: CTranslate2 stops at half
of its ``max_length``, and at its end, which counts the preceding text."""

_IN_FEW_TOKENS = frozenset({"ARABIC", "CJK", "CYRILLIC", "GREEK", "HANGUL", "HIRAGANA", "KATAKANA"})
"""Scripts other than Latin in which speech takes no more tokens a second than the limit that fits English."""

_IN_MANY_TOKENS = ("kaz", "mon", "tat", "vie", "yor")
"""Languages in these scripts or in Latin letters in which it takes more, or hardly less."""

_MANY_TOKENS = 5
"""How many times as many the others may take: Whisper spells them in pieces of letters, up to three tokens each, where
English has 0.2 (measured on article 1 of the Universal Declaration of Human Rights)."""

_HALF_A_LETTER = "\ufffd"
"""What the tokenizer writes for a last letter whose other tokens are missing."""

_BEAM_SIZE = 2
"""Beam 2 reaches the word error rate of beam 5 on this window at less cost; greedy loses 5 points (measured)."""

_WORD = re.compile(r"[^\W_]+")

_MIN_MEAN_LOGPROB = -1.0
_MAX_NO_SPEECH = 0.6
"""Two thresholds of OpenAI's own decoding (whisper/transcribe.py)."""

_LIKELY_LOGPROB = -0.7
"""Mean log-probability from which a text is likely enough not to ask the sound alone for its language. Of 215 prompts
of up to four words that are heard right after three utterances in their language, 24 more are doubted for it (11 %),
and so are 81 of 132 (61 %) that are wrongly but surely heard in the language of three others. To decode in the second
likeliest language, too, and compare the texts tells no more."""

_LETTERS_PER_S = 18.0
_LETTERS_PER_DIGIT = 4
"""Fast speech, and how long the name of a digit is: voices that say a word twice are at 16 letters a second of sound,
single words that Whisper writes twice at 18 to 35 (measured)."""

_FRAME = SAMPLE_RATE_HZ // 50
_AUDIBLE = 0.1
"""Share of the loudest 20 ms from which a frame counts as sound; pauses do not."""

_ENCODED = 2 * 160
"""Samples for which the encoder has one vector: two frames of mel bands."""

_UNTRANSLATED_RATIO = 0.8
"""Share of matching characters above which a translation is the transcript again; cognates stay below 0.7."""

_MOST_HOT_TOKENS = 120
"""Some 30 terms. Each makes decoding a little slower, whether it is said or not."""

_HOT_WORDS_ARE = "Glossary:"
"""Said before them, in any language: one to three more of forty are then heard (measured in four languages)."""

_AS_HEARD = 50.0
"""Percent of matching characters from which a term is what was heard without having been told of it."""

_MELS_OF_TRANSLATORS = 80
"""Mel bands of the models up to large-v2."""

_WHISPER_GOOD_ENGLISH = frozenset({"deu", "por", "spa"})
"""Languages whose English by this model reaches chrF 50 in ``benchmarks/translation_quality.py``; others are drafts."""


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    """What was decoded for one task: its text and what speaks for or against it."""

    text: str
    mean_logprob: float
    no_speech: float
    cut_short: bool
    loops: bool = False

    @property
    def repeats(self) -> bool:
        return self.cut_short or self.loops or is_repetitive(self.text)

    @property
    def may_repeat(self) -> bool:
        """Whether it is complete and likely, so that what it repeats may have been said again and again."""
        return not self.cut_short and not self.unlikely

    @property
    def silent(self) -> bool:
        return self.no_speech > _MAX_NO_SPEECH and self.mean_logprob < _MIN_MEAN_LOGPROB / 2

    @property
    def unlikely(self) -> bool:
        return self.mean_logprob < _MIN_MEAN_LOGPROB

    @property
    def doubtful(self) -> bool:
        return self.repeats or self.unlikely


def _same_words(translation: str, transcript: str) -> bool:
    """Say whether a translation is empty or still in the language spoken, as small models leave some sentences."""
    ratio = SequenceMatcher(None, translation.casefold(), transcript.casefold(), autojunk=False).ratio()
    return not translation or ratio > _UNTRANSLATED_RATIO


def _rank(hypothesis: _Hypothesis) -> tuple[bool, bool, int, float]:
    """Rank two hypotheses for a task: one that neither repeats itself nor is silence first, then the likelier one.

    Of two that repeat themselves it is the one that does so less.
    """
    repeated = len(hypothesis.text) if hypothesis.repeats else 0
    return (not hypothesis.repeats, not hypothesis.silent, -repeated, hypothesis.mean_logprob)


def _sounding_s(samples: Samples) -> float:
    """Return how many seconds of an utterance are sound rather than pauses."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = np.sqrt(np.mean(np.square(frames), axis=1))
    return float(np.sum(levels > _AUDIBLE * levels.max(initial=0.0))) * _FRAME / SAMPLE_RATE_HZ


def _letters(text: str) -> int:
    """Return how long a text takes to say, in letters."""
    return sum(_LETTERS_PER_DIGIT if letter.isdigit() else 1 for letter in text if letter.isalnum())


def _said_once(text: str, sounding_s: float) -> str:
    """Return a text that is the same words again and again, in a sound too short for them, with the words once.

    Whisper writes a short word for the silence after it, too.
    """
    parts = text.split()
    words = [" ".join(_WORD.findall(part.casefold())) for part in parts]
    if _letters(text) <= _LETTERS_PER_S * sounding_s:
        return text
    sizes = (size for size in range(1, len(words) // 2 + 1) if len(words) % size == 0)
    once = next((size for size in sizes if words == words[:size] * (len(words) // size)), len(words))
    return " ".join(parts[:once]).rstrip(",;") if once < len(words) else text


def _consists_of(text: str, hot_words: Sequence[str]) -> bool:
    """Say whether a transcript has nothing but hot words, as where a model goes on with the text it was given."""
    known = {word for hot in hot_words for word in _WORD.findall(hot.casefold())}
    return known.issuperset(_WORD.findall(text.casefold()))


def _sounds_like(text: str, heard: str) -> bool:
    return fuzz.ratio(text.casefold(), heard.casefold()) >= _AS_HEARD


class Whisper:
    """A multilingual Whisper model as a ``SpeechTranslator`` whose only target is English.

    The models of the third generation (128 mel bands) have none: large-v3-turbo was not trained to translate.
    """

    name = "whisper"

    def __init__(self, model_dir: Path, threads: int) -> None:
        """Load the model.

        Args:
            model_dir: CTranslate2 model with ``tokenizer.json`` beside it.
            threads: Threads of one call.
        """
        self._model = ctranslate2.models.Whisper(
            str(model_dir), device="cpu", compute_type="int8", inter_threads=1, intra_threads=threads
        )
        self._tokenizer = tokenizers.Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._translates = self._model.n_mels == _MELS_OF_TRANSLATORS
        self._start = self._token("<|startoftranscript|>")
        self._tail = self._token("<|notimestamps|>")
        self._before = self._token("<|startofprev|>")
        self._transcribe = self._token("<|transcribe|>")
        self._translate = self._token("<|translate|>")

    def targets(self, source_lang: str) -> Mapping[str, Quality]:
        """Whisper translates everything it understands to English or, of the third generation, nothing."""
        if source_lang == "eng" or not self._translates:
            return {}
        return {"eng": Quality.GOOD if source_lang in _WHISPER_GOOD_ENGLISH else Quality.DRAFT}

    def translate(self, request: SpeechRequest) -> SpeechTranslation:
        """Transcribe an utterance of up to 30 s and, where asked, translate it to English.

        The model takes hot words for what was said before. What repeats itself, and a transcript that the model doubts,
        gets a second try on the full window, and the better one is kept. An interim request gets none. What repeats
        itself in both is kept where the model is sure of it and the sound is long enough for it.

        Raises:
            NoSpeechError: The model hears no words, or makes them up.
            TwoLanguagesError: What is before a pause and what is after it are surely in two languages.
            DeadlineExceededError: It took too long.
        """
        return self.hear(request).translate(request)

    def hear(self, request: SpeechRequest) -> Hearing:
        """Encode an utterance of up to 30 s and find out its language, for engines that cannot tell languages.

        Raises:
            TwoLanguagesError: What is before a pause and what is after it are surely in two languages.
            DeadlineExceededError: It took too long.
        """
        request.deadline.check()
        duration_s = len(request.samples) / SAMPLE_RATE_HZ
        timings_ms: dict[str, float] = {}
        window_s = min(_FULL_WINDOW_S, duration_s + _PADDING_S)
        encoded = self._encode(request.samples, window_s, timings_ms)
        request.deadline.check()
        if request.pauses and not request.interim and (pause := self._change(encoded, request, timings_ms)):
            raise TwoLanguagesError(pause)
        spoken = self._language(encoded, request.source_langs, request.expected_langs, duration_s, timings_ms)
        write = partial(self._write, encoded=encoded, window_s=window_s, spoken=spoken, timings_ms=timings_ms)
        return Hearing(spoken.lang, spoken.probability, write)

    def _write(
        self,
        request: SpeechRequest,
        encoded: ctranslate2.StorageView,
        window_s: float,
        spoken: Spoken,
        timings_ms: dict[str, float],
    ) -> SpeechTranslation:
        """Write an utterance that was heard; see ``translate``."""
        samples, deadline, lang = request.samples, request.deadline, spoken.lang
        duration_s = len(samples) / SAMPLE_RATE_HZ
        tasks = [self._transcribe]
        if "eng" in request.choose_targets(lang) and "eng" in self.targets(lang):
            tasks.append(self._translate)
        hypotheses = self._decode_with(request.hot_words(lang), encoded, lang, tasks, duration_s, timings_ms)
        doubtful = hypotheses[0].doubtful or hypotheses[0].silent or any(one.repeats for one in hypotheses)
        tried_again = doubtful and window_s < _FULL_WINDOW_S and not request.interim
        if tried_again:
            deadline.check()
            encoded = self._encode(samples, _FULL_WINDOW_S, timings_ms)
            again = self._decode(encoded, lang, tasks, duration_s, timings_ms)
            hypotheses = [max(pair, key=_rank) for pair in zip(hypotheses, again, strict=True)]
        transcript, *translations = hypotheses
        # The full window changes a loop; what was said again and again is heard so in both.
        said_again = tried_again and _letters(transcript.text) <= _LETTERS_PER_S * duration_s
        if transcript.silent or (transcript.repeats and not (said_again and transcript.may_repeat)):
            raise NoSpeechError("no words were recognised")
        if transcript.mean_logprob < least_logprob(request, lang, _MIN_MEAN_LOGPROB) or not has_words(transcript.text):
            raise NoSpeechError("no words were recognised")
        # One that loops, or repeats the transcript, is left out, so that the caller can translate the transcript.
        whole = [one for one in translations if not one.repeats or (said_again and one.may_repeat)]
        kept = [one for one in whole if not _same_words(one.text, transcript.text)]
        rows = [(lang, transcript), *(("eng", one) for one in kept)]
        sounding_s = _sounding_s(samples)
        confidence = math.exp(min(0.0, transcript.mean_logprob))
        lang_confidence = spoken.probability
        if transcript.mean_logprob < _LIKELY_LOGPROB and not request.interim:
            lang_confidence = min(lang_confidence, spoken.by_sound)
        return SpeechTranslation(
            transcript=Transcript(_said_once(transcript.text, sounding_s), lang, lang_confidence, confidence),
            translations={"eng": _said_once(kept[0].text, sounding_s)} if kept else {},
            timings_ms=timings_ms,
            doubtful=frozenset(code for code, row in rows if row.unlikely),
        )

    def _encode(self, samples: Samples, window_s: float, timings_ms: dict[str, float]) -> ctranslate2.StorageView:
        started_s = time.perf_counter()
        window = np.zeros(int(window_s * SAMPLE_RATE_HZ), dtype=np.float32)
        kept = samples[: len(window)]
        window[: len(kept)] = kept
        features = np.ascontiguousarray(self._features(window, padding=0)[None], dtype=np.float32)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        _add(timings_ms, "encode", started_s)
        return encoded

    def _language(
        self,
        encoded: ctranslate2.StorageView,
        source_langs: Collection[str],
        expected_langs: Mapping[str, float],
        duration_s: float,
        timings_ms: dict[str, float],
    ) -> Spoken:
        """Return the language spoken, and its probabilities among the possible ones.

        Where Whisper has no token for any of them, every language is possible.
        """
        possible = self._possible(source_langs)
        if len(possible) == 1:
            return Spoken(possible.pop(), 1.0, 1.0)
        heard = self._heard(encoded, possible, timings_ms)
        lang, probability = likeliest(heard, expected_langs, duration_s)
        return Spoken(lang, probability, by_sound(lang, heard, expected_langs, duration_s))

    def _possible(self, source_langs: Collection[str]) -> set[str]:
        """Return those of the languages that Whisper has a token for."""
        return {lang for lang in source_langs if self._language_token(lang) is not None}

    def _heard(
        self, encoded: ctranslate2.StorageView, possible: Collection[str], timings_ms: dict[str, float]
    ) -> dict[str, float]:
        """Return the probabilities of the possible languages, or of all where none is."""
        started_s = time.perf_counter()
        (detected,) = self._model.detect_language(encoded)
        heard = {from_whisper(token.strip("<|>")): float(probability) for token, probability in detected}
        _add(timings_ms, "detect_language", started_s)
        return {lang: probability for lang, probability in heard.items() if lang in possible} or heard

    def _change(
        self, encoded: ctranslate2.StorageView, request: SpeechRequest, timings_ms: dict[str, float]
    ) -> int | None:
        """Return the pause at which the language changes, by what the encoder made of its sides: a step for each.

        Where it seems to change, the text of each side has to be likely, and likelier than in the other's language: of
        half a sentence that is taken for another language, the model makes none.
        """
        possible = self._possible(request.source_langs)
        if len(possible) == 1:
            return None
        frames, length = np.asarray(encoded), len(request.samples)
        silence = frames[:, length // _ENCODED + 1 :]

        def side(first: int, last: int) -> ctranslate2.StorageView:
            """Return what is between two places, with silence after it: without, the model repeats itself."""
            said = frames[:, first // _ENCODED : last // _ENCODED]
            return ctranslate2.StorageView.from_array(np.concatenate([said, silence], axis=1))

        def heard(first: int, last: int) -> dict[str, float]:
            return self._heard(side(first, last), possible, timings_ms)

        def fits(first: int, last: int, lang: str, other: str) -> bool:
            encoded, duration_s = side(first, last), (last - first) / SAMPLE_RATE_HZ
            own, foreign = (
                self._decode(encoded, one, [self._transcribe], duration_s, timings_ms)[0] for one in (lang, other)
            )
            is_likely = own.mean_logprob > max(_LIKELY_LOGPROB, foreign.mean_logprob)
            return is_likely and not (own.repeats or own.silent)

        found = change(request.pauses, length, heard, request.expected_langs)
        if found is None:
            return None
        pause, before, after = found
        return pause if fits(0, pause, before, after) and fits(pause, length, after, before) else None

    def _decode_with(
        self,
        hot_words: Sequence[str],
        encoded: ctranslate2.StorageView,
        lang: str,
        tasks: list[int],
        duration_s: float,
        timings_ms: dict[str, float],
    ) -> list[_Hypothesis]:
        """Decode with hot words, and without where the model doubts what it hears, or only repeats them."""
        hot_tokens = self._hot_tokens(hot_words)
        if hot_tokens:
            told = self._decode(encoded, lang, tasks, duration_s, timings_ms, hot_tokens)
            recites = _consists_of(told[0].text, hot_words)
            if not (told[0].doubtful or recites):
                return told
        untold = self._decode(encoded, lang, tasks, duration_s, timings_ms)
        if hot_tokens and recites and not untold[0].doubtful and _sounds_like(told[0].text, untold[0].text):
            return told
        return untold

    def _hot_tokens(self, hot_words: Sequence[str]) -> list[int]:
        """Return the tokens of hot words as a preceding text; the last ones have precedence, as they are the newest."""
        room = _MOST_HOT_TOKENS
        chosen: list[str] = []
        for word in reversed(hot_words):
            room -= len(self._tokenizer.encode(f" {word},", add_special_tokens=False).ids)
            if room < 0:
                break
            chosen.insert(0, word)
        if not chosen:
            return []
        text = f" {_HOT_WORDS_ARE} {', '.join(chosen)}."
        return [self._before, *self._tokenizer.encode(text, add_special_tokens=False).ids]

    def _decode(
        self,
        encoded: ctranslate2.StorageView,
        lang: str,
        tasks: list[int],
        duration_s: float,
        timings_ms: dict[str, float],
        preceding: Sequence[int] = (),
    ) -> list[_Hypothesis]:
        """Decode one hypothesis per task from the same encoder output, in one batch."""
        started_s = time.perf_counter()
        if len(tasks) > 1:
            # The binding cannot be told that the tasks share their encoder output, so it is repeated.
            repeated: NDArray[np.float32] = np.repeat(np.asarray(encoded), len(tasks), axis=0)
            encoded = ctranslate2.StorageView.from_array(repeated)
        prompts = [[*preceding, self._start, self._language_token(lang), task, self._tail] for task in tasks]
        limits = [_most_tokens(lang if task == self._transcribe else "eng", duration_s) for task in tasks]
        max_tokens = max(limits)
        results = self._model.generate(
            encoded,
            prompts,
            beam_size=_BEAM_SIZE,
            max_length=max(2 * max_tokens, len(prompts[0]) + max_tokens),
            return_scores=True,
            return_no_speech_prob=True,
        )
        hypotheses = []
        for result, limit in zip(results, limits, strict=True):
            ids = result.sequences_ids[0]
            hypotheses.append(
                _Hypothesis(
                    text=self._tokenizer.decode(ids).rstrip(_HALF_A_LETTER).strip(),
                    mean_logprob=float(result.scores[0]),
                    no_speech=float(result.no_speech_prob),
                    # Where the model's own room was too small, that says nothing against the text.
                    cut_short=len(ids) >= limit < _MAX_TOKENS,
                    loops=any(is_looping(ids[:end]) for end in range(1, len(ids) + 1)),
                )
            )
        _add(timings_ms, "decode", started_s)
        return hypotheses

    def _token(self, text: str) -> int:
        token = self._tokenizer.token_to_id(text)
        if token is None:
            raise ValueError(f"this tokenizer has no {text}: not a multilingual Whisper model")
        return int(token)

    def _language_token(self, lang: str) -> int | None:
        code = LANGUAGES[lang].whisper
        token: int | None = self._tokenizer.token_to_id(f"<|{code}|>") if code else None
        return token


def _most_tokens(lang: str, duration_s: float) -> int:
    """Return how many tokens speech of this length may have in a language, as Whisper writes it."""
    many = lang in _IN_MANY_TOKENS or scripts(lang) - _IN_FEW_TOKENS
    return min(_MAX_TOKENS, max_speech_tokens(duration_s) * (_MANY_TOKENS if many else 1))


def _add(timings_ms: dict[str, float], step: str, started_s: float) -> None:
    """Add the time since ``started_s`` to a step, which a second try does twice."""
    timings_ms[step] = timings_ms.get(step, 0.0) + (time.perf_counter() - started_s) * 1000.0
