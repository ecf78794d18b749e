"""The voices of the last utterances of a room, so that what was taken for another voice can be corrected."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from babblefish.domain import UNKNOWN_SPEAKER_ID
from babblefish.engines.contracts import Embedding, mean_voice

_MOST = 200
"""Utterances; of older ones nobody can say any more whose they were. As many results a room keeps by default."""

_ROUNDS = 5
"""Of comparing each utterance with both voices; they settle in two or three."""


@dataclass(eq=False)
class HeardVoice:
    """The voice of one utterance.

    Attributes:
        utterance_id: The utterance.
        embedding: Unit vector.
        speech_s: Seconds of speech in it.
        client_id: The client it came from.
        speaker_id: Whose it was taken for; ``unknown`` if nobody's.
        is_sure: Whether more speech can change nothing about that.
    """

    utterance_id: str
    embedding: Embedding
    speech_s: float
    client_id: str
    speaker_id: str = UNKNOWN_SPEAKER_ID
    is_sure: bool = False


class HeardVoices:
    """In memory only, and of a voice that is to be forgotten nothing is left."""

    def __init__(self) -> None:
        """Begin with none."""
        self._heard: deque[HeardVoice] = deque(maxlen=_MOST)

    def __iter__(self) -> Iterator[HeardVoice]:
        return iter(self._heard)

    def add(self, heard: HeardVoice) -> None:
        """Remember one; the oldest makes place."""
        self._heard.append(heard)

    def of(self, speaker_id: str) -> list[HeardVoice]:
        """Return what was taken for a voice's, the oldest first."""
        return [heard for heard in self._heard if heard.speaker_id == speaker_id]

    def forget(self, speaker_id: str) -> set[str]:
        """Forget what was taken for a voice's, and return which utterances that were."""
        gone = self.of(speaker_id)
        for heard in gone:
            self._heard.remove(heard)
        return {heard.utterance_id for heard in gone}

    def replace(self, was: str, speaker_id: str) -> None:
        """Take what was one voice's for another's."""
        for heard in self.of(was):
            heard.speaker_id = speaker_id

    def apart(
        self, speaker_id: str, utterance_id: str, anchor: Embedding | None
    ) -> tuple[list[HeardVoice], list[HeardVoice]]:
        """Take two voices apart that were taken for one (k-means, k = 2).

        Args:
            speaker_id: That both were taken for.
            utterance_id: Said by the one that is not.
            anchor: What the voice that stays surely sounds like; None where that is to be found out as well.

        Returns:
            The utterances of the voice that stays, and those of the other one; that has none if nobody remembers what
            it was heard in.
        """
        all_of_them = self.of(speaker_id)
        seeds = [heard for heard in all_of_them if heard.utterance_id == utterance_id]
        theirs, others = [heard for heard in all_of_them if heard not in seeds], seeds
        for _ in range(_ROUNDS):
            if not others or (anchor is None and not theirs):
                break
            stays = anchor if anchor is not None else together(theirs)[0]
            goes, _ = together(others)
            moved = [
                heard for heard in all_of_them if heard in seeds or heard.embedding @ goes > heard.embedding @ stays
            ]
            if moved == others:
                break
            others = moved
            theirs = [heard for heard in all_of_them if heard not in others]
        return theirs, others


def together(heard: Sequence[HeardVoice]) -> tuple[Embedding, float]:
    """Return the unit vector of a voice that was heard in some utterances, and the seconds of speech in them."""
    embedding, speech_s = heard[0].embedding, heard[0].speech_s
    for more in heard[1:]:
        embedding = mean_voice(embedding, speech_s, more.embedding, more.speech_s)
        speech_s += more.speech_s
    return embedding, speech_s
