"""The JSON Schema of the wire, which other people's clients are checked with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from babblefish.settings import Settings
from babblefish.wire import schema
from tests.support.fakes import make_fakes, silence, speech
from tests.support.serving import serving

FILE = Path(__file__).resolve().parents[2] / "docs" / "protocol.schema.json"


def validator(name: str) -> Any:
    """Return what checks a message against one entry of the published schema."""
    published = json.loads(FILE.read_text())
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": published["$defs"]})


def test_the_published_schema_is_what_the_types_say() -> None:
    again = "write it again: python -m babblefish.wire.schema > docs/protocol.schema.json"
    assert FILE.read_text() == schema.as_text(), again
    jsonschema.Draft202012Validator.check_schema(json.loads(FILE.read_text()))


async def test_what_the_server_says_in_a_conversation_fits_the_published_schema() -> None:
    async with serving(Settings(profile="embedded"), make_fakes().engines) as running:
        speaker = await running.client(target_lang="fra", mode="stream", audio="none", name="Claire")
        listener = await running.client(target_lang="eng", mode="stream", audio="stream")
        await speaker.stream(speech(11))
        await listener.wait_for("talking")
        await speaker.stream(silence(1.0))
        await listener.wait_until(lambda: any(piece["last"] for piece in listener.of_type("speech")))
        await listener.send_message(type="set", target_lang="spa")
        await listener.send_message(type="nonsense")
        await listener.catch_up()
        messages = [*speaker.messages, *listener.messages]
    expected = {"ready", "presence", "talking", "speaker", "result", "speech", "settled", "error", "pong"}
    assert {message["type"] for message in messages} >= expected
    check = validator("ServerMessage")
    for message in messages:
        check.validate(message)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"type": "ping"}', True),
        ('{"type": "set", "target_lang": "eng"}', True),
        ('{"type": "resume", "history_id": "0f", "after_seq": 3}', True),
        ('{"type": "say", "text": "Kowalczyk", "lang": "pol"}', True),
        ('{"type": "say", "lang": "pol"}', False),
        ("{}", False),
        ('{"type": "set", "target_language": "eng"}', False),
        ('{"type": "resume", "history_id": "0f", "after_seq": -1}', False),
        ('{"type": "rename_speaker", "name": "Dan"}', False),
    ],
)
def test_the_schema_takes_and_refuses_what_the_server_does(text: str, fits: bool) -> None:
    assert validator("ClientMessage").is_valid(json.loads(text)) == fits
