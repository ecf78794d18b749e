import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import html from "eslint-plugin-html";
import globals from "globals";

export default defineConfig([
  { ignores: ["legacy/", "build/", "node_modules/", ".venv/", "out/"] },
  js.configs.recommended,
  {
    rules: {
      complexity: ["error", 10],
      eqeqeq: ["error", "always", { null: "ignore" }],
      "max-depth": ["error", 3],
      "max-lines-per-function": ["error", { max: 40, skipComments: true, skipBlankLines: true }],
      "max-params": ["error", 5],
      "no-shadow": "error",
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
    },
  },
  {
    files: ["**/*.html"],
    plugins: { html },
    languageOptions: { globals: { ...globals.browser, ...globals.audioWorklet } },
  },
  {
    files: ["tests/page/**", "eslint.config.js"],
    languageOptions: { globals: globals.node },
    rules: { "max-lines-per-function": "off" },
  },
]);
