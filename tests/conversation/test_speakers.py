"""The voices a room knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from babblefish.conversation.speakers import Consent, Snapshot, SpeakerRegistry
from babblefish.domain import UNKNOWN_SPEAKER_ID
from babblefish.engines.contracts import Embedding
from babblefish.errors import UnknownSpeakerError
from tests.support.fakes import VOICE_SCALE

MIN_S = 1.0


def voice(axis: int, toward: int = 7, similarity: float = 1.0) -> Embedding:
    """Return a unit vector along an axis, or one that has this cosine with it and leans towards another axis."""
    embedding = np.zeros(8, dtype=np.float32)
    embedding[axis] = similarity
    embedding[toward] += np.sqrt(1 - similarity**2)
    return embedding


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


@pytest.fixture
def registry() -> SpeakerRegistry:
    return SpeakerRegistry(VOICE_SCALE, MIN_S, clock=Clock())


def test_a_voice_is_known_again(registry: SpeakerRegistry) -> None:
    first = registry.identify(voice(0), 3.0, "anna")
    assert (first.speaker_id, first.is_new, first.confidence) == ("speaker_1", True, 1.0)
    again = registry.identify(voice(0, similarity=0.9), 3.0, "anna")
    assert (again.speaker_id, again.is_new) == ("speaker_1", False)
    assert registry.list()[0].samples == 2


def test_another_voice_is_another_speaker_even_on_the_same_client(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 3.0, "phone")
    second = registry.identify(voice(1), 3.0, "phone")
    assert (second.speaker_id, second.name, second.is_new) == ("speaker_2", "Speaker 2", True)


def test_a_voice_that_says_short_things_needs_less_likeness_than_a_talkative_one() -> None:
    by_duration = {}
    for duration_s in (1.2, 9.0):
        registry = SpeakerRegistry(VOICE_SCALE, MIN_S)
        registry.identify(voice(0), duration_s, "anna")
        by_duration[duration_s] = registry.identify(voice(0, similarity=0.6), duration_s, "bob").is_new
    assert by_duration == {1.2: False, 9.0: True}


def test_what_counts_as_one_voice_is_the_encoders_unless_a_threshold_is_given() -> None:
    new = {}
    for name, scale, threshold in (
        ("lenient", replace(VOICE_SCALE, threshold=0.5), None),
        ("strict", replace(VOICE_SCALE, threshold=0.9), None),
        ("overridden", replace(VOICE_SCALE, threshold=0.5), 0.9),
        ("reliable when short", replace(VOICE_SCALE, half_reliable_s=0.01), None),
    ):
        registry = SpeakerRegistry(scale, MIN_S, threshold)
        registry.identify(voice(0), 3.0, "anna")
        new[name] = registry.identify(voice(0, similarity=0.6), 3.0, "bob").is_new  # 0.76 once corrected
    assert new == {"lenient": False, "strict": True, "overridden": True, "reliable when short": True}


def test_the_client_of_a_voice_speaks_for_it_when_in_doubt(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 9.0, "anna")
    doubtful = voice(0, similarity=0.62)  # 0.62 corrected for 9 s on both sides is 0.675
    other = SpeakerRegistry(VOICE_SCALE, MIN_S)
    other.adopt(registry.snapshot())
    assert not registry.identify(doubtful, 9.0, "anna").is_new
    assert other.identify(doubtful, 9.0, "bob").is_new


def test_one_short_word_is_the_most_plausible_voice_or_nobody_but_never_a_new_one(registry: SpeakerRegistry) -> None:
    assert registry.identify(voice(0), 0.5, "bob").speaker_id == UNKNOWN_SPEAKER_ID
    registry.identify(voice(0), 5.0, "anna")
    likely = registry.identify(voice(0, similarity=0.35), 0.5, "anna")
    assert likely.speaker_id == "speaker_1"
    unlikely = registry.identify(voice(0, toward=3, similarity=0.05), 0.5, "anna")
    assert unlikely.speaker_id == UNKNOWN_SPEAKER_ID
    assert 0.05 < unlikely.confidence < likely.confidence < 1.0
    assert len(registry.list()) == 1


def test_short_words_of_one_voice_add_up_until_it_is_known(registry: SpeakerRegistry) -> None:
    first, second = (registry.identify(voice(0), 0.6, "anna", "Anna") for _ in range(2))
    assert (first.speaker_id, second.speaker_id, second.name, second.is_new) == ("unknown", "speaker_1", "Anna", True)
    assert (first.is_likely, second.is_likely) == (True, False)
    assert registry.identify(voice(0, similarity=0.9), 0.6, "anna").speaker_id == "speaker_1"


def test_short_turns_of_two_voices_on_one_client_become_two_speakers(registry: SpeakerRegistry) -> None:
    turns = [registry.identify(voice(axis), 0.6, "phone").speaker_id for axis in (0, 1, 0, 1, 0)]
    assert turns == ["unknown", "unknown", "speaker_1", "speaker_2", "speaker_1"]


def test_short_words_through_two_clients_do_not_add_up(registry: SpeakerRegistry) -> None:
    assert [registry.identify(voice(0), 0.6, client).speaker_id for client in ("anna", "bob")] == ["unknown"] * 2


def test_what_adds_up_to_a_voice_that_is_known_is_that_voice(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 9.0, "anna", "Anna")
    words = []
    for noise in (4, 5):  # each of them is 0.693 like the voice once corrected, both together 0.715
        embedding = 0.435 * voice(0) + 0.401 * voice(3) + 0.806 * voice(noise)
        words.append(registry.identify(embedding, 0.6, "bob"))
    assert [(word.speaker_id, word.is_new) for word in words] == [("unknown", False), ("speaker_1", False)]


def test_before_its_voice_is_known_a_client_is_likely_who_it_says(registry: SpeakerRegistry) -> None:
    match = registry.identify(voice(0), 0.5, "anna", "Anna")
    assert (match.speaker_id, match.name, match.is_likely, match.is_new) == ("unknown", "Anna", True, False)
    assert not registry.identify(voice(0), 0.5, "guest").is_likely


def test_the_name_of_a_client_is_not_given_to_words_that_are_not_one_voice(registry: SpeakerRegistry) -> None:
    names = [registry.identify(voice(axis), 0.5, "phone", "Anna").name for axis in (0, 1)]
    assert names == ["Anna", "Unknown speaker"]


def test_a_word_is_likely_the_only_voice_of_its_client_and_not_one_of_two(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 5.0, "phone", "Anna")
    doubtful = voice(0, similarity=0.12)  # 0.23 once corrected: below what is plausible by itself
    only = registry.identify(doubtful, 0.4, "phone")
    assert (only.speaker_id, only.is_likely) == ("speaker_1", True)
    registry.identify(voice(1), 5.0, "phone")
    assert registry.identify(doubtful, 0.4, "phone").speaker_id == UNKNOWN_SPEAKER_ID


def test_a_strangers_first_word_does_not_bear_the_name_of_somebody_on_another_client(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 5.0, "anna", "Anna")
    assert registry.identify(voice(0, similarity=0.35), 0.5, "bob", "Bob").speaker_id == UNKNOWN_SPEAKER_ID


def test_a_doubtful_match_does_not_move_the_average(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 5.0, "anna")
    before = registry.snapshot().records[0].centroid
    match = registry.identify(voice(0, similarity=0.65), 5.0, "bob")
    assert match.speaker_id == "speaker_1"
    np.testing.assert_array_equal(registry.snapshot().records[0].centroid, before)


def test_a_sure_match_moves_the_average_the_more_the_longer_it_is() -> None:
    moved = {}
    for duration_s in (1.0, 6.0):
        registry = SpeakerRegistry(VOICE_SCALE, MIN_S)
        registry.identify(voice(0), 5.0, "anna")
        registry.identify(voice(0, toward=3, similarity=0.9), duration_s, "anna")
        centroid = registry.snapshot().records[0].centroid
        assert np.linalg.norm(centroid) == pytest.approx(1.0, abs=1e-5)
        moved[duration_s] = float(centroid[3])
    assert 0 < moved[1.0] < moved[6.0]


def test_a_voice_known_for_long_still_follows_a_new_microphone(registry: SpeakerRegistry) -> None:
    for _ in range(100):
        registry.identify(voice(0), 8.0, "anna")
    for _ in range(20):
        registry.identify(voice(0, toward=3, similarity=0.9), 8.0, "anna")
    assert registry.snapshot().records[0].centroid @ voice(0, toward=3, similarity=0.9) > 0.99


def test_the_first_voice_of_a_client_takes_its_name_and_the_second_a_number(registry: SpeakerRegistry) -> None:
    names = [registry.identify(voice(axis), 3.0, "phone", "Anna").name for axis in (0, 1)]
    assert names == ["Anna", "Speaker 2"]
    registry.rename("speaker_1", "Annie")
    assert registry.identify(voice(2), 3.0, "phone", "Anna").name == "Speaker 3"


def test_a_name_that_a_voice_bears_is_not_given_twice(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 3.0, "one", "Anna")
    assert registry.identify(voice(1), 3.0, "two", "Anna").name == "Speaker 2"


def test_a_renamed_voice_is_matched_under_its_new_name(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 3.0, "anna")
    registry.rename("speaker_1", "Zofia")
    assert registry.identify(voice(0), 3.0, "anna").name == "Zofia"
    assert registry.list()[0].name == "Zofia"


def test_merged_voices_are_one_from_then_on(registry: SpeakerRegistry) -> None:
    headset, phone = voice(0), voice(0, toward=3, similarity=0.5)
    registry.identify(headset, 3.0, "anna")
    registry.identify(phone, 3.0, "bob", "Bob")
    assert len(registry.list()) == 2
    registry.merge("speaker_1", "speaker_2")
    (merged,) = registry.list()
    assert (merged.speaker_id, merged.name, merged.samples) == ("speaker_1", "Bob", 2)
    assert registry.identify(headset, 3.0, "anna").speaker_id == "speaker_1"
    assert registry.identify(phone, 3.0, "bob").speaker_id == "speaker_1"


def test_merging_a_voice_with_itself_changes_nothing(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 3.0, "anna")
    before = registry.list()
    registry.merge("speaker_1", "speaker_1")
    assert registry.list() == before


def test_a_forgotten_voice_is_new_again_under_another_id(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 3.0, "anna")
    registry.forget("speaker_1")
    assert registry.list() == ()
    assert registry.identify(voice(0), 3.0, "anna").speaker_id == "speaker_2"


def test_an_id_that_no_voice_has_is_an_error(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 3.0, "anna")
    with pytest.raises(UnknownSpeakerError):
        registry.rename("speaker_9", "Nobody")
    with pytest.raises(UnknownSpeakerError):
        registry.forget("speaker_9")
    with pytest.raises(UnknownSpeakerError):
        registry.merge("speaker_1", "speaker_9")
    assert len(registry.list()) == 1


def test_when_too_many_are_known_the_nameless_voice_heard_longest_ago_is_forgotten() -> None:
    registry = SpeakerRegistry(VOICE_SCALE, MIN_S, limit=3, clock=Clock())
    registry.identify(voice(0), 3.0, "anna", "Anna")
    registry.identify(voice(1), 3.0, "x")
    registry.identify(voice(2), 3.0, "y")
    registry.identify(voice(1), 3.0, "x")
    registry.identify(voice(3), 3.0, "z")
    assert [known.speaker_id for known in registry.list()] == ["speaker_1", "speaker_2", "speaker_4"]


def test_where_all_have_names_the_one_heard_longest_ago_goes() -> None:
    registry = SpeakerRegistry(VOICE_SCALE, MIN_S, limit=2, clock=Clock())
    for axis, name in enumerate(("Anna", "Bob", "Chiara")):
        registry.identify(voice(axis), 3.0, name, name)
    assert [known.name for known in registry.list()] == ["Bob", "Chiara"]


def test_a_registry_goes_on_from_a_snapshot(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 3.0, "anna", "Anna")
    registry.identify(voice(1), 3.0, "bob", "Bob")
    registry.forget("speaker_2")
    restored = SpeakerRegistry(VOICE_SCALE, MIN_S)
    restored.adopt(registry.snapshot())
    assert restored.list() == registry.list()
    assert restored.identify(voice(0), 3.0, "anna").name == "Anna"
    assert restored.identify(voice(2), 3.0, "carl").speaker_id == "speaker_3"


def test_a_snapshot_does_not_change_with_the_registry(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 3.0, "anna")
    snapshot = registry.snapshot()
    centroid = snapshot.records[0].centroid.copy()
    registry.identify(voice(0, toward=3, similarity=0.9), 9.0, "anna")
    np.testing.assert_array_equal(snapshot.records[0].centroid, centroid)
    assert snapshot == replace(snapshot, next_number=2)
    assert Snapshot() == Snapshot((), 1)


def test_a_person_is_who_was_heard_in_quiet_and_on_this_client(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 5.0, "anna")
    assert registry.likeness_of_person(voice(0), 5.0, "anna") is None
    registry.heard_in_quiet("speaker_1")
    registry.identify(voice(0), 5.0, "anna")
    assert registry.likeness_of_person(voice(0), 5.0, "anna") == pytest.approx(1.1, abs=0.1)
    assert registry.likeness_of_person(voice(0, similarity=0.4), 5.0, "anna") is None
    assert registry.likeness_of_person(voice(0), 5.0, "bob") is None
    registry.identify(voice(1), 5.0, "bob")
    registry.merge("speaker_2", "speaker_1")
    assert registry.likeness_of_person(voice(0), 5.0, "bob") is not None


def test_a_person_in_noise_is_less_like_themselves_and_left_to_be_compared(registry: SpeakerRegistry) -> None:
    registry.identify(voice(0), 5.0, "anna")
    registry.heard_in_quiet("speaker_1")
    likeness = registry.likeness_of_person(voice(0, similarity=0.5), 5.0, "anna")
    assert likeness is not None
    assert likeness < registry.threshold


def say(
    registry: SpeakerRegistry, *utterances: tuple[str, Embedding, float], client: str = "phone"
) -> list[tuple[str, tuple[str, ...]]]:
    """Let voices speak through one client; return whose they were, and what that corrected."""
    matches = [registry.identify(embedding, s, client, "", utterance) for utterance, embedding, s in utterances]
    return [(match.speaker_id, match.corrects) for match in matches]


def test_short_words_are_corrected_when_their_voice_is_known(registry: SpeakerRegistry) -> None:
    assert say(registry, ("a", voice(0), 0.4), ("b", voice(1), 0.4), ("c", voice(0), 0.4), ("d", voice(0), 0.4)) == [
        ("unknown", ()),
        ("unknown", ()),
        ("unknown", ()),
        ("speaker_1", ("a", "c")),
    ]


def test_a_word_that_was_likely_is_sure_when_more_is_known_of_its_voice(registry: SpeakerRegistry) -> None:
    word = voice(0, toward=3, similarity=0.42)
    assert say(registry, ("long", voice(0), 9.0), ("word", word, 0.5)) == [("speaker_1", ()), ("speaker_1", ())]
    moved = voice(0, toward=3, similarity=0.75)
    assert say(registry, ("again", moved, 9.0)) == [("speaker_1", ("word",))]


def test_what_was_nearly_a_known_voice_is_another_one_once_that_is_known(registry: SpeakerRegistry) -> None:
    between = voice(0, toward=1, similarity=0.66)  # 0.72 once corrected: enough, and not by much
    assert say(registry, ("first", voice(0), 9.0), ("doubtful", between, 9.0), ("other", voice(1), 9.0)) == [
        ("speaker_1", ()),
        ("speaker_1", ()),
        ("speaker_2", ("doubtful",)),
    ]


def test_what_was_surely_a_voice_stays_its(registry: SpeakerRegistry) -> None:
    say(registry, ("first", voice(0), 9.0), ("second", voice(0, toward=1, similarity=0.85), 9.0))
    assert say(registry, ("other", voice(1), 9.0)) == [("speaker_2", ())]


def test_nothing_is_left_of_what_a_forgotten_voice_said(registry: SpeakerRegistry) -> None:
    say(registry, ("first", voice(0), 9.0), ("word", voice(0), 0.3), ("part", voice(2), 0.6))
    registry.forget("speaker_1")
    assert [heard.utterance_id for heard in registry._heard] == ["part"]


def test_a_stored_voice_does_not_move_when_it_is_taken_apart(registry: SpeakerRegistry) -> None:
    say(registry, ("first", voice(0), 9.0), ("stranger", voice(0, toward=1, similarity=0.7), 9.0))
    registry.agree("speaker_1", Consent("kept", 0.0))
    before = registry.get("speaker_1").centroid
    assert registry.split("speaker_1", "stranger") == ("speaker_2", ("stranger",))
    np.testing.assert_array_equal(registry.get("speaker_1").centroid, before)
    with pytest.raises(UnknownSpeakerError):
        registry.split("speaker_1", "stranger")
    with pytest.raises(UnknownSpeakerError):
        registry.split("speaker_2", "stranger")  # nothing else is remembered of it
