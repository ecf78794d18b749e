import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { load } from "./script.mjs";

const LOUD = 0.1;
const QUIET = 0.0005;

class Node {
  port = {};
  connect() {}
  disconnect() {}
}

let input, told, port, track, permission;

/** What a handler was told, each time. */
const toldOf = (name) => told.filter(([what]) => what === name).map(([, value]) => value);

/** Let the microphone hear frames of these loudnesses; each is named by its place. */
function hear(...loudnesses) {
  loudnesses.forEach((rms, pcm) => port.onmessage({ data: { pcm, rms } }));
}

const times = (count, rms) => Array(count).fill(rms);

beforeEach(() => {
  mock.restoreAll();
  told = [];
  permission = null;
  track = { enabled: true, stop() {}, onended: null };
  class AudioWorkletNode extends Node {
    constructor() {
      super();
      ({ port } = this);
    }
  }
  const context = {
    currentTime: 0, audioWorklet: { addModule: async () => {} }, createMediaStreamSource: () => new Node(), destination: {},
  };
  const getUserMedia = async () => {
    if (permission) throw permission;
    return { getAudioTracks: () => [track], getTracks: () => [track] };
  };
  const window = { isSecureContext: true, AudioWorkletNode };
  const { SpeechInput } = load(["SpeechInput"], {
    window, AudioWorkletNode, AnalyserNode: Node, location: { protocol: "https:" }, navigator: { languages: ["en"], mediaDevices: { getUserMedia } },
  });
  const handlers = Object.fromEntries(["frames", "end", "level", "talking", "spoke", "changed"].map((name) => [name, (value) => told.push([name, value])]));
  input = new SpeechInput(context, false, handlers);
  input.isJoined = true;
});

test("the microphone is asked for, then it is on", async () => {
  const opening = input.open();
  assert.equal(input.state, "asking");
  await opening;
  assert.equal(input.state, "on");
});

for (const [name, words] of [["NotAllowedError", /blocked/], ["NotFoundError", /No microphone/], ["NotReadableError", /won’t start/]]) {
  test(`after ${name} one is told why there is no microphone and that one can listen`, async () => {
    permission = Object.assign(new Error(), { name });
    await input.open();
    assert.equal(input.state, "missing");
    assert.match(input.why, words);
    assert.match(input.why, /You can still listen/);
  });
}

test("a device that goes away by itself is missing; one that was closed is not", async () => {
  await input.open();
  const { onended } = track;
  onended();
  assert.equal(input.state, "missing");
  await input.open();
  input.close();
  assert.equal(input.state, "off");
  assert.equal(track.onended, null);
});

test("speech is sent with what came before it, silence is not", async () => {
  await input.open();
  hear(...times(20, QUIET));
  assert.deepEqual(toldOf("frames").flat(), []);
  hear(LOUD);
  assert.equal(toldOf("frames").at(-1).length, 11);
});

test("a voice is shown only to those who are in", async () => {
  await input.open();
  input.isJoined = false;
  hear(...times(5, LOUD));
  assert.equal(input.hearing, false);
  input.isJoined = true;
  hear(LOUD);
  assert.equal(input.hearing, true);
  input.isJoined = false;
  assert.equal(input.hearing, false);
});

test("when a voice ends, a translation can be expected; not after a click", async () => {
  const now = mock.method(performance, "now", () => 0);
  await input.open();
  hear(...times(3, LOUD));
  now.mock.mockImplementation(() => 100);
  hear(LOUD);
  now.mock.mockImplementation(() => 610);
  hear(QUIET);
  assert.equal(toldOf("spoke").length, 0, "it lasted 100 ms");
  hear(LOUD);
  now.mock.mockImplementation(() => 3000);
  hear(LOUD);
  now.mock.mockImplementation(() => 5000);
  hear(QUIET);
  assert.equal(toldOf("spoke").length, 1);
});

test("muting ends the utterance at once, silences the device and sends nothing", async () => {
  await input.open();
  input.mute(true);
  assert.equal(toldOf("end").length, 1);
  assert.equal(track.enabled, false);
  hear(...times(5, LOUD));
  assert.deepEqual(toldOf("frames"), []);
  input.mute(false);
  assert.equal(track.enabled, true);
  assert.equal(toldOf("end").length, 1);
});

test("with push-to-talk nothing is sent until one presses, and then what was just heard as well", async () => {
  await input.open();
  input.pushToTalk(true);
  hear(...times(30, LOUD));
  assert.deepEqual(toldOf("frames"), []);
  input.talk(true);
  assert.equal(toldOf("frames")[0].length, 11);
  hear(QUIET, QUIET);
  assert.equal(toldOf("frames").length, 3, "while one presses, silence counts, too");
});

test("letting go ends the utterance, once", async () => {
  await input.open();
  input.pushToTalk(true);
  told.length = 0;
  input.talk(true);
  input.talk(true);
  input.talk(false);
  input.talk(false);
  assert.deepEqual(told.map(([what]) => what).filter((what) => what !== "changed"), ["talking", "frames", "talking", "end", "spoke"]);
  assert.deepEqual(toldOf("talking"), [true, false]);
});

test("hands-free or without a microphone, pressing does nothing", async () => {
  await input.open();
  input.talk(true);
  assert.equal(input.talking, false);
  input.pushToTalk(true);
  input.close();
  input.talk(true);
  assert.equal(input.talking, false);
});

test("changing to push-to-talk ends what was said hands-free and takes off the mute", async () => {
  await input.open();
  input.mute(true);
  input.pushToTalk(true);
  assert.equal(input.muted, false);
  assert.equal(toldOf("end").length, 2);
});
