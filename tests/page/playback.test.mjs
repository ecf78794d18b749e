import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { load } from "./script.mjs";

const RATE_HZ = 8000;

class Buffer {
  constructor(samples, sampleRate = RATE_HZ) {
    Object.assign(this, { samples, sampleRate, length: samples.length, duration: samples.length / sampleRate });
  }

  getChannelData() { return this.samples; }
}

/** A sound card whose clock is the test's; a "WAV file" is its length in seconds. */
class Context {
  currentTime = 0;
  destination = {};
  sources = [];
  gain = { value: 1, setTargetAtTime: (value) => { this.gain.value = value; } };

  createGain() { return { gain: this.gain, connect() {} }; }

  createBuffer(_, length, rateHz) { return new Buffer(new Float32Array(length), rateHz); }

  async decodeAudioData(bytes) {
    const seconds = Number(new TextDecoder().decode(bytes));
    if (!seconds) throw new Error("no sound");
    return new Buffer(new Float32Array(seconds * RATE_HZ));
  }

  /** Let time pass; sources end in the order in which they were to. */
  async passes(seconds) {
    const untilS = this.currentTime + seconds;
    for (;;) {
      const [next] = this.sources.filter((source) => source.onended && source.endS <= untilS).sort((a, b) => a.endS - b.endS);
      if (!next) break;
      this.#moveTo(next.endS);
      const { onended } = next;
      next.onended = null;
      onended();
      await settled();
    }
    this.#moveTo(untilS);
    await settled();
  }

  #moveTo(atS) {
    const ms = Math.max(0, Math.ceil(1000 * (atS - this.currentTime)));
    this.currentTime = atS;
    mock.timers.tick(ms);
  }
}

const settled = () => new Promise((resolve) => { setImmediate(resolve); });
const wav = (seconds) => btoa(String(seconds));

let context, player, heard, skipped;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  context = new Context();
  heard = [];
  skipped = [];
  class AudioBufferSourceNode {
    constructor(_, { buffer }) { Object.assign(this, { buffer, onended: null }); }

    connect() {}

    start(atS) {
      Object.assign(this, { startS: atS, endS: atS + this.buffer.duration });
      context.sources.push(this);
    }

    stop() { this.stopped = true; }
  }
  const { Player } = load(["Player"], { AudioBufferSourceNode });
  player = new Player(context, { started: (id) => heard.push(id), changed() {}, skipped: (ids) => skipped.push(...ids) });
});

const order = () => player.played.pieces.map(({ utteranceId, index }) => `${utteranceId}${index}`);

/** An utterance that is all there at once. */
async function say(seq, id, seconds = 1) {
  player.expect(seq, id);
  await player.add(id, 0, wav(seconds), true);
}

test("utterances are heard in the order in which they were said, not in which their speech came", async () => {
  player.expect(1, "a");
  player.expect(2, "b");
  await player.add("b", 0, wav(1), true);
  assert.equal(player.speaking, null);
  await player.add("a", 0, wav(1), true);
  await context.passes(5);
  assert.deepEqual(order(), ["a0", "b0"]);
  assert.deepEqual(heard, ["a", "b"]);
});

test("the pieces of an utterance follow each other without a gap, in their own order", async () => {
  player.expect(1, "a");
  await player.add("a", 1, wav(1), false);
  await player.add("a", 0, wav(0.5), false);
  await player.add("a", 2, null, true);
  const [first, second] = context.sources;
  assert.equal(second.startS, first.endS);
  await context.passes(3);
  assert.deepEqual(order(), ["a0", "a1"]);
  assert.equal(player.played.utterances, 1);
  assert.equal(player.played.seconds, 1.5);
});

test("two utterances are a quarter of a second apart", async () => {
  await say(1, "a");
  await say(2, "b");
  await context.passes(5);
  const [first, second] = player.played.pieces;
  assert.ok(second.start - first.end >= 0.04 && second.start - first.end <= 0.25);
});

test("an utterance that has begun is not interrupted by an earlier one that comes late", async () => {
  await say(2, "b", 2);
  await say(1, "a");
  assert.equal(player.speaking, "b");
  await context.passes(5);
  assert.deepEqual(order(), ["b0", "a0"]);
});

test("a piece that cannot be decoded is left out and the rest is heard", async () => {
  player.expect(1, "a");
  await player.add("a", 0, btoa("broken"), false);
  await player.add("a", 1, wav(1), true);
  await context.passes(3);
  assert.deepEqual(order(), ["a1"]);
});

test("speech that was never promised is not heard", async () => {
  await player.add("a", 0, wav(1), true);
  await context.passes(2);
  assert.deepEqual(order(), []);
});

test("an utterance whose speech does not come gives way after ten seconds", async () => {
  player.expect(1, "a");
  await say(2, "b");
  await context.passes(9);
  assert.equal(player.speaking, null);
  await context.passes(1.5);
  assert.equal(player.speaking, "b");
});

test("an utterance that failed gives way at once, and one hears whether it was awaited", async () => {
  player.expect(1, "a");
  await say(2, "b");
  assert.equal(player.abandon("a"), true);
  assert.equal(player.abandon("nobody"), false);
  assert.equal(player.speaking, "b");
});

test("too far behind, only the newest is heard", async () => {
  for (let seq = 1; seq <= 5; seq++) await say(seq, `u${seq}`, 6);
  assert.ok(player.behindS <= 15);
  await context.passes(60);
  assert.deepEqual(order().at(-1), "u50");
  assert.deepEqual([...skipped, ...player.played.pieces.map(({ utteranceId }) => utteranceId)].sort(), ["u1", "u2", "u3", "u4", "u5"]);
  assert.ok(skipped.length >= 1 && !skipped.includes("u5"));
});

test("a skipped voice ends at once and does not count as heard", async () => {
  await say(1, "a", 5);
  await say(2, "b");
  await context.passes(1);
  player.skip();
  assert.equal(context.sources[0].stopped, true);
  assert.equal(player.speaking, "b");
  await context.passes(3);
  assert.equal(player.played.utterances, 1);
});

test("what is heard again comes before all that waits and is not told as heard", async () => {
  await say(1, "a", 1);
  await say(2, "b", 1);
  await player.replay("old", [wav(0.5), wav(0.5)]);
  await context.passes(6);
  assert.deepEqual(order(), ["a0", "old0", "old1", "b0"]);
  assert.deepEqual(heard, ["a", "b"]);
});

test("after a new connection what had come is spoken, and ids may be used again", async () => {
  player.expect(1, "a");
  await player.add("a", 0, wav(1), false);
  player.newStream();
  await say(1, "a", 2);
  await context.passes(5);
  assert.equal(player.played.seconds, 3);
});

test("stopping silences what is heard and forgets what waits", async () => {
  await say(1, "a", 5);
  await say(2, "b");
  player.stop();
  assert.equal(player.speaking, null);
  assert.equal(player.behindS, 0);
  await context.passes(10);
  assert.deepEqual(order(), []);
});

test("the volume follows the ear, and who talks hears the others softly", () => {
  player.volume = 0.5;
  assert.equal(player.loudness, 0.25);
  player.ducked = true;
  assert.ok(player.loudness < 0.05);
  player.ducked = false;
  assert.equal(player.loudness, 0.25);
});

for (const rate of [0.8, 1.25, 1.5]) {
  test(`a voice at ${rate} times its speed keeps its pitch and its loudness`, () => {
    const { atSpeed } = load(["atSpeed"]);
    const hz = 200;
    const voice = new Buffer(Float32Array.from({ length: RATE_HZ }, (_, k) => Math.sin(2 * Math.PI * hz * k / RATE_HZ)));
    const samples = [...atSpeed(context, voice, rate).getChannelData(0)];
    assert.ok(Math.abs(samples.length - RATE_HZ / rate) <= 1);
    const crossings = samples.filter((sample, k) => k && sample >= 0 && samples[k - 1] < 0).length;
    assert.ok(Math.abs(crossings - hz / rate) < 0.03 * hz, `${crossings} periods`);
    const middle = samples.slice(1000, -1000);
    const rms = Math.sqrt(middle.reduce((sum, sample) => sum + sample ** 2, 0) / middle.length);
    assert.ok(Math.abs(rms - Math.SQRT1_2) < 0.05, `${rms}`);
  });
}

test("a voice at its own speed, or too short to cut, is left as it is", () => {
  const { atSpeed } = load(["atSpeed"]);
  const voice = new Buffer(new Float32Array(RATE_HZ));
  assert.equal(atSpeed(context, voice, 1), voice);
  const syllable = new Buffer(new Float32Array(300));
  assert.equal(atSpeed(context, syllable, 1.5), syllable);
});

test("recordings are kept in the order of their pieces, until newer ones need the room", () => {
  const { Recordings } = load(["Recordings"]);
  const forgotten = [];
  const recordings = new Recordings((id) => forgotten.push(id));
  recordings.keep("a", 1, "second");
  recordings.keep("a", 0, "first");
  assert.deepEqual(recordings.pieces("a"), ["first", "second"]);
  assert.deepEqual(recordings.pieces("unknown"), []);
  recordings.keep("b", 0, "x".repeat(5_999_995));
  assert.deepEqual(forgotten, ["a"]);
  assert.deepEqual(recordings.pieces("a"), []);
  recordings.keep("c", 0, "y".repeat(7_000_000));
  assert.deepEqual(forgotten, ["a", "b"]);
  assert.equal(recordings.pieces("c").length, 1, "the newest stays, however long");
});
