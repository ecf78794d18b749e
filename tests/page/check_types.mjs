/**
 * Checks the page's script with tsc: the script, and the type of each element that has an id, are cut out of the HTML
 * into build/page/. Prints what is wrong and exits with 1.
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { html, scriptOf } from "./script.mjs";

const ROOT = new URL("../../", import.meta.url);
const FOLDER = new URL("build/page/", ROOT);

/**
 * With `noImplicitAny` tsc takes the type of a field from the constructor, which is what makes most of the check. It also
 * asks for an annotation at every parameter, for which the page has no room: these complaints are dropped.
 */
const UNANNOTATED = new Set(["TS7006", "TS7008", "TS7019", "TS7023", "TS7031", "TS7032", "TS7053"]);

function elements() {
  const lines = [...html.matchAll(/<(\w+)\b[^<>]*?\sid="([\w-]+)"/g)].map(([, tag, id]) => {
    const isSvg = ["svg", "symbol", "g", "path"].includes(tag);
    return `  "${id}": ${isSvg ? "SVG" : "HTML"}ElementTagNameMap["${tag}"];`;
  });
  return `interface PageElements {\n${lines.join("\n")}\n}\n`;
}

mkdirSync(FOLDER, { recursive: true });
writeFileSync(new URL("client_thin.js", FOLDER), scriptOf(html));
writeFileSync(new URL("elements.d.ts", FOLDER), elements());

const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
const { stdout, stderr, status } = spawnSync(process.execPath, [compiler, "--pretty", "false"], { cwd: ROOT, encoding: "utf8" });
// A complaint is a line with a code, and perhaps further lines that begin with a space.
const complaints = stdout.split(/\n(?! )/).filter((text) => text && !UNANNOTATED.has(/TS\d+/.exec(text)?.[0] ?? ""));
if (complaints.length) console.error(complaints.join("\n"));
if (stderr) console.error(stderr);
const isRun = status === 0 || /error TS\d+/.test(stdout);
process.exitCode = complaints.length || stderr || !isRun ? 1 : 0;
