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

test("what goes on from the one before follows it without a gap, and both are counted", async () => {
  await say(1, "a");
  player.expect(2, "b", "a");
  await player.add("b", 0, wav(1), true);
  player.expect(3, "c", "b");
  await context.passes(1.5);
  await player.add("c", 0, wav(1), true); // in time
  await say(4, "d");
  await context.passes(10);
  assert.deepEqual(order(), ["a0", "b0", "c0", "d0"]);
  const [a, b, c, d] = player.played.pieces;
  assert.equal(b.start, a.end);
  assert.equal(c.start, b.end);
  assert.ok(d.start > c.end);
  assert.equal(player.played.utterances, 4);
});

test("who goes on after somebody else spoke is heard after a pause", async () => {
  await say(1, "a");
  await say(2, "x");
  player.expect(3, "b", "a");
  await player.add("b", 0, wav(1), true);
  await context.passes(10);
  const [, x, b] = player.played.pieces;
  assert.ok(b.start - x.end >= 0.04);
});

test("what comes behind makes the rest of a long utterance faster", async () => {
  player.expect(1, "a");
  for (let index = 0; index < 8; index++) await player.add("a", index, wav(1), index === 7);
  await context.passes(0.5);
  await say(2, "b", 4);
  await context.passes(20);
  const lengths = player.played.pieces.map(({ start, end }) => end - start);
  assert.equal(lengths[0], 1);
  assert.ok(lengths[4] < 0.85, `${lengths}`);
  assert.ok(lengths.at(-1) > 3.9, "what nothing waits behind has its own speed");
});

test("a skipped voice takes along what goes on from it and is already on its way", async () => {
  await say(1, "a", 2);
  player.expect(2, "b", "a");
  await player.add("b", 0, wav(2), true);
  await say(3, "c");
  await context.passes(0.5);
  player.skip();
  await context.passes(5);
  assert.deepEqual(order(), ["c0"]);
});

test("what goes on from the one before can be skipped as long as there is no need of it yet", async () => {
  for (const [seq, seconds] of [[1, 4], [2, 4], [3, 20], [4, 1]]) {
    player.expect(seq, `u${seq}`, `u${seq - 1}`);
    await player.add(`u${seq}`, 0, wav(seconds), true);
  }
  assert.deepEqual(skipped, ["u3"]);
  await context.passes(20);
  assert.deepEqual(order(), ["u10", "u20", "u40"]);
});

/**
 * Somebody speaks for five minutes, a clause every four seconds, and each translation is so many times as long.
 * Returns how far behind the voice was at most, in seconds, measured whenever a clause came.
 */
async function monologue(timesAsLong, goesOn) {
  let most = 0;
  for (let seq = 1; seq <= 75; seq++) {
    player.expect(seq, `u${seq}`, goesOn ? `u${seq - 1}` : "");
    for (let index = 0; index < 4; index++) await player.add(`u${seq}`, index, wav(timesAsLong), index === 3);
    most = Math.max(most, player.behindS);
    await context.passes(4);
  }
  await context.passes(60);
  return most;
}

for (const goesOn of [true, false]) {
  const how = goesOn ? "that goes on" : "with pauses";
  test(`a monologue ${how}, 1.3 times as long in translation, is heard whole and never far behind`, async () => {
    const most = await monologue(1.3, goesOn);
    assert.deepEqual(skipped, []);
    assert.equal(player.played.utterances, 75);
    assert.ok(most < 15, `${most} s behind`);
    const gaps = player.played.pieces.slice(1).map(({ start }, k) => start - player.played.pieces[k].end);
    assert.ok(!goesOn || Math.max(...gaps.slice(8)) < 1e-6, "once the voice has more than it can say, it has no gap");
  });

  test(`a monologue ${how}, twice as long in translation, is skipped in part, and what is skipped is told`, async () => {
    const most = await monologue(2, goesOn);
    assert.ok(most < 15 + 8, `${most} s behind`);
    assert.ok(skipped.length > 5 && skipped.length < 40, `${skipped.length} skipped`);
    assert.equal(player.played.utterances + skipped.length, 75);
  });
}

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
