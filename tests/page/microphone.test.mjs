import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./script.mjs";

const FRAME_SAMPLES = 640;
const RATE_HZ = 16000;

/** What the audio thread posts for a signal at the device's rate: whole frames, in order. */
function captured(signal, rateHz) {
  let Processor = null;
  const posted = [];
  class AudioWorkletProcessor {
    port = { postMessage: (message) => posted.push(message) };
  }
  const { captureWorklet } = load(["captureWorklet"], {
    AudioWorkletProcessor, sampleRate: rateHz, registerProcessor: (_, registered) => { Processor = registered; },
  });
  captureWorklet();
  const processor = new Processor();
  for (let at = 0; at < signal.length; at += 128) processor.process([[signal.subarray(at, at + 128)]]);
  return posted;
}

function tone(frequencyHz, rateHz, seconds, amplitude = 0.5) {
  return Float32Array.from({ length: rateHz * seconds }, (_, k) => amplitude * Math.sin(2 * Math.PI * frequencyHz * k / rateHz));
}

const rms = (samples) => Math.sqrt(samples.reduce((sum, sample) => sum + sample ** 2, 0) / samples.length);

/** The samples of all frames but the first, in which the filter still swings in, as fractions of full scale. */
function samplesOf(frames) {
  return frames.slice(1).flatMap(({ pcm }) => [...new Int16Array(pcm)]).map((sample) => sample / 32767);
}

for (const rateHz of [8000, 16000, 44100, 48000, 96000]) {
  test(`a device at ${rateHz} Hz gives frames of 40 ms at 16 kHz with its sound`, () => {
    const frames = captured(tone(1000, rateHz, 1), rateHz);
    assert.ok(frames.length >= 24 && frames.length <= 25, `${frames.length} frames`);
    assert.ok(frames.every(({ pcm }) => pcm.byteLength === 2 * FRAME_SAMPLES));
    const samples = samplesOf(frames);
    const expected = 0.5 / Math.SQRT2;
    assert.ok(Math.abs(rms(samples) - expected) < 0.01 * expected, `${rms(samples)}`);
    const crossings = samples.filter((sample, k) => k && sample >= 0 && samples[k - 1] < 0).length;
    assert.ok(Math.abs(crossings - 1000 * samples.length / RATE_HZ) <= 1, `${crossings} periods`);
  });
}

test("what 16 kHz cannot hold is taken out instead of folding back", () => {
  const samples = samplesOf(captured(tone(11000, 48000, 0.5), 48000));
  assert.ok(20 * Math.log10(rms(samples) / (0.5 / Math.SQRT2)) < -75);
});

test("a sound beyond full scale is clipped and does not wrap around", () => {
  const samples = samplesOf(captured(new Float32Array(24000).fill(1.5), 48000));
  assert.ok(samples.every((sample) => sample === 1));
});

test("each frame tells its own loudness", () => {
  const frames = captured(tone(500, 16000, 0.4, 0.25), 16000);
  assert.ok(Math.abs(frames.at(-1).rms - 0.25 / Math.SQRT2) < 0.001);
});

test("a block without a channel, from a device that is starting, is no sound", () => {
  let Processor = null;
  const { captureWorklet } = load(["captureWorklet"], {
    AudioWorkletProcessor: class {}, sampleRate: 48000, registerProcessor: (_, registered) => { Processor = registered; },
  });
  captureWorklet();
  assert.equal(new Processor().process([[]]), true);
});
