/** The page's script: cut out of the HTML to be checked, and run without a browser to be tested. */

import { readFileSync } from "node:fs";
import vm from "node:vm";

const PAGE = new URL("../../client_thin.html", import.meta.url);

export const html = readFileSync(PAGE, "utf8");

/** The script with the page's own line numbers: all that is not script is blank. */
export function scriptOf(source) {
  const opening = '<script type="module">';
  const start = source.indexOf(opening) + opening.length;
  const end = source.indexOf("</script>", start);
  if (start < opening.length || end < 0) throw new Error("the page has no module script");
  return source.slice(0, start).replace(/[^\n]/g, "") + source.slice(start, end);
}

/**
 * Run the script where there is no document, so that the app does not start, and return the parts that are named.
 *
 * @param {string[]} names Classes, functions and constants at the top of the script.
 * @param {object} globals What a browser has and Node.js has not, or has otherwise.
 */
export function load(names, globals = {}) {
  const browser = { navigator: { languages: ["en"] }, ...globals };
  const run = vm.compileFunction(
    `"use strict";${scriptOf(html)}\nreturn { ${names.join(", ")} };`, Object.keys(browser), { filename: "client_thin.html" },
  );
  return run(...Object.values(browser));
}
