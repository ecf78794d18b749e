"""Messages of the wire."""

from __future__ import annotations

import json

import pytest

from babblefish.domain import Term
from babblefish.errors import BabbleFishError, InvalidMessageError, UnknownLanguageError
from babblefish.wire import client_messages, server_messages


def test_a_client_that_says_nothing_about_itself_gets_the_defaults() -> None:
    join = client_messages.parse_join({})
    assert (join.target_lang, join.source_lang, join.room, join.mode, join.audio) == (
        "eng",
        "auto",
        "main",
        "utterance",
        "wav",
    )


def test_parameters_it_does_not_know_and_empty_ones_are_ignored() -> None:
    assert client_messages.parse_join({"utm_source": "mail", "name": "", "room": ""}).room == "main"


def test_an_unknown_language_is_refused_with_a_hint() -> None:
    with pytest.raises(UnknownLanguageError, match="such as 'eng' or 'en-GB'"):
        client_messages.parse_join({"target_lang": "xx"})


def test_languages_become_our_codes_wherever_a_client_names_one() -> None:
    join = client_messages.parse_join(
        {"target_lang": "ENG", "source_lang": "pt-BR", "glossary": "heater=fr-FR:radiateur"}
    )
    assert (join.target_lang, join.source_lang, join.terms[0].translations) == ("eng", "por", {"fra": "radiateur"})
    assert client_messages.parse_message('{"type": "set", "target_lang": "zh-CN"}') == client_messages.Set(
        target_lang="cmn"
    )
    # Traditional characters are read, and Chinese is spoken.
    taiwanese = client_messages.parse_join({"target_lang": "zh-TW", "source_lang": "zh-TW"})
    assert (taiwanese.target_lang, taiwanese.source_lang) == ("cmn-Hant", "cmn")
    message = client_messages.parse_message('{"type": "glossary", "terms": [{"text": "a", "spoken": {"ger": "b"}}]}')
    assert isinstance(message, client_messages.Glossary)
    assert message.terms[0].spoken == {"deu": "b"}
    assert client_messages.parse_join({"source_lang": "room"}).source_lang == "room"


def test_decomposed_accents_are_composed_in_names_and_terms() -> None:
    join = client_messages.parse_join({"name": "Zoe\u0301", "glossary": "cafe\u0301=fra:ferme\u0301"})
    assert (join.name, join.terms) == ("Zo\u00e9", (Term("caf\u00e9", {"fra": "ferm\u00e9"}, {}),))


def test_what_a_client_sent_is_not_echoed_at_length() -> None:
    with pytest.raises(BabbleFishError) as caught:
        client_messages.parse_message('{"type": "set", "target_lang": "' + "x" * 10_000 + '"}')
    assert len(caught.value.message) < 300


def test_every_control_message_is_understood() -> None:
    for text, kind in {
        '{"type": "set", "name": " Dan "}': client_messages.Set,
        '{"type": "flush"}': client_messages.Flush,
        '{"type": "ping"}': client_messages.Ping,
        '{"type": "say", "text": "Zo\u0308e"}': client_messages.Say,
        '{"type": "resume", "history_id": "0f", "after_seq": 3}': client_messages.Resume,
        '{"type": "rename_speaker", "speaker_id": "speaker_1", "name": "Dan"}': client_messages.RenameSpeaker,
        '{"type": "glossary", "terms": [{"text": "Ewa"}], "remove": ["Ola"]}': client_messages.Glossary,
    }.items():
        assert isinstance(client_messages.parse_message(text), kind)


def test_a_misspelt_field_is_an_error_that_names_it() -> None:
    with pytest.raises(InvalidMessageError, match="target_language"):
        client_messages.parse_message('{"type": "set", "target_language": "eng"}')


def test_errors_carry_their_code() -> None:
    encoded = json.loads(server_messages.encode(server_messages.error_message(UnknownLanguageError("no"), "u1")))
    assert encoded == {
        "type": "error",
        "code": "unknown_language",
        "message": "no",
        "fatal": False,
        "utterance_id": "u1",
    }


def test_terms_come_in_a_query_with_what_each_language_writes_and_says() -> None:
    given = "BabbleFish; Kowalczyk=eng:|Kovalchick,fra:|Kovaltchik ;water heater=fra:chauffe-eau|chauffe o;"
    assert client_messages.parse_join({"glossary": given}).terms == (
        Term("BabbleFish"),
        Term("Kowalczyk", {}, {"eng": "Kovalchick", "fra": "Kovaltchik"}),
        Term("water heater", {"fra": "chauffe-eau"}, {"fra": "chauffe o"}),
    )
    assert client_messages.parse_join({}).terms == ()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("x" * 61, InvalidMessageError),
        ("=fra:rien", InvalidMessageError),
        ("heater=xx:chauffe-eau", UnknownLanguageError),
        ("heater=chauffe-eau", UnknownLanguageError),
        ("a;" * 2049, InvalidMessageError),
    ],
)
def test_terms_in_a_query_that_cannot_be_are_refused(given: str, error: type[BabbleFishError]) -> None:
    with pytest.raises(error):
        client_messages.parse_join({"glossary": given})


@pytest.mark.parametrize(
    ("term", "error"),
    [
        ('{"text": ""}', InvalidMessageError),
        ('{"text": "\u200b\u202e"}', InvalidMessageError),
        ('{"text": "a", "spoken": {"eng": " "}}', InvalidMessageError),
        ('{"text": "a", "translations": {"xx": "b"}}', UnknownLanguageError),
        ('{"text": "a", "sound": {}}', InvalidMessageError),
    ],
)
def test_a_term_needs_a_spelling_that_can_be_seen_and_languages_that_are_known(
    term: str, error: type[BabbleFishError]
) -> None:
    with pytest.raises(error):
        client_messages.parse_message(f'{{"type": "glossary", "terms": [{term}]}}')
