"""Which synthetic voice speaks for whom."""

from __future__ import annotations

from babblefish.conversation.voice_cast import VoiceCast
from babblefish.engines.contracts import SyntheticVoice

VOICES = {
    "spa": [SyntheticVoice("high", 200.0), SyntheticVoice("low", 120.0), SyntheticVoice("lower", 100.0)],
    "deu": [SyntheticVoice("only")],
}


def cast_of(**pitches_hz: float) -> VoiceCast:
    cast = VoiceCast(lambda lang: VOICES.get(lang, []))
    for speaker_id, pitch_hz in pitches_hz.items():
        cast.heard(speaker_id, pitch_hz)
    return cast


def test_a_voice_about_as_high_speaks_for_somebody() -> None:
    cast = cast_of(woman=215.0, man=90.0)
    assert cast.voice("woman", "spa") == "high"
    assert cast.voice("man", "spa") == "lower"


def test_of_two_voices_about_as_high_the_first_speaks() -> None:
    assert cast_of(man=110.0).voice("man", "spa") == "low"


def test_two_people_have_two_voices_as_long_as_there_are_any() -> None:
    cast = cast_of(anna=200.0, bea=205.0, carla=210.0, dora=215.0)
    voices = [cast.voice(name, "spa") for name in ("anna", "bea", "carla", "dora")]
    assert voices == ["high", "low", "lower", "high"]


def test_a_voice_is_kept_whoever_comes_and_goes() -> None:
    cast = cast_of(anna=200.0, bea=205.0)
    first = [cast.voice(name, "spa") for name in ("anna", "bea")]
    cast.forget("anna")
    cast.heard("carla", 200.0)
    assert cast.voice("carla", "spa") == "high"
    assert cast.voice("bea", "spa") == first[1]


def test_where_there_is_one_voice_all_share_it() -> None:
    cast = cast_of(anna=200.0, ben=100.0)
    assert [cast.voice(name, "deu") for name in ("anna", "ben")] == ["only", "only"]


def test_nobody_is_cast_whose_voice_is_not_known() -> None:
    cast = cast_of(anna=200.0)
    assert cast.voice("ben", "spa") is None
    assert cast.voice("anna", "pol") is None
    cast.forget("anna")
    assert cast.voice("anna", "spa") is None
    assert not cast.knows("anna")


def test_no_more_than_a_hundred_speakers_are_remembered() -> None:
    cast = cast_of(**{f"speaker_{number}": 200.0 for number in range(101)})
    assert [cast.knows(f"speaker_{number}") for number in (0, 1, 100)] == [False, True, True]
