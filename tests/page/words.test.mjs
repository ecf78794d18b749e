import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./script.mjs";

/** The page's words as a browser of these languages sees them. */
const inLanguages = (names, ...languages) => load(names, { navigator: { languages } });

test("the page takes the first of the browser's languages that it has", () => {
  const choice = (...languages) => inLanguages(["INTERFACE"], ...languages).INTERFACE;
  assert.equal(choice("de-AT", "en"), "de");
  assert.equal(choice("ja", "pt-BR", "fr"), "pt");
  assert.equal(choice("ja"), "en");
  assert.equal(choice(), "en");
});

test("a text is filled in, and a key without a text gives none", () => {
  const { t } = inLanguages(["t"], "fr");
  assert.match(t("retry", { n: 3 }), /3 s/);
  assert.equal(t("n.unheard_of"), "");
});

test("names that the server made up are said in the page's language, names of people are not", () => {
  const { speakerName } = inLanguages(["speakerName"], "de");
  assert.equal(speakerName("Speaker 12"), "Stimme 12");
  assert.equal(speakerName("Unknown speaker"), "Unbekannte Stimme");
  assert.equal(speakerName("Speaker of the House"), "Speaker of the House");
});

test("the server's words become a sentence", () => {
  const { sentence } = load(["sentence"]);
  assert.equal(sentence("room: not a name"), "Room: not a name.");
  assert.equal(sentence("Why?"), "Why?");
});

test("seconds are written as people of that language write them", () => {
  const written = (language) => inLanguages(["seconds"], language).seconds(1.25);
  assert.equal(written("en"), "1.3");
  assert.equal(written("de"), "1,3");
});

const SERVERS = [
  { code: "eng", bcp47: "en", name: "English", native_name: "English", captions: "good", voice: "a" },
  { code: "fra", bcp47: "fr", name: "French", native_name: "Français", captions: "draft", voice: "a" },
  { code: "pol", bcp47: "pl", name: "Polish", native_name: "Polski", captions: "untranslated", voice: "a" },
  { code: "cmn", bcp47: "zh", name: "Chinese", native_name: "中文", captions: "good", voice: "a" },
  { code: "cmn-Hant", bcp47: "zh-Hant", name: "Chinese (Traditional)", native_name: "繁體中文", captions: "good", voice: "a" },
];

test("who comes for the first time hears the first of their languages that the server has", () => {
  const preferred = (...tags) => {
    const { Languages } = inLanguages(["Languages"], ...tags);
    const languages = new Languages();
    languages.replace(SERVERS);
    return languages.preferred();
  };
  assert.equal(preferred("de-DE", "pl", "fr"), "pol");
  assert.equal(preferred("fr-CA"), "fra");
  assert.equal(preferred("ja"), "eng");
  assert.deepEqual(["zh", "zh-CN", "zh-TW", "zh-HK", "zh-Hant-SG"].map((tag) => preferred(tag)), ["cmn", "cmn", "cmn-Hant", "cmn-Hant", "cmn-Hant"]);
});

test("a language has its name in the page's language, else the server's, else its code", () => {
  const { Languages } = inLanguages(["Languages"], "fr");
  const languages = new Languages();
  languages.replace([...SERVERS, { code: "qaa", bcp47: "qaa", name: "Invented", native_name: "Invented", captions: "draft", voice: null }]);
  assert.equal(languages.name("pol"), "polonais");
  assert.equal(languages.name("qaa"), "Invented");
  assert.equal(languages.name("zzz9-not-a-tag"), "zzz9-not-a-tag");
});

test("a link names a language by its code or by any tag", () => {
  const { Languages } = inLanguages(["Languages"], "en");
  const languages = new Languages();
  languages.replace(SERVERS);
  assert.deepEqual(["fra", "fr", "fr-FR", "FRA", "xx", "auto", "_"].map((tag) => languages.code(tag)), ["fra", "fra", "fra", "fra", "xx", "auto", "_"]);
  assert.equal(languages.code(null), null);
});

test("a list that is none changes nothing", () => {
  const { Languages } = load(["Languages"]);
  const languages = new Languages();
  for (const none of [undefined, [], "eng"]) languages.replace(none);
  assert.equal(languages.find("fra").native_name, "Français");
});

test("what is remembered is there on the next visit", () => {
  const kept = new Map();
  const localStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  load(["memory"], { localStorage }).memory.set("name", "Marta");
  assert.equal(load(["memory"], { localStorage }).memory.get("name", ""), "Marta");
  assert.deepEqual([...kept], [["babblefish.name", '"Marta"']]);
});

test("without a storage, or with rubbish in it, the page works and does not remember", () => {
  const forbidden = { getItem() { throw new Error("forbidden"); }, setItem() { throw new Error("forbidden"); } };
  const { memory } = load(["memory"], { localStorage: forbidden });
  memory.set("name", "Marta");
  assert.equal(memory.get("name", "nobody"), "nobody");
  assert.equal(load(["memory"], { localStorage: { getItem: () => "{" } }).memory.get("name", "nobody"), "nobody");
});

test("a voice has the same colour on every screen, and who is unknown has none", () => {
  const { voiceColour } = load(["voiceColour"]);
  assert.equal(voiceColour("speaker_1"), "var(--voice-0)");
  assert.equal(voiceColour("speaker_11"), "var(--voice-0)");
  assert.notEqual(voiceColour("speaker_2"), voiceColour("speaker_3"));
  assert.match(voiceColour("somebody"), /^var\(--voice-\d\)$/);
  assert.equal(voiceColour("somebody"), voiceColour("somebody"));
  assert.equal(voiceColour("unknown"), "var(--soft)");
});
