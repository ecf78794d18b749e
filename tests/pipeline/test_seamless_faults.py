"""What SeamlessM4T is known to do wrong, done by a tiny checkpoint, and what is then shown and spoken by the server.

The weights are int8, as by default, and one channel of what the text decoder's matrices read is an outlier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babblefish.domain import Deadline, Speech
from babblefish.engines.contracts import Engines, Synthesizer, SyntheticVoice
from babblefish.settings import Settings
from tests.support.fakes import make_fakes, speech
from tests.support.serving import Running, serving

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("transformers", reason="the full extra is not installed")

from transformers import SeamlessM4TTokenizer, SeamlessM4Tv2Model  # noqa: E402 - only where torch is

from babblefish.engines.seamless.model import SeamlessModel, load  # noqa: E402
from babblefish.engines.seamless.speech_translator import SeamlessSpeechTranslator  # noqa: E402
from babblefish.engines.seamless.synthesizer import SeamlessSynthesizer  # noqa: E402
from tests.support import tiny_seamless  # noqa: E402
from tests.support.recogniser import ScriptedRecogniser  # noqa: E402

pytestmark = pytest.mark.slow

WRITES = {
    "fra": "Bonjour, je suis heureuse de vous voir ce soir.",
    "eng": "It's ready and the soup isn't cold.",
    "deu": "Guten <unk> Abend, wir freuen uns, dass Sie gekommen sind.",
    "pol": "dzień dobry bardzo się cieszę że państwa widzę w tym domu bo wieczór jest ciepły a zupa gotowa "
    "i za oknem bawią się dzieci które jutro jadą nad morze",
}
"""By language: an apostrophe, a word the vocabulary lacks, no capital letter and no mark."""

OUTLIER = 8.0
SAMPLES_PER_UNIT = 8
"""Of the tiny vocoder."""


class Recorded:
    """A synthesizer that keeps what it is asked to say, and what it makes of it."""

    def __init__(self, engine: Synthesizer) -> None:
        self._engine = engine
        self.name = engine.name
        self.texts: list[str] = []
        self.made: list[Speech] = []

    def voices(self, lang: str) -> Sequence[SyntheticVoice]:
        return self._engine.voices(lang)

    def synthesize(self, text: str, lang: str, deadline: Deadline, voice: str | None = None) -> Iterator[Speech]:
        self.texts.append(text)
        for piece in self._engine.synthesize(text, lang, deadline):
            self.made.append(piece)
            yield piece


def spoil(model: SeamlessM4Tv2Model, tokenizer: SeamlessM4TTokenizer) -> None:
    (apostrophe,) = {token for token in tokens(tokenizer, WRITES["eng"]) if "'" in tokenizer.decode([token])}
    tiny_seamless.write_unknown_for(model, apostrophe)
    tiny_seamless.make_outliers(model, OUTLIER)


def tokens(tokenizer: SeamlessM4TTokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
    return ids


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seamless")
    tiny_seamless.make_checkpoint(folder, says=WRITES, spoil=spoil)
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> SeamlessModel:
    return load(folder, "int8")


@pytest.fixture
def voice(loaded: SeamlessModel) -> Recorded:
    """Speaks English, Polish and French."""
    return Recorded(SeamlessSynthesizer(loaded, threads=1))


@pytest.fixture
async def server(loaded: SeamlessModel, voice: Recorded) -> AsyncIterator[Running]:
    async with serving(Settings(profile="full"), engines(loaded, voice)) as running:
        yield running


def engines(loaded: SeamlessModel, voice: Recorded) -> Engines:
    """Return engines that hear and speak with a model; the others are scripted."""
    hears = SeamlessSpeechTranslator(loaded, 1, ScriptedRecogniser())
    scripted = make_fakes().engines
    return dataclasses.replace(scripted, speech_translator=hears, text_translator=None, synthesizers=(voice,))


async def shown(server: Running, target_lang: str, duration_s: float = 3.0) -> dict[str, Any]:
    """Return what a listener gets of a French utterance of this length."""
    client = await server.client(target_lang=target_lang, source_lang="fra")
    await client.say(speech(1, duration_s))
    (result,) = await client.wait_for("result", timeout_s=60)
    return result


def test_the_checkpoint_writes_the_unknown_for_apostrophes(folder: Path) -> None:
    model = SeamlessM4Tv2Model.from_pretrained(folder).eval()
    tokenizer = SeamlessM4TTokenizer.from_pretrained(folder)
    heard = torch.randn(1, 40, 160, generator=torch.Generator().manual_seed(0))

    said = model.generate(input_features=heard, tgt_lang="eng", generate_speech=False, num_beams=1, do_sample=False)

    assert said.sequences[0].tolist().count(1) == 2
    assert tokenizer.decode(said.sequences[0], skip_special_tokens=True) == WRITES["eng"].replace("'", "")


def test_one_channel_of_the_checkpoint_is_an_outlier(folder: Path) -> None:
    model = SeamlessM4Tv2Model.from_pretrained(folder)
    with torch.no_grad():
        read = model.text_decoder.layers[0].ffn_layer_norm(model.shared(torch.tensor([[3, 40, 20, 30]])))
    sizes = read.abs().amax(dim=(0, 1))
    assert sizes.max() > OUTLIER / 2 * sizes.median()


async def test_an_apostrophe_is_shown_and_spoken(server: Running, voice: Recorded) -> None:
    result = await shown(server, "eng")

    assert (result["translation"], result["quality"]) == (WRITES["eng"], "good")
    assert "".join(voice.texts) == WRITES["eng"]


async def test_the_literal_unknown_is_neither_shown_nor_spoken(server: Running, voice: Recorded) -> None:
    result = await shown(server, "deu")

    assert (result["translation"], result["quality"]) == (WRITES["deu"].replace("<unk> ", ""), "draft")
    assert not any("unk" in text for text in voice.texts)


async def test_a_text_without_marks_is_spoken_in_pieces(server: Running, voice: Recorded) -> None:
    result = await shown(server, "pol", duration_s=8.0)  # no more tokens are written than can be said in that time

    assert result["translation"] == WRITES["pol"]
    assert len(voice.made) > 1
    first = next(iter(voice.made))
    assert len(first.samples) < sum(len(piece.samples) for piece in voice.made) / 2


async def test_speech_ends_where_its_units_are_padding(folder: Path, tmp_path: Path) -> None:
    whole = SeamlessSynthesizer(load(folder, "float32"), threads=1)
    units = made_units(whole, WRITES["eng"])
    place = next(place for place in range(len(units) // 2, len(units)) if units[place] not in units[:place])
    padded = tmp_path / "padded"
    padded.mkdir()

    def spoil_both(model: SeamlessM4Tv2Model, tokenizer: SeamlessM4TTokenizer) -> None:
        spoil(model, tokenizer)
        tiny_seamless.pad_units_for(model, units[place])

    tiny_seamless.make_checkpoint(padded, says=WRITES, spoil=spoil_both)
    loaded = load(padded, "float32")
    voice = Recorded(SeamlessSynthesizer(loaded, threads=1))
    async with serving(Settings(profile="full"), engines(loaded, voice)) as running:
        result = await shown(running, "eng")

    assert result["translation"] == WRITES["eng"]
    assert sum(len(piece.samples) for piece in voice.made) == SAMPLES_PER_UNIT * place
    assert np.isfinite(voice.made[0].samples).all()


def made_units(engine: SeamlessSynthesizer, text: str) -> list[int]:
    loaded = engine._loaded
    ids = loaded.tokens(text)
    units: list[int] = engine.units(loaded.encode_text(ids, "eng"), ids, "eng")[0].tolist()
    return units
