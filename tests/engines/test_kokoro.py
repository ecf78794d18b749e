"""Kokoro's engine over a scripted runner, and how it reads Chinese and Japanese."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jiwer
import numpy as np
import pytest
import soxr
from kokoro_onnx.config import DEFAULT_VOCAB
from kokoro_onnx.tokenizer import Tokenizer
from numpy.typing import NDArray

from babblefish.domain import Deadline, Samples
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.espeak import EspeakNg
from babblefish.engines.kokoro.frames import Prediction
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.phonemes import Phonemizer
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.engines.kokoro.voices import STYLES
from babblefish.engines.text_splitting import split_pieces, split_sentences
from babblefish.errors import DeadlineExceededError, EngineError, SetupError
from babblefish.models import install
from babblefish.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
LONG = "word " * 300
TWO_SENTENCES = "This line is long enough for a piece.\nThis one, the second, is as well."
PACKAGES = {"jpn": ("misaki", "fugashi", "unidic_lite", "jaconv", "mojimoji"), "cmn": ("misaki", "cn2an", "jieba")}
PACKAGES["cmn"] += ("ordered_set", "pypinyin")
SENTENCES = {
    "jpn": [
        "駅はどこですか。",
        "今日はとても寒いですね。",
        "会議は明日の午後に始まります。",
        "妹は海の近くに住んでいます。",
    ],
    "cmn": ["今天天气很冷。", "对不起，请再说一遍。", "我喜欢喝咖啡和茶。", "我们明天去北京。"],
}


SPOKEN, SILENT = 5.0, -9.0
SECOND = (*[SILENT] * 20, *[SPOKEN] * 40, *[SILENT] * 20)
"""Energy of a second of speech between two halves of a second of silence."""


class ScriptedPrediction:
    """Sounds in each frame as that frame always does, or as the script says."""

    def __init__(self, energy: Sequence[float], pitches: list[float] | None = None) -> None:
        self.pitches = [] if pitches is None else pitches
        self.energy = np.array(energy, dtype=np.float32)
        self.made: list[list[int]] = []

    def sound(self, frames: NDArray[np.intp]) -> Samples:
        self.made.append(frames.tolist())
        tone = np.sin(np.arange(600 * len(self.energy)) / 10).reshape(-1, 600)
        tone[self.energy < 0] = 0
        return tone[frames].ravel().astype(np.float32)

    def at_pitch(self, times: float) -> Prediction:
        self.pitches.append(times)
        return self


class ScriptedRunner:
    """Plays a tone for whatever it is given, a second unless told otherwise, and remembers it."""

    def __init__(self, voices: frozenset[str] = STYLES, energy: Sequence[float] = SECOND) -> None:
        self.voices = voices
        self.energy = energy
        self.spoken: list[tuple[str, str]] = []
        self.pitches: list[float] = []

    def predict(self, phonemes: str, voice: str) -> Prediction:
        self.spoken.append((phonemes, voice))
        return ScriptedPrediction(self.energy, self.pitches)


class FailingRunner(ScriptedRunner):
    """Knows none of the phonemes."""

    def predict(self, phonemes: str, voice: str) -> Prediction:
        raise ValueError(phonemes)


@pytest.fixture
def installed(lang: str) -> str:
    for package in PACKAGES[lang]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return lang


# The engine


@pytest.fixture
def european(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the dictionaries of Chinese and Japanese, which take most of a second to load."""
    for module in ("misaki.cutlet", "jieba"):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.usefixtures("european")
def test_silence_around_a_piece_is_cut_off_and_a_pause_put_between() -> None:
    pieces = list(
        Kokoro(ScriptedRunner()).synthesize(
            "First line, which is long enough.\nThis is the second.", "eng", Deadline.after(60)
        )
    )
    assert 1.25 <= pieces[0].duration_s <= 1.35
    (last,) = Kokoro(ScriptedRunner()).synthesize("Only this.", "eng", Deadline.after(60))
    assert 1.0 <= last.duration_s <= 1.1


@pytest.mark.usefixtures("european")
def test_a_piece_too_long_for_the_model_is_spoken_in_windows_until_the_deadline() -> None:
    runner = ScriptedRunner()
    pieces = list(Kokoro(runner).synthesize(LONG, "eng", Deadline.after(60)))
    windows = [phonemes for phonemes, _ in runner.spoken]
    assert len(windows) > 1
    assert max(map(len, windows)) <= 510
    assert " ".join(windows) == Phonemizer().phonemes(LONG, "en-us")
    # Each has a second of tone, up to 0.1 s that trimming leaves, and 0.15 s to the next.
    assert len(pieces) == len(windows)
    assert all(1.15 <= piece.duration_s <= 1.25 for piece in pieces[:-1])
    assert 1.0 <= pieces[-1].duration_s <= 1.1

    class Second(Deadline):
        def check(self) -> None:
            if len(runner.spoken) >= 2:
                raise DeadlineExceededError("late")

    runner.spoken.clear()
    with pytest.raises(DeadlineExceededError):
        list(Kokoro(runner).synthesize(LONG, "eng", Second.after(60)))
    assert len(runner.spoken) == 2


@pytest.mark.usefixtures("european")
def test_a_text_made_in_pieces_is_as_long_and_sounds_as_if_made_at_once() -> None:
    energy = [SILENT] * 20 + [SPOKEN] * 400 + [SILENT] * 20
    pieces = list(Kokoro(ScriptedRunner(energy=energy)).synthesize("So it goes.", "eng", Deadline.after(60)))
    whole = ScriptedPrediction(energy).sound(np.arange(440))[20 * 600 : 420 * 600]
    joined = np.concatenate([piece.samples for piece in pieces])
    assert len(pieces) > 2
    assert pieces[0].duration_s <= 1.4
    begin = len(pieces[0].samples) - int(np.ceil(pieces[0].duration_s * 40 - 1e-6) - 1) * 600
    assert 0 < begin <= 2 * 600  # of silence that trimming leaves
    lead = len(joined) - len(whole)
    assert 0 <= lead <= 2 * 2048
    assert np.isin(0, [np.abs(joined[at : at + len(whole)] - whole).max().round(5) for at in range(lead + 1)])


@pytest.mark.usefixtures("european")
def test_two_pieces_whose_waves_do_not_meet_are_faded_into_each_other() -> None:
    class Stepping(ScriptedPrediction):
        def sound(self, frames: NDArray[np.intp]) -> Samples:
            level = 0.5 if not self.made else -0.5
            self.made.append(frames.tolist())
            return np.full(600 * len(frames), level, dtype=np.float32)

    class Runner(ScriptedRunner):
        def predict(self, phonemes: str, voice: str) -> Prediction:
            return Stepping([SILENT] * 20 + [SPOKEN] * 100 + [SILENT] * 20)

    first, second = Kokoro(Runner()).synthesize("So it goes.", "eng", Deadline.after(60))
    assert (first.samples[-1], second.samples[-1]) == (0.5, -0.5)
    assert np.abs(np.diff(np.concatenate([first.samples, second.samples]))).max() < 0.01


@pytest.mark.usefixtures("european")
def test_a_runner_that_fails_costs_this_utterance() -> None:
    with pytest.raises(EngineError, match="failed"):
        list(Kokoro(FailingRunner()).synthesize("Hello.", "eng", Deadline.after(60)))


@pytest.mark.usefixtures("european")
@pytest.mark.parametrize("lang", ["eng", "fra", "ita", "por", "spa", "hin"])
def test_six_people_can_have_a_voice_each(lang: str) -> None:
    voices = Kokoro(ScriptedRunner()).voices(lang)
    assert len({voice.name for voice in voices}) == len(voices) >= 6
    pitches_hz = [voice.pitch_hz or 0.0 for voice in voices]
    assert min(pitches_hz) < 155
    assert max(pitches_hz) > 170


@pytest.mark.usefixtures("european")
def test_a_voice_is_made_lower_where_its_name_says_so() -> None:
    runner = ScriptedRunner()
    (piece,) = Kokoro(runner).synthesize("Bonjour.", "fra", Deadline.after(60), "kokoro:ff_siwis@0.7")
    assert piece.voice == "kokoro:ff_siwis@0.7"
    assert [voice for _, voice in runner.spoken] == ["ff_siwis"]
    assert runner.pitches == [0.7]
    list(Kokoro(runner).synthesize("Bonjour.", "fra", Deadline.after(60)))
    assert runner.pitches == [0.7]


@pytest.mark.usefixtures("european")
def test_a_language_whose_voice_the_runner_lacks_is_not_spoken() -> None:
    engine = Kokoro(ScriptedRunner(STYLES - {"ff_siwis"}))
    assert not engine.voices("fra")
    assert engine.voices("eng")[0].name == "kokoro:af_heart"
    with pytest.raises(EngineError, match="no voice"):
        list(engine.synthesize("Bonjour.", "fra", Deadline.after(60)))


@pytest.mark.usefixtures("european")
def test_the_language_of_a_foreign_word_is_not_read_aloud() -> None:
    runner = ScriptedRunner()
    assert "(en)" in Tokenizer().phonemize("Il vit à New York.", "fr-fr")
    assert list(Kokoro(runner).synthesize("Il vit à New York.", "fra", Deadline.after(60)))
    ((phonemes, _),) = runner.spoken
    assert "(" not in phonemes
    assert phonemes.startswith("il vˈi")


# Splitting Chinese and Japanese


@pytest.mark.usefixtures("european")
@pytest.mark.parametrize(
    ("text", "code", "joined", "apart"),
    [
        ("mucho", "es", "ʧ", "tʃ"),
        ("seis", "es", "A", "eɪ"),
        ("oggi", "it", "ʤ", "dʒ"),
        ("pizza", "it", "ʦ", "ts"),
        ("leite", "pt-br", "A", "eɪ"),
        ("noite", "pt-br", "ʧ", "tʃ"),
        ("pai", "pt-br", "I", "aɪ"),
        ("jazz", "fr-fr", "ʤ", "dʒ"),
    ],
)
def test_two_signs_that_are_one_sound_are_one_symbol(text: str, code: str, joined: str, apart: str) -> None:
    phonemes = Phonemizer().phonemes(text, code)
    assert joined in phonemes
    assert apart not in phonemes
    assert set(phonemes) <= DEFAULT_VOCAB.keys()


@pytest.mark.usefixtures("european")
def test_english_keeps_the_spelling_it_was_measured_with() -> None:
    text = "The child may jump."
    assert Phonemizer().phonemes(text, "en-us") == Tokenizer().phonemize(text, "en-us")


def test_chinese_and_japanese_sentences_end_without_a_space() -> None:
    assert split_sentences("你好！你在哪里？我在家。") == ["你好！", "你在哪里？", "我在家。"]
    assert split_sentences("「行こう。」と彼は言った。3.5キロです") == ["「行こう。」", "と彼は言った。", "3.5キロです"]


def test_a_chinese_character_counts_as_several_letters() -> None:
    text = "今天下了一整天的雨，所以我们待在家里看书，但是明天如果天气好，我们就和孩子们一起去海边。" * 5
    pieces = split_pieces(text)
    assert "".join(pieces).replace(" ", "") == text
    assert len(pieces[0]) <= 20
    assert 30 < max(map(len, pieces)) <= 80


# Reading Chinese and Japanese


@pytest.mark.parametrize(
    ("lang", "module", "broken"),
    [
        ("jpn", "misaki.cutlet", None),
        ("jpn", "misaki.cutlet", RuntimeError("no dictionary")),
        ("cmn", "misaki.zh", None),
        ("cmn", "jieba", None),
    ],
)
def test_without_its_text_processing_a_language_is_left_to_another_engine(
    lang: str, module: str, broken: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        assert broken is not None
        raise broken

    # None in place of a module makes its import fail as if it were not installed.
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(Cutlet=fail) if broken else None)
    engine = Kokoro(ScriptedRunner())
    assert not engine.voices(lang)
    assert engine.voices("eng")[0].name == "kokoro:af_heart"
    assert EspeakNg().voices(lang)
    with pytest.raises(EngineError, match="no voice"):
        list(engine.synthesize(SENTENCES[lang][0], lang, Deadline.after(60)))


@pytest.mark.slow
@pytest.mark.parametrize(("lang", "voice"), [("jpn", "jf_alpha"), ("cmn", "zf_xiaobei")])
def test_chinese_and_japanese_reach_their_own_voice_in_phonemes_that_kokoro_knows(installed: str, voice: str) -> None:
    runner = ScriptedRunner()
    (piece,) = Kokoro(runner).synthesize(SENTENCES[installed][0], installed, Deadline.after(60))
    ((phonemes, spoken_by),) = runner.spoken
    assert (spoken_by, piece.voice) == (voice, f"kokoro:{voice}")
    assert set(phonemes) <= set(DEFAULT_VOCAB)
    assert phonemes == {"jpn": "ekʲi βa doko desɨ ka.", "cmn": "ʨi→ntʰjɛ→ntʰjɛ→nʨʰi↘ xə↓n lə↓ŋ."}[installed]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "code", "text"),
    [("jpn", "ja", "私はPythonが好きです。"), ("cmn", "zh", "我喜欢Ｐｙｔｈｏｎ。")],
)
def test_a_word_in_latin_letters_is_read_as_english(installed: str, code: str, text: str) -> None:
    phonemizer = Phonemizer()
    mixed = phonemizer.phonemes(text, code)
    assert phonemizer.phonemes("Python", "en-us") in mixed
    assert "P" not in mixed


@pytest.mark.slow
@pytest.mark.parametrize(("lang", "code"), [("jpn", "ja"), ("cmn", "zh")])
def test_texts_of_several_threads_do_not_mix(installed: str, code: str) -> None:
    phonemizer = Phonemizer()
    texts = SENTENCES[installed] * 50
    alone = [phonemizer.phonemes(text, code) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: phonemizer.phonemes(text, code), texts)) == alone


@pytest.mark.slow
@pytest.mark.parametrize(("lang", "code"), [("jpn", "ja"), ("cmn", "zh")])
@pytest.mark.parametrize("text", ["3%，268.5", "《“”》a", "😀好", "x" * 50, "・ー〜ﾊﾟ", "\u3000あ 。", "〇々「"])
def test_awkward_texts_are_read(installed: str, code: str, text: str) -> None:
    assert isinstance(Phonemizer().phonemes(text, code), str)


READ_OFFLINE = """
import socket
def refuse(*_): raise SystemExit("something asked for the network")
socket.socket.connect = socket.getaddrinfo = refuse
from babblefish.engines.kokoro.phonemes import Phonemizer
phonemizer = Phonemizer()
print(phonemizer.phonemes("駅はどこですか。", "ja") and phonemizer.phonemes("今天天气很冷。", "zh"))
"""


@pytest.mark.slow
def test_the_dictionaries_come_with_the_packages_and_leave_no_temporary_files(tmp_path: Path) -> None:
    if any(importlib.util.find_spec(package) is None for packages in PACKAGES.values() for package in packages):
        pytest.skip("the text processing of Chinese and Japanese is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_OFFLINE],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert list(tmp_path.glob("jieba*")) == []


@pytest.fixture(scope="module")
def spoken() -> tuple[Kokoro, Any]:
    model_dir = Settings().model_dir
    try:
        runner = OnnxRunner(*(install.locate(name, model_dir) for name in ("kokoro-int8", "kokoro-voices")), threads=2)
        whisper = importlib.import_module("babblefish.engines.whisper").Whisper(
            install.locate("whisper-base", model_dir), 2
        )
    except SetupError as error:
        pytest.skip(error.message)
    return Kokoro(runner), whisper


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["jpn", "cmn"])
def test_whisper_understands_the_chinese_and_japanese_that_kokoro_speaks(
    installed: str, spoken: tuple[Kokoro, Any]
) -> None:
    engine, whisper = spoken
    said, heard = [], []
    for text in SENTENCES[installed]:
        pieces = list(engine.synthesize(text, installed, Deadline.after(60)))
        samples = soxr.resample(np.concatenate([piece.samples for piece in pieces]), 24_000, 16_000)
        made = whisper.translate(
            SpeechRequest(samples.astype(np.float32), Deadline.after(60), source_langs=frozenset({installed}))
        )
        said.append("".join(filter(str.isalnum, text)))
        heard.append("".join(filter(str.isalnum, made.transcript.text)))
    # Whisper writes Chinese as it likes, simplified or not, and errs by itself: 10 to 20 % were measured.
    assert jiwer.cer(said, heard) < 0.4, list(zip(said, heard, strict=True))
