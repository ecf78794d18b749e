"""Messages of the wire."""

from __future__ import annotations

import json

import pytest

from babblefish import controls, protocol
from babblefish.domain import BabbleFishError, InvalidMessageError, UnknownLanguageError


def test_a_client_that_says_nothing_about_itself_gets_the_defaults() -> None:
    join = controls.parse_join({})
    assert (join.target_lang, join.source_lang, join.room, join.mode, join.audio) == (
        "eng",
        "auto",
        "main",
        "utterance",
        "wav",
    )


def test_parameters_it_does_not_know_and_empty_ones_are_ignored() -> None:
    assert controls.parse_join({"utm_source": "mail", "name": "", "room": ""}).room == "main"


def test_a_two_letter_code_is_refused_with_a_hint() -> None:
    with pytest.raises(UnknownLanguageError, match="ISO 639-3"):
        controls.parse_join({"target_lang": "en"})


def test_what_a_client_sent_is_not_echoed_at_length() -> None:
    with pytest.raises(BabbleFishError) as caught:
        controls.parse_control('{"type": "set", "target_lang": "' + "x" * 10_000 + '"}')
    assert len(caught.value.message) < 300


def test_every_control_message_is_understood() -> None:
    for text, kind in {
        '{"type": "set", "name": " Dan "}': controls.Set,
        '{"type": "flush"}': controls.Flush,
        '{"type": "ping"}': controls.Ping,
        '{"type": "resume", "history_id": "0f", "after_seq": 3}': controls.Resume,
        '{"type": "rename_speaker", "speaker_id": "speaker_1", "name": "Dan"}': controls.RenameSpeaker,
    }.items():
        assert isinstance(controls.parse_control(text), kind)


def test_a_misspelt_field_is_an_error_that_names_it() -> None:
    with pytest.raises(InvalidMessageError, match="target_language"):
        controls.parse_control('{"type": "set", "target_language": "eng"}')


def test_errors_carry_their_code() -> None:
    encoded = json.loads(protocol.encode(protocol.error_message(UnknownLanguageError("no"), "u1")))
    assert encoded == {
        "type": "error",
        "code": "unknown_language",
        "message": "no",
        "fatal": False,
        "utterance_id": "u1",
    }
