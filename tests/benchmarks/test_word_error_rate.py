"""Both ways hear the same utterances of a language, until enough words have been said."""

from __future__ import annotations

import numpy as np

from babblefish.domain import Samples
from benchmarks.support.harness import Clip
from benchmarks.word_error_rate import of_language


def clip(text: str) -> Clip:
    return Clip("clip", "eng", {"eng": text}, np.zeros(16_000, dtype=np.float32))


def test_errors_are_counted_on_the_same_utterances_until_there_are_enough_words() -> None:
    said = ["Press one, please.", "Your mailbox is full.", "Goodbye to you."]
    heard = {"ours": iter(["Press 1 please"] * 2 + ["Your mailbox was full"]), "stock": iter([""] * 3)}

    def ours(_samples: Samples, _lang: str) -> str:
        return next(heard["ours"])

    def stock(_samples: Samples, _lang: str) -> str:
        return next(heard["stock"])

    kinds = zip(("clips", "prompts", "prompts"), (clip(text) for text in said), strict=True)
    found = of_language(kinds, {"ours": ours, "stock": stock}, most_words=7)
    assert found["words_by_kind"] == {"clips": 3, "prompts": 4}
    assert found["utterances_by_kind"] == {"clips": 1, "prompts": 1}
    assert found["word_error_rate"]["ours"]["percent"] == 14.3
    assert found["word_error_rate"]["stock"]["percent"] == 100.0
    assert found["word_error_rate"]["ours less stock"]["percent"] == -85.7
    assert found["heard_nothing"] == {"ours": 0, "stock": 2}


def test_a_language_without_speech_has_no_rate() -> None:
    assert of_language(iter(()), {}, most_words=100) == {"words": 0}
