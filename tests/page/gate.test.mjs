import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./script.mjs";

const { NoiseFloor, SpeechGate, VoiceHint } = load(["NoiseFloor", "SpeechGate", "VoiceHint"]);

const LOUD = [-30, 20];
const QUIET = [-60, 0];

/** Pass frames named by their number through a gate; returns what was sent at each. */
const passed = (gate, levels, from = 0) => levels.map((level, k) => gate.pass(from + k, ...level));

test("a quiet room sends nothing", () => {
  assert.deepEqual(passed(new SpeechGate(), Array(50).fill(QUIET)).flat(), []);
});

test("speech is sent with the 400 ms before it", () => {
  const gate = new SpeechGate();
  passed(gate, Array(30).fill(QUIET));
  assert.deepEqual(gate.pass(30, ...LOUD), [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
  assert.deepEqual(gate.pass(31, ...LOUD), [31]);
});

test("the silence after speech is sent for 1.6 s", () => {
  const gate = new SpeechGate();
  gate.pass(0, ...LOUD);
  const sent = passed(gate, Array(60).fill(QUIET), 1).flat();
  assert.deepEqual(sent, Array.from({ length: 39 }, (_, k) => k + 1));
});

test("a pause for breath leaves no gap in what is sent", () => {
  const gate = new SpeechGate();
  const levels = [LOUD, ...Array(30).fill(QUIET), LOUD, ...Array(30).fill(QUIET)];
  assert.deepEqual(passed(gate, levels).flat(), levels.map((_, k) => k));
});

test("what is loud but no louder than the room opens nothing, nor does a whisper below -70 dB", () => {
  const gate = new SpeechGate();
  assert.deepEqual(gate.pass(0, -30, 3), []);
  assert.deepEqual(gate.pass(1, -71, 20), []);
});

test("a closed gate forgets what it held", () => {
  const gate = new SpeechGate();
  gate.pass(0, ...LOUD);
  gate.keep(1);
  gate.close();
  assert.deepEqual(gate.release(), []);
  assert.deepEqual(gate.pass(2, ...QUIET), []);
});

test("a pressed button takes what was just heard along", () => {
  const gate = new SpeechGate();
  for (let frame = 0; frame < 20; frame++) gate.keep(frame);
  assert.deepEqual(gate.release(), [9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
});

test("the noise floor falls to a quiet room quickly and rises slowly under speech", () => {
  const floor = new NoiseFloor();
  for (let frame = 0; frame < 25; frame++) floor.above(-70);
  assert.ok(floor.above(-70) < 1);
  assert.ok(floor.above(-30) > 38);
  for (let frame = 0; frame < 250; frame++) floor.above(-30); // ten seconds of speech
  assert.ok(floor.above(-30) > 30);
});

test("a device that is starting says nothing about the room", () => {
  const floor = new NoiseFloor();
  for (let frame = 0; frame < 100; frame++) assert.equal(floor.above(-120), 0);
  assert.ok(Math.abs(floor.above(-60)) < 1);
});

test("the noise floor stays between -75 and -40 dB", () => {
  const loud = new NoiseFloor();
  for (let frame = 0; frame < 5000; frame++) loud.above(-5);
  assert.equal(loud.above(-5), 35);
  const silent = new NoiseFloor();
  for (let frame = 0; frame < 500; frame++) silent.above(-89);
  assert.ok(silent.above(-74) <= 1.1);
});

test("a voice shows as long as it lasts and half a second more", () => {
  const hint = new VoiceHint();
  assert.equal(hint.update(-30, 20, 0), true);
  assert.equal(hint.active, true);
  assert.equal(hint.update(-30, 20, 1000), false);
  assert.equal(hint.update(-60, 0, 1400), false);
  assert.equal(hint.update(-60, 0, 1500), true);
  assert.equal(hint.active, false);
  assert.equal(hint.lastedMs, 1000);
});

test("what the gate lets through is not yet shown as a voice", () => {
  const hint = new VoiceHint();
  assert.equal(hint.update(-55, 20, 0), false);
  assert.equal(hint.update(-30, 8, 0), false);
});
