"""What members do with the voices of their room, what everyone is told of it, and what is kept."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from babblefish.client import ConnectionLostError
from babblefish.conversation.store_thread import StoreError
from babblefish.domain import Samples
from babblefish.settings import Settings
from tests.support.fakes import Clock, Fakes, speech
from tests.support.phones import joined, said
from tests.support.scripted_service import process
from tests.support.serving import Client, Running, bearer, serving
from tests.support.waiting import until

PATH = "/rooms/main/voices"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        log_level="error",
        voices_file=tmp_path / "voices.db",
        history_file=tmp_path / "history.db",
        state_dir=tmp_path / "state",
    )


async def say(client: Client, *utterances: Samples) -> None:
    """Say something, one thing after another, each once the result of the one before is there."""
    for samples in utterances:
        before = len(client.of_type("result"))
        await client.say(samples)
        await client.wait_for("result", before + 1)


async def enrol(client: Client, phrase: int = 11, name: str = "") -> dict[str, Any]:
    """Enrol with three sentences of one voice, and return what the client is told at the end."""
    before = len(client.of_type("enrolment"))
    await client.send_message(type="enrol", consent=True, name=name)
    await say(client, speech(phrase, 2.0), speech(phrase, 2.0), speech(phrase, 2.0))
    await client.wait_until(lambda: any(is_over(one) for one in client.of_type("enrolment")[before:]))
    return client.of_type("enrolment")[-1]


def is_over(enrolment: dict[str, Any]) -> bool:
    return enrolment["state"] in ("done", "ended")


async def told(client: Client, kind: str, **message: Any) -> dict[str, Any]:
    """Send a message, and return what comes of it."""
    before = len(client.of_type(kind))
    await client.send_message(**message)
    return (await client.wait_for(kind, before + 1))[-1]


async def speakers(running: Running) -> dict[str, str]:
    async with running.http() as http:
        rooms = (await http.get("/speakers")).json()["rooms"]
    return {known["speaker_id"]: known["name"] for room in rooms for known in room["speakers"]}


async def test_two_sentences_enrol_a_voice_and_what_they_were_taken_for_is_corrected(running: Running) -> None:
    client = await running.client(target_lang="fra", audio="none", name="Claire")
    await client.send_message(type="enrol", consent=True, name="Claire M.")
    await say(client, speech(11, 0.6), speech(11, 2.0), speech(11, 3.0))
    heard = await client.wait_for("enrolment", 4)
    assert [one["state"] for one in heard] == ["listening", "listening", "listening", "done"]
    assert heard[0]["heard_s"] == 0.0 < heard[1]["heard_s"] < heard[2]["heard_s"] < heard[2]["needed_s"]
    assert (heard[3]["speaker_id"], heard[3]["stored"]) == ("speaker_1", True)
    assert [result["speaker_name"] for result in client.of_type("result")] == ["Claire", "Claire", "Claire M."]
    assert [2, 1] in [sorted(one["seqs"], reverse=True) for one in client.of_type("speaker")]
    assert client.of_type("speaker")[-1]["name"] == "Claire M."


async def test_without_consent_nothing_is_learnt(running: Running) -> None:
    client = await running.client(audio="none", name="Claire")
    assert (await told(client, "error", type="enrol"))["code"] == "invalid_message"
    await client.send_message(type="enrol", consent=False)
    await client.send_message(type="enrol", consent=True)
    await say(client, speech(11, 2.0))
    ended = await told(client, "enrolment", type="enrol", consent=False)
    assert ended["state"] == "ended"
    await say(client, speech(11, 3.0), speech(11, 3.0))
    assert client.of_type("enrolment")[-1] == ended
    nameless = await running.client()
    assert (await told(nameless, "error", type="enrol", consent=True))["code"] == "invalid_message"


async def test_another_voice_in_between_does_not_count(running: Running) -> None:
    client = await running.client(audio="none", name="Claire")
    await client.send_message(type="enrol", consent=True)
    await say(client, speech(11, 2.0), speech(21, 3.0), speech(11, 4.0))
    states = [one["state"] for one in await client.wait_for("enrolment", 4)]
    assert states == ["listening", "listening", "other_voice", "done"]
    assert await speakers(running) == {"speaker_1": "Claire", "speaker_2": "Speaker 2"}


async def test_who_enrolled_is_known_after_a_restart_and_nobody_else(settings: Settings, fakes: Fakes) -> None:
    async with serving(settings, fakes.engines) as running:
        client = await running.client(audio="none", name="Claire")
        assert client.messages[0]["voices_kept_days"] == settings.voices_keep_days
        done = await enrol(client, name="Claire M.")
        assert done["stored"]
        await say(await running.client(audio="none", name="Bob"), speech(21, 3.0))
    async with serving(settings, fakes.engines) as running:
        assert (await running.client(room="kitchen")).messages[0]["last_seq"] == 0
        client = await running.client(audio="none", name="Claire")
        await say(client, speech(11), speech(21, 3.0))  # whose phone it is has been heard: this is somebody else
        results = client.of_type("result")
        assert [(one["speaker_id"], one["speaker_name"]) for one in results] == [
            (done["speaker_id"], "Claire M."),
            ("speaker_3", "Speaker 3"),
        ]


async def test_a_voice_that_is_kept_is_changed_only_by_who_enrolled_it(settings: Settings, fakes: Fakes) -> None:
    async with serving(settings, fakes.engines) as running:
        claire = await running.client(audio="none", name="Claire")
        done = await enrol(claire)
    async with serving(settings, fakes.engines) as running:
        stranger = await running.client(audio="none", name="Bob", voices="wrong")
        await say(stranger, speech(11))
        rename = {"type": "rename_speaker", "speaker_id": done["speaker_id"], "name": "Nobody"}
        assert (await told(stranger, "error", **rename))["code"] == "not_yours"
        forget = {"type": "forget_speaker", "speaker_id": done["speaker_id"]}
        assert (await told(stranger, "error", **forget))["code"] == "not_yours"
        assert (await enrol(stranger, name="Bob"))["state"] == "ended", "with her voice"
        claire = await running.client(audio="none", name="Claire", voices=f"another,{done['voice_token']}")
        assert (await told(claire, "speaker", **rename))["name"] == "Nobody"
        again = await enrol(claire, 12, name="Claire again")
        assert (again["state"], again["speaker_id"]) == ("done", done["speaker_id"]), "her own is learnt anew"
        assert running.server.rooms is not None
        (kept,) = await running.server.rooms.kept_voices("main")
        assert (kept[1].known.name, again["voice_id"]) == ("Claire again", kept[1].consent and kept[1].consent.voice_id)


async def test_who_is_forgotten_is_forgotten_everywhere(settings: Settings, fakes: Fakes) -> None:
    async with serving(settings, fakes.engines) as running:
        claire, bob = [await running.client(audio="none", name=name) for name in ("Claire", "Bob")]
        done = await enrol(claire)
        await say(bob, speech(21, 3.0))
        await bob.catch_up()
        news = await told(claire, "speaker", type="forget_speaker", speaker_id=done["speaker_id"])
        assert (news["speaker_id"], news["replaces"]) == ("unknown", done["speaker_id"])
        await bob.wait_until(lambda: news in bob.of_type("speaker"))
        assert await speakers(running) == {"speaker_2": "Bob"}
        assert running.server.rooms is not None
        assert await running.server.rooms.kept_voices("main") == []
        async with running.http() as http:
            record = (await http.get("/rooms/main/transcript", params={"format": "json"})).json()["entries"]
        assert [entry["speaker_name"] for entry in record] == ["Unknown speaker"] * 3 + ["Bob"]
    async with serving(settings, fakes.engines) as running:
        client = await running.client(audio="none")
        await say(client, speech(11, 3.0))
        assert client.of_type("result")[0]["speaker_name"] == "Speaker 3"


async def test_where_it_cannot_be_deleted_yet_that_is_said(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    claire = await running.client(audio="none", name="Claire")
    done = await enrol(claire)
    assert running.server.voices is not None

    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(running.server.voices._store, "write", full)
    error = await told(claire, "error", type="forget_speaker", speaker_id=done["speaker_id"])
    assert error["code"] == "not_ready"
    assert await speakers(running) == {}
    async with running.http() as http:
        state = (await http.get("/dashboard?format=json")).json()
        assert "voices are not stored: the disk is full" in state["health"]["reasons"]
        assert (await http.get("/")).json()["voices"] == "failing"
        assert (await http.get(PATH)).status_code == 503


async def test_two_voices_of_one_person_become_one(running: Running) -> None:
    client = await running.client(audio="none", name="Claire")
    other = await running.client(audio="none")
    await say(client, speech(11, 3.0), speech(21, 3.0))
    news = await told(client, "speaker", type="merge_speakers", keep="speaker_1", drop="speaker_2")
    assert (news["speaker_id"], news["name"], news["replaces"]) == ("speaker_1", "Claire", "speaker_2")
    await other.wait_until(lambda: news in other.of_type("speaker"))
    back = await running.client(audio="none")
    await back.send_message(type="resume", history_id=back.messages[0]["history_id"], after_seq=0)
    assert [one["speaker_name"] for one in await back.wait_for("result", 2)] == ["Claire", "Claire"]
    same = await told(client, "error", type="merge_speakers", keep="speaker_1", drop="speaker_1")
    assert same["code"] == "invalid_message"
    gone = await told(client, "error", type="merge_speakers", keep="speaker_1", drop="speaker_2")
    assert gone["code"] == "unknown_speaker"


def _alike(samples: Samples) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Embed the phrases of two people so that they are taken for one."""
    phrase = round(float(np.median(samples[np.abs(samples) > 0.005])) * 100)
    embedding = np.zeros(16, dtype=np.float32)
    embedding[0], embedding[phrase // 10] = 0.8, 0.6
    return embedding


async def test_two_people_who_were_taken_for_one_are_taken_apart(running: Running, fakes: Fakes) -> None:
    fakes.speaker_encoder.embed = _alike  # type: ignore[method-assign]
    client = await running.client(audio="none", name="Claire")
    await say(client, *(speech(phrase, 3.0) for phrase in (11, 21, 12, 22)))
    assert {one["speaker_id"] for one in client.of_type("result")} == {"speaker_1"}
    news = await told(client, "speaker", type="split_speaker", speaker_id="speaker_1", seq=2)
    assert (news["speaker_id"], news["name"], news["seqs"]) == ("speaker_2", "Speaker 2", [2, 4])
    await say(client, speech(11, 3.0), speech(21, 3.0))
    assert [one["speaker_id"] for one in client.of_type("result")[-2:]] == ["speaker_1", "speaker_2"]
    error = await told(client, "error", type="split_speaker", speaker_id="speaker_1", seq=99)
    assert error["code"] == "unknown_speaker"


async def test_others_voices_are_not_merged_split_or_forgotten(running: Running) -> None:
    claire, bob = [await running.client(audio="none", name=name) for name in ("Claire", "Bob")]
    await say(claire, speech(11, 3.0))
    await say(bob, speech(21, 3.0))
    await bob.catch_up()
    for message in (
        {"type": "merge_speakers", "keep": "speaker_2", "drop": "speaker_1"},
        {"type": "split_speaker", "speaker_id": "speaker_1", "seq": 1},
        {"type": "forget_speaker", "speaker_id": "speaker_1"},
    ):
        assert (await told(bob, "error", **message))["code"] == "not_yours"
    assert await speakers(running) == {"speaker_1": "Claire", "speaker_2": "Bob"}


async def test_voices_are_not_changed_without_end(running: Running) -> None:
    client = await running.client(audio="none", name="Claire")
    await say(client, speech(11, 3.0), speech(21, 3.0), speech(11, 3.0))
    for _ in range(25):
        await client.send_message(type="split_speaker", speaker_id="speaker_1", seq=1)
    await client.wait_until(lambda: any(error["code"] == "overloaded" for error in client.of_type("error")))


async def test_a_member_who_comes_back_under_another_name_is_shown_under_that(running: Running) -> None:
    phone = await joined(running, name="Claire", target_lang="fra")
    await said(phone, 11)
    await phone.drop()
    phone.query["name"] = "Claire Martin"
    await phone.connect()
    await said(phone, 11)
    assert phone.results[-1]["speaker_name"] == "Claire Martin"
    changed = await told(phone.now, "speaker", type="set", name="Claire M.")
    assert (changed["speaker_id"], changed["name"]) == ("speaker_1", "Claire M.")
    await phone.now.send_message(type="rename_speaker", speaker_id="speaker_1", name="Mother")
    await phone.now.send_message(type="set", name="Claire again")
    await said(phone, 11)
    assert phone.results[-1]["speaker_name"] == "Mother", "a name that a person gave stays"


async def test_a_new_client_lends_its_name_to_who_has_left_and_not_to_who_is_here(running: Running) -> None:
    claire = await running.client(audio="none", name="Claire")
    await say(claire, speech(11, 3.0))
    visited = await running.client(audio="none", name="Bob")
    await say(visited, speech(12, 3.0))
    assert visited.of_type("result")[-1]["speaker_name"] == "Claire", "who speaks into his phone"
    await claire.close()
    await visited.catch_up()
    await until(lambda: len(running.server.sessions) == 1)
    back = await running.client(audio="none", name="Claire Martin")
    await say(back, speech(13, 3.0))
    assert back.of_type("result")[-1]["speaker_name"] == "Claire Martin"


async def test_a_voice_is_exported_and_brought_to_another_room(house: Running, clock: Clock) -> None:
    access = house.server.access
    link, kitchen = access.join_token("main"), access.join_token("kitchen")
    claire = await house.client(audio="none", name="Claire", token=link)
    done = await enrol(claire)
    one = f"{PATH}/{done['voice_id']}"
    async with house.http() as http:
        for token in ("", link, "wrong", done["voice_id"]):
            assert (await http.get(one, headers=bearer(token))).status_code == 403
        answer = await http.get(one, headers=bearer(done["voice_token"]))
        voice = answer.json()
        assert (voice["name"], voice["encoder"], len(voice["embedding"])) == ("Claire", "fake-speaker 1", 16)
        assert answer.headers["cache-control"] == "no-store"
        assert (await http.get(one, headers=bearer(access.admin_token))).json() == voice

        listed = await http.get(PATH, headers=bearer(access.admin_token))
        assert [known["voice_id"] for known in listed.json()["voices"]] == [done["voice_id"]]
        assert "embedding" not in listed.text
        assert (await http.get(PATH, headers=bearer(link))).status_code == 403

        body = {"consent": True, "voice": voice}
        path = "/rooms/kitchen/voices"
        assert (await http.post(path, json=body, headers=bearer(link))).status_code == 403
        brought = await http.post(path, json=body, headers=bearer(kitchen))
        assert brought.status_code == 201
        assert (await http.post(path, json=body, headers=bearer(kitchen))).json()["code"] == "not_yours"
    guest = await house.client(audio="none", room="kitchen", token=kitchen)
    await say(guest, speech(11, 3.0))
    assert guest.of_type("result")[0]["speaker_name"] == "Claire"


@pytest.mark.parametrize(
    "wrong",
    [
        {"consent": False},
        {"encoder": "another 1"},
        {"embedding": [1.0]},
        {"embedding": [1.0] * 16},
        {"embedding": ["NaN"] * 16},
        {"name": ""},
        {"speech_s": 1e9},
    ],
)
async def test_what_is_no_voice_of_this_server_is_not_taken(running: Running, wrong: dict[str, Any]) -> None:
    embedding = [1.0] + [0.0] * 15
    voice = {"name": "Claire", "encoder": "fake-speaker 1", "embedding": embedding, "speech_s": 9, "samples": 3}
    body = {"consent": wrong.pop("consent", True), "voice": voice | wrong}
    async with running.http() as http:
        answer = await http.post(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_message")
    assert await speakers(running) == {}


async def test_a_voice_is_forgotten_over_http_before_anybody_joins(settings: Settings, fakes: Fakes) -> None:
    async with serving(settings, fakes.engines) as running:
        done = await enrol(await running.client(audio="none", name="Claire"))
    fakes.speaker_encoder.version = "2"
    async with serving(settings, fakes.engines) as running, running.http() as http:
        client = await running.client(audio="none", room="kitchen")
        await say(client, speech(11, 3.0))
        one = f"{PATH}/{done['voice_id']}"
        assert (await http.get(f"/rooms/kitchen/voices/{done['voice_id']}")).status_code == 403
        assert (await http.delete(one, headers=bearer(done["voice_token"]))).status_code == 204, "whatever made it"
        assert (await http.delete(one, headers=bearer(done["voice_token"]))).status_code == 404
        record = (await http.get("/rooms/main/transcript", params={"format": "json"})).json()["entries"]
        assert {entry["speaker_name"] for entry in record} == {"Unknown speaker"}
        assert (await http.get(PATH)).json() == {"voices": []}


async def test_without_a_file_who_enrols_is_known_as_long_as_the_room_is(fakes: Fakes, clock: Clock) -> None:
    async with serving(Settings(log_level="error"), fakes.engines) as running:
        client = await running.client(audio="none", name="Claire")
        assert client.messages[0]["voices_kept_days"] is None
        done = await enrol(client, name="Claire M.")
        assert not done["stored"]
        async with running.http() as http:
            assert (await http.get("/")).json()["voices"] == "memory"
            assert (
                await http.get(f"{PATH}/{done['voice_id']}", headers=bearer(done["voice_token"]))
            ).status_code == 200
        running.server.forget_unheard(clock() * 2)
        assert await speakers(running) == {}


async def test_where_nothing_may_be_retained_no_voice_is_stored(settings: Settings, fakes: Fakes) -> None:
    async with serving(settings.model_copy(update={"retain": False}), fakes.engines) as running:
        assert not (await enrol(await running.client(audio="none", name="Claire")))["stored"]
    assert settings.voices_file is not None
    assert not settings.voices_file.exists()
    assert not (settings.state_dir / "voices.key").exists()


async def _talk(client: Client) -> None:
    """Say one thing after another until the server is gone."""
    with contextlib.suppress(ConnectionLostError):
        for turn in itertools.count():
            await say(client, speech(11 + turn % 2, 2.0))


@pytest.mark.slow
async def test_who_was_told_to_be_stored_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    kept = {
        "BABBLEFISH_VOICES_FILE": str(tmp_path / "voices.db"),
        "BABBLEFISH_STATE_DIR": str(tmp_path / "state"),
        "BABBLEFISH_LOG_LEVEL": "error",
    }
    async with process(**kept) as server, server.client(audio="none", name="Claire") as claire:
        done = await enrol(claire, name="Claire M.")
        assert done["stored"]
        talking = asyncio.create_task(_talk(claire))  # each time, her voice is written again
        await until(lambda: len(claire.of_type("result")) >= 8)
        server.signal(signal.SIGKILL)
        await server.ended()
        await talking
    async with process(**kept) as server, server.client(audio="none") as phone:
        await say(phone, speech(12))
        assert phone.of_type("result")[0]["speaker_name"] == "Claire M."
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
            voice = (await http.get(f"{PATH}/{done['voice_id']}", headers=bearer(done["voice_token"]))).json()
        assert (voice["name"], voice["speaker_id"]) == ("Claire M.", done["speaker_id"])
        assert voice["samples"] >= 3
