import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./script.mjs";

const { changedTerm } = load(["changedTerm"]);

const HEATER = { text: "water heater", translations: { deu: "Boiler", fra: "chauffe-eau" }, spoken: { fra: "chauffe o" } };

test("a new term has what was typed for the language that is heard", () => {
  assert.deepEqual(changedTerm(null, { text: "Kowalczyk", written: "", spoken: "Kovalchick" }, "eng"), {
    type: "glossary", terms: [{ text: "Kowalczyk", translations: {}, spoken: { eng: "Kovalchick" } }], remove: [],
  });
});

test("what is written alike needs no translation", () => {
  assert.deepEqual(changedTerm(null, { text: "Ewa", written: "Ewa", spoken: "" }, "fra").terms[0].translations, {});
});

test("a change leaves the other languages as they are", () => {
  assert.deepEqual(changedTerm(HEATER, { text: "water heater", written: "ballon", spoken: "" }, "fra"), {
    type: "glossary", terms: [{ text: "water heater", translations: { deu: "Boiler", fra: "ballon" }, spoken: {} }], remove: [],
  });
});

test("a term with another text takes the place of the old one", () => {
  const typed = { text: "boiler", written: "chauffe-eau", spoken: "chauffe o" };
  assert.deepEqual(changedTerm(HEATER, typed, "fra"), {
    type: "glossary", terms: [{ ...HEATER, text: "boiler" }], remove: ["water heater"],
  });
  assert.deepEqual(changedTerm(HEATER, { ...typed, text: "Water heater" }, "fra").remove, []);
});
