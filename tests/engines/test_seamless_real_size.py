"""SeamlessM4T with a vocabulary and tables of the published size: the known tokens, and every language."""

from __future__ import annotations

from pathlib import Path

import pytest

from babblefish.domain import Deadline
from babblefish.engines import facts
from babblefish.languages import LANGUAGES, script, to_seamless

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("transformers", reason="the full extra is not installed")

from babblefish.engines.seamless.int8 import Int8Linear  # noqa: E402
from babblefish.engines.seamless.model import SeamlessModel, load  # noqa: E402
from babblefish.engines.seamless.synthesizer import SeamlessSynthesizer  # noqa: E402
from tests.support.real_size_seamless import make_checkpoint  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> SeamlessModel:
    folder: Path = tmp_path_factory.mktemp("seamless")
    make_checkpoint(folder)
    return load(folder, "int8")


def test_the_sentences_that_are_known_have_their_tokens(loaded: SeamlessModel) -> None:
    read, written = facts.SEAMLESS_READ, facts.SEAMLESS_WRITTEN

    assert (loaded.languages[read.lang], *loaded.tokens(read.text), 3) == read.tokens
    assert loaded.text(read.tokens[1:-1]) == (read.text, True)
    # The special unknown stands where the vocabulary has an apostrophe, which is what is written if it may not be.
    apostrophe = loaded.tokens(read.text)[1]
    assert loaded.text([apostrophe if token == 1 else token for token in written.tokens[2:-1]]) == (written.text, True)
    assert loaded.tokens(written.text) == [apostrophe if token == 1 else token for token in written.tokens[2:-1]]


def test_every_language_has_its_token_and_its_voice(loaded: SeamlessModel) -> None:
    names = {code: to_seamless(code) for code in LANGUAGES}

    assert loaded.languages == {code: facts.SEAMLESS_LANGUAGES[name] for code, name in names.items() if name}
    assert len(loaded.languages) == 98
    voice = SeamlessSynthesizer(loaded, threads=1)
    spoken = {names[code] for code in LANGUAGES if voice.voices(code)}
    assert spoken == facts.SEAMLESS_VOICES.keys() | {"cmn_Hant"}  # which is cmn to a voice


def test_a_step_of_european_languages_leaves_the_other_scripts_out(loaded: SeamlessModel) -> None:
    encoded = loaded.encode_text(loaded.tokens(facts.SEAMLESS_READ.text), "fra")
    languages = {lang: loaded.languages[lang] for lang in ("eng", "pol")}

    written = loaded.decoder.greedy_search(encoded, languages, 20, lambda tokens: False, Deadline.after(60))

    texts = loaded.tokenizer.convert_ids_to_tokens([token for one in written for token in one.tokens])
    assert len(texts) > 20
    assert {script(char) for text in texts for char in text if char.isalpha()} == {"LATIN"}


def test_the_output_layer_is_held_in_its_blocks_alone(loaded: SeamlessModel) -> None:
    outputs = [module.out_features for module in loaded.model.modules() if isinstance(module, Int8Linear)]

    assert facts.SEAMLESS_VOCABULARY not in outputs
    assert loaded.model.lm_head(torch.zeros(1, 1, 32)).shape == (1, 1, facts.SEAMLESS_VOCABULARY)


def test_a_sentence_is_spoken(loaded: SeamlessModel) -> None:
    voice = SeamlessSynthesizer(loaded, threads=1)

    (speech,) = voice.synthesize(facts.SEAMLESS_READ.text, "fra", Deadline.after(60))

    assert len(speech.samples) > 0
    assert voice.voices("fra")[0].name == "seamless:fra"
