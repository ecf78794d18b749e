"""What is public of the real checkpoints: our tables agree with it, and so does what our loader looks for."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from babblefish.engines import facts
from babblefish.errors import EngineError
from babblefish.languages import FLORES_CODES, LANGUAGES, spoken_by, to_seamless

_TENSORS = Path(__file__).with_name("seamless_v2_tensors.txt")
"""The tensors of SeamlessM4T v2's files: how many of each name, with a star for each number.

Made from the default ``SeamlessM4Tv2Config`` of transformers 5.23, on the meta device, without those that are tied.
"""


def tensor_names() -> dict[str, int]:
    lines = (line.split() for line in _TENSORS.read_text().splitlines())
    return {name: int(count) for count, name in lines}


def test_the_languages_of_seamless_have_the_tokens_that_its_own_examples_use() -> None:
    tokens = facts.SEAMLESS_LANGUAGES

    assert list(tokens.values()) == list(range(256_001, 256_099))
    # Of the slow tests of transformers, one for each direction.
    assert {lang: tokens[lang] for lang in ("eng", "fra", "rus", "swh")} == {
        "eng": 256_022,
        "fra": 256_026,
        "rus": 256_074,
        "swh": 256_084,
    }
    assert facts.SEAMLESS_READ.tokens[0] == tokens[facts.SEAMLESS_READ.lang]
    assert facts.SEAMLESS_WRITTEN.tokens[1] == tokens[facts.SEAMLESS_WRITTEN.lang]


def test_every_language_that_seamless_writes_has_a_name_here() -> None:
    assert {to_seamless(code) for code in LANGUAGES} - {None} == facts.SEAMLESS_LANGUAGES.keys()
    assert len(facts.SEAMLESS_LANGUAGES) == 98


def test_every_language_that_seamless_speaks_has_a_speaker_of_its_own() -> None:
    speakers = facts.SEAMLESS_SPEAKERS

    assert speakers.keys() >= {to_seamless(code) for code in LANGUAGES if spoken_by(code, "full") == "seamless"}
    assert len(set(speakers.values())) == len(speakers) == 36
    assert set(speakers.values()) <= set(range(75))
    assert facts.SEAMLESS_UNIT_LANGUAGES.keys() - facts.SEAMLESS_VOICES.keys() == {"kan", "tam"}
    assert (facts.SEAMLESS_VOICES["arb"], facts.SEAMLESS_VOICES["vie"]) == (0, 35)


def test_the_sentence_of_nllb_begins_with_a_language_of_ours() -> None:
    assert facts.NLLB_READ.lang in FLORES_CODES


@pytest.mark.slow
def test_the_default_model_of_transformers_is_the_published_one() -> None:
    torch = pytest.importorskip("torch", reason="the full extra is not installed")
    transformers = pytest.importorskip("transformers", reason="the full extra is not installed")
    config = transformers.SeamlessM4Tv2Config()
    with torch.device("meta"):
        model = transformers.SeamlessM4Tv2Model(config)

    stored = model.state_dict().keys() - model.all_tied_weights_keys.keys()
    assert Counter(re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in stored) == tensor_names()
    assert sum(parameter.numel() for parameter in model.parameters()) == facts.SEAMLESS_PARAMETERS
    assert config.vocab_size == facts.SEAMLESS_VOCABULARY
    assert config.t2u_vocab_size > max(facts.SEAMLESS_UNIT_LANGUAGES.values())
    assert config.vocoder_num_langs == len(facts.SEAMLESS_VOICES)
    assert config.unit_hifi_gan_vocab_size > max(facts.SEAMLESS_UNITS)


@pytest.mark.slow
def test_the_loader_looks_for_the_tensors_of_the_published_files(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the full extra is not installed")
    from babblefish.engines.seamless.checkpoint import Checkpoint, empty_model

    transformers.SeamlessM4Tv2Config().save_pretrained(tmp_path)
    transformers.GenerationConfig().save_pretrained(tmp_path)
    model = empty_model(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    names = [name for pattern, count in tensor_names().items() for name in numbered(pattern, count)]
    index.write_text(json.dumps({"weight_map": dict.fromkeys(names, "model-00001-of-00002.safetensors")}))
    Checkpoint(tmp_path, model)

    renamed = [name.replace("distance_embedding", "relative_embedding") for name in names]
    index.write_text(json.dumps({"weight_map": dict.fromkeys(renamed, "model-00001-of-00002.safetensors")}))
    with pytest.raises(EngineError, match=r"lack .*distance_embedding"):
        Checkpoint(tmp_path, model)


def numbered(pattern: str, count: int) -> list[str]:
    """Return the names that a pattern stands for; of two stars, the second is one of three."""
    if pattern.count("*") == 2:
        return [pattern.replace("*", str(n), 1).replace("*", str(m)) for n in range(count // 3) for m in range(3)]
    return [pattern.replace("*", str(n)) for n in range(count)]
