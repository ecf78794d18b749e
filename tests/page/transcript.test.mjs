import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./script.mjs";

const { Transcript } = load(["Transcript"]);

/** A line said so many milliseconds after the first. */
function line(seq, afterMs, changes = {}) {
  const timestamp = new Date(Date.UTC(2024, 4, 1, 10, 20, 30) + afterMs).toISOString();
  return {
    seq, timestamp, speaker_id: "speaker_1", speaker_name: "Speaker 1", source_lang: "fra", source_text: "Bonjour",
    target_lang: "eng", translation: "Hello", latency_ms: 900, ...changes,
  };
}

function transcript(...lines) {
  const kept = new Transcript();
  for (const one of lines) kept.add(`life/${one.seq}`, one);
  return kept;
}

test("as text, each line says when, who, the translation and the original", () => {
  assert.match(transcript(line(1, 0)).as("txt"), /^\[\d\d?:\d\d:30.*\] Speaker 1: Hello\n {4}Bonjour\n$/);
});

test("what was not translated stands there once", () => {
  assert.doesNotMatch(transcript(line(1, 0, { source_text: "Hello" })).as("txt"), /\n {4}/);
});

test("as JSON, a line holds what was said and nothing of how it was made", () => {
  assert.deepEqual(Object.keys(JSON.parse(transcript(line(1, 0)).as("json"))[0]), [
    "seq", "timestamp", "speaker_id", "speaker", "continues", "source_lang", "source_text", "target_lang", "translation",
  ]);
});

test("lines stand in the order in which they were said, not in which they came", () => {
  const lines = JSON.parse(transcript(line(3, 2000), line(2, 1000), line(1, 1000)).as("json"));
  assert.deepEqual(lines.map(({ seq }) => seq), [1, 2, 3]);
});

test("as text, what goes on is one line, until somebody else speaks", () => {
  const part = (seq, words, changes) => line(seq, 1000 * seq, { client_id: "a", translation: words, source_text: words.toUpperCase(), ...changes });
  const kept = transcript(
    part(1, "I came"), part(2, "home late,", { continues: true }), part(3, "but not too late.", { continues: true, speaker_id: "unknown" }),
    part(4, "Oh.", { client_id: "b", speaker_id: "speaker_2" }), part(5, "Then I ate.", { continues: true }), part(6, "Good night."),
  );
  const said = kept.as("txt").split("\n").filter(Boolean).map((text) => text.split(": ").at(-1).trim());
  assert.deepEqual(said, [
    "I came home late, but not too late.", "I CAME HOME LATE, BUT NOT TOO LATE.", "Oh.", "OH.", "Then I ate.", "THEN I ATE.", "Good night.", "GOOD NIGHT.",
  ]);
  assert.equal(kept.as("srt").match(/-->/g).length, 6, "each part has its own time");
});

for (const [before, after, whole] of [["Ich komme", "nach Hause.", "Ich komme nach Hause."], ["我来了，", "你好。", "我来了，你好。"], ["สวัสดี", "ครับ", "สวัสดีครับ"]]) {
  test(`"${before}" and "${after}" are "${whole}"`, () => {
    assert.equal(load(["joinedTexts"]).joinedTexts([before, after]), whole);
  });
}

test("a corrected line takes the place of the first", () => {
  const kept = transcript(line(1, 0), line(1, 0, { translation: "Good evening" }));
  assert.deepEqual(JSON.parse(kept.as("json")).map(({ translation }) => translation), ["Good evening"]);
});

test("a voice that was named has its name in what it said before", () => {
  const kept = transcript(line(1, 0), line(2, 1000, { speaker_id: "speaker_2", speaker_name: "Speaker 2" }));
  kept.relabel("life/", { speaker_id: "speaker_1", name: "Jeanne" });
  assert.deepEqual(JSON.parse(kept.as("json")).map(({ speaker }) => speaker), ["Jeanne", "Speaker 2"]);
});

test("a name that is only likely is written with a question mark, also after it was changed", () => {
  const kept = transcript(line(1, 0, { speaker_likely: true }));
  assert.match(kept.as("txt"), /Speaker 1\?: Hello/);
  kept.relabel("life/", { speaker_id: "speaker_1", name: "Jeanne" });
  assert.match(kept.as("srt"), /Jeanne\?: Hello/);
});

test("subtitles count from the first line and stay as long as reading takes", () => {
  const long = "a".repeat(64); // 75 characters with the name: five seconds
  const srt = transcript(line(1, 0), line(2, 3_600_000, { translation: long })).as("srt");
  assert.equal(srt, [
    "1", "00:00:00,000 --> 00:00:02,000", "Speaker 1: Hello", "",
    "2", "01:00:00,000 --> 01:00:05,000", `Speaker 1: ${long}`, "",
  ].join("\n"));
});

test("a subtitle gives way to the next, but is seen for half a second", () => {
  const srt = transcript(line(1, 0), line(2, 1000), line(3, 1100)).as("srt");
  const times = [...srt.matchAll(/(\S+) --> (\S+)/g)].map(([, start, end]) => [start, end]);
  assert.deepEqual(times.slice(0, 2), [["00:00:00,000", "00:00:01,000"], ["00:00:01,000", "00:00:01,500"]]);
});

test("a long day is kept, and of more than that the oldest goes", () => {
  const lines = JSON.parse(transcript(...Array.from({ length: 5001 }, (_, k) => line(k, k))).as("json"));
  assert.equal(lines.length, 5000);
  assert.equal(lines[0].seq, 1);
});

test("an empty transcript is empty in every format", () => {
  assert.deepEqual(["txt", "srt", "json"].map((format) => transcript().as(format)), ["", "", "[]"]);
});

test("lines are given to the voice that they are of after all, in their room's present life alone", () => {
  const kept = transcript(line(1, 0), line(2, 1000), line(3, 2000, { speaker_id: "unknown", speaker_name: "Anna", speaker_likely: true }));
  kept.add("an earlier life/3", line(3, -1000));
  kept.relabel("life/", { speaker_id: "speaker_2", name: "Anna", seqs: [2, 3] });
  const speakers = () => JSON.parse(kept.as("json")).map(({ speaker }) => speaker);
  assert.deepEqual(speakers(), ["Speaker 1", "Speaker 1", "Anna", "Anna"]);
  kept.relabel("life/", { speaker_id: "unknown", name: "Unknown speaker", replaces: "speaker_2" });
  assert.deepEqual(speakers(), ["Speaker 1", "Speaker 1", "Unknown speaker", "Unknown speaker"]);
});

test("a result that comes after the news of its voice is that voice's", () => {
  const { VoicesToCome } = load(["VoicesToCome"]);
  const known = new VoicesToCome();
  known.learn({ speaker_id: "speaker_2", name: "Anna", seqs: [4] });
  known.learn({ speaker_id: "speaker_1", name: "Bob", seqs: [], replaces: "speaker_2" });
  const said = (seq, speaker_id) => known.applied({ seq, speaker_id, speaker_name: "?", speaker_likely: true });
  assert.deepEqual([said(4, "unknown").speaker_name, said(5, "speaker_2").speaker_id, said(6, "speaker_3").speaker_name], ["Bob", "speaker_1", "?"]);
  known.clear();
  assert.equal(said(4, "unknown").speaker_name, "?");
});
