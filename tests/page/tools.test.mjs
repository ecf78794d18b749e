import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (name) => JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));

test("every tool has one version and a checksum, and whoever installs them chooses the registry", () => {
  for (const version of Object.values(read("package.json").devDependencies)) assert.match(version, /^\d+\.\d+\.\d+$/);
  for (const [path, entry] of Object.entries(read("package-lock.json").packages)) {
    if (path) assert.match(entry.integrity, /^sha512-/, path);
    assert.equal(entry.resolved, undefined, path);
  }
});

test("the page itself depends on no package", () => {
  const { dependencies, private: isPrivate } = read("package.json");
  assert.equal(dependencies, undefined);
  assert.equal(isPrivate, true);
});
