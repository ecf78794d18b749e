import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./script.mjs";

const CHOICES = { target_lang: "eng", source_lang: "auto", audio: "stream" };

/** A storage as a browser keeps it, shared by every page that is loaded with it. */
function storage() {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
}

/* Choices */

test("what the server has agreed to holds until it agrees to something else", () => {
  const { Agreement } = load(["Agreement"]);
  const agreement = new Agreement(CHOICES);
  agreement.asked();
  assert.deepEqual(agreement.settled, CHOICES);
  agreement.agree({ ...CHOICES, target_lang: "spa", name: "Marta", type: "settled" });
  assert.deepEqual(agreement.settled, { ...CHOICES, target_lang: "spa" });
});

test("the answer to an earlier choice does not undo a newer one", () => {
  const { Agreement } = load(["Agreement"]);
  const agreement = new Agreement(CHOICES);
  agreement.asked();
  agreement.asked();
  assert.equal(agreement.answered(), false);
  assert.equal(agreement.isAwaited, true);
  assert.equal(agreement.answered(), true);
  assert.equal(agreement.answered(), true, "an answer that nobody waits for changes nothing");
});

test("after a new connection only what is wanted otherwise is asked for, one by one", () => {
  const { Agreement } = load(["Agreement"]);
  const agreement = new Agreement(CHOICES);
  agreement.asked();
  agreement.renew({ ...CHOICES, target_lang: "fra" });
  assert.equal(agreement.isAwaited, false);
  assert.deepEqual(agreement.unmet({ ...CHOICES, audio: "none" }), [{ target_lang: "eng" }, { audio: "none" }]);
  assert.deepEqual(agreement.unmet({ ...CHOICES, target_lang: "fra" }), []);
});

test("an older server is not asked for what it does not know", () => {
  const { Agreement } = load(["Agreement"]);
  const wanted = { ...CHOICES, interpreting: "simultaneous" };
  const agreement = new Agreement(wanted);
  agreement.renew(CHOICES);
  assert.deepEqual(agreement.unmet(wanted), []);
  agreement.renew({ ...CHOICES, interpreting: "consecutive" });
  assert.deepEqual(agreement.unmet(wanted), [{ interpreting: "simultaneous" }]);
});

/* History */

test("whoever joins for the first time has missed nothing", () => {
  const { Bookmark } = load(["Bookmark"]);
  const bookmark = new Bookmark();
  assert.deepEqual(bookmark.open({ history_id: "life", last_seq: 7 }), { missed: null, isAnew: true });
});

test("whoever comes back asks for what came after the newest caption they have", () => {
  const { Bookmark } = load(["Bookmark"]);
  const bookmark = new Bookmark();
  bookmark.open({ history_id: "life", last_seq: 7 });
  bookmark.read(9);
  bookmark.read(8); // a late caption
  const missed = { type: "resume", history_id: "life", after_seq: 9 };
  assert.deepEqual(bookmark.open({ history_id: "life", last_seq: 12 }), { missed, isAnew: false });
  assert.deepEqual(bookmark.open({ history_id: "life", last_seq: 12 }).missed.after_seq, 9, "what was missed is not read yet");
});

test("a server that was restarted counts anew, and is asked with its old life's name", () => {
  const { Bookmark } = load(["Bookmark"]);
  const bookmark = new Bookmark();
  bookmark.open({ history_id: "first", last_seq: 7 });
  const missed = { type: "resume", history_id: "first", after_seq: 7 };
  assert.deepEqual(bookmark.open({ history_id: "second", last_seq: 2 }), { missed, isAnew: true });
  assert.equal(bookmark.open({ history_id: "second" }).missed.after_seq, 2);
});

test("an older server without a history counts anew each time and is asked for nothing", () => {
  const { Bookmark } = load(["Bookmark"]);
  const bookmark = new Bookmark();
  assert.deepEqual(bookmark.open({}), { missed: null, isAnew: true });
  assert.deepEqual(bookmark.open({}), { missed: null, isAnew: true });
});

test("utterances of two lives of the server have different keys", () => {
  const { Bookmark } = load(["Bookmark"]);
  const bookmark = new Bookmark();
  bookmark.open({ history_id: "first" });
  const key = bookmark.key("utterance_1");
  bookmark.open({ history_id: "second" });
  assert.notEqual(bookmark.key("utterance_1"), key);
});

/* Tokens */

test("a link's token is for its room, and for those without one of their own", () => {
  const { Tokens } = load(["Tokens"], { localStorage: storage() });
  const server = new URL("wss://example.org/");
  const tokens = new Tokens();
  assert.equal(tokens.of(server, "hall"), undefined);
  for (const [room, token] of [["hall", "one"], ["attic", "two"]]) {
    tokens.offer(server, room, token);
    tokens.accept(server, room, null);
  }
  assert.deepEqual(["hall", "attic", "cellar"].map((room) => tokens.of(server, room)), ["one", "two", "two"]);
  assert.equal(tokens.of(new URL("wss://elsewhere.org/"), "hall"), undefined);
});

test("the server's own token takes the place of the link's in its room alone", () => {
  const { Tokens } = load(["Tokens"], { localStorage: storage() });
  const server = new URL("wss://example.org/");
  const tokens = new Tokens();
  tokens.offer(server, "hall", "link");
  tokens.accept(server, "hall", "longer");
  assert.deepEqual(["hall", "cellar"].map((room) => tokens.of(server, room)), ["longer", "link"]);
});

test("a link's token takes the place of a good one only when it has proved good itself", () => {
  const localStorage = storage();
  const { Tokens } = load(["Tokens"], { localStorage });
  const server = new URL("wss://example.org/");
  const tokens = new Tokens();
  tokens.accept(server, "hall", "good");
  tokens.offer(server, "hall", "bad");
  assert.equal(tokens.of(server, "hall"), "bad");
  assert.equal(new Tokens().of(server, "hall"), "good");
  tokens.reject(server, "hall");
  assert.equal(tokens.of(server, "hall"), "good");
});

test("two windows keep each other's tokens", () => {
  const localStorage = storage();
  const [one, other] = [0, 1].map(() => new (load(["Tokens"], { localStorage }).Tokens)());
  const server = new URL("wss://example.org/");
  one.accept(server, "hall", "a");
  other.accept(server, "attic", "b");
  const later = new (load(["Tokens"], { localStorage }).Tokens)();
  assert.deepEqual(["hall", "attic"].map((room) => later.of(server, room)), ["a", "b"]);
});

/* What the dock says */

const QUIET = {
  phase: "joined", soundPaused: false, talking: false, behindS: 0, speaking: false, microphone: "on", muted: false, hearing: false,
  translating: false, pushesToTalk: false,
};

for (const [situation, state] of [
  [{}, "listening"],
  [{ pushesToTalk: true }, "released"],
  [{ translating: true, pushesToTalk: true }, "translating"],
  [{ hearing: true, translating: true }, "hearing"],
  [{ muted: true, translating: true }, "muted"],
  [{ microphone: "missing", muted: true }, "no-microphone"],
  [{ microphone: "off" }, "no-microphone"],
  [{ microphone: "asking" }, "asking"],
  [{ speaking: true, microphone: "missing" }, "speaking"],
  [{ behindS: 2, speaking: true }, "speaking"],
  [{ behindS: 3, speaking: true }, "behind"],
  [{ talking: true, behindS: 9 }, "talking"],
  [{ soundPaused: true, talking: true }, "sound-paused"],
  [{ phase: "reconnecting", soundPaused: true }, "reconnecting"],
  [{ phase: "idle" }, "idle"],
]) {
  test(`${JSON.stringify(situation)} is shown as ${state}`, () => {
    assert.equal(load(["stateOf"]).stateOf({ ...QUIET, ...situation }), state);
  });
}
