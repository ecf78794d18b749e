/** Writes what `tsc` reads into build/page/: the page's script, and the type of each element that has an id. */

import { mkdirSync, writeFileSync } from "node:fs";

import { html, scriptOf } from "./script.mjs";

const FOLDER = new URL("../../build/page/", import.meta.url);

mkdirSync(FOLDER, { recursive: true });
writeFileSync(new URL("client_thin.js", FOLDER), scriptOf(html));

const elements = [...html.matchAll(/<(\w+)\b[^<>]*?\sid="([\w-]+)"/g)].map(([, tag, id]) => {
  const isSvg = ["svg", "symbol", "g", "path"].includes(tag);
  return `  "${id}": ${isSvg ? "SVG" : "HTML"}ElementTagNameMap["${tag}"];`;
});
writeFileSync(new URL("elements.d.ts", FOLDER), `interface PageElements {\n${elements.join("\n")}\n}\n`);
