// The colour tokens keep their contrast: text 4.5 : 1, marks 3 : 1, on the card and on the page ground, light and dark.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const css = readFileSync(join(import.meta.dirname, "..", "src", "style", "tokens.css"), "utf8");
const block = (start: string) => css.slice(css.indexOf(start)).split("}")[0] ?? "";
const tokens = (body: string) => Object.fromEntries([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map((m) => [m[1], m[2]]));
const themes = { light: tokens(block(":root {")), dark: tokens(block(':root[data-theme="dark"] {')) };
const TEXT = ["text", "muted", "down", "setup", "minor-text", "unknown-text", "ok"];
const MARKS = ["run", "planned", "setup", "minor", "down", "unknown", "line", "focus"];

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = parseInt(hex.slice(i, i + 2), 16) / 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (hi + 0.05) / (lo + 0.05);
}

describe.each(Object.entries(themes))("%s", (_, t) => {
  it.each(TEXT)("%s is readable on a card", (name) => expect(contrast(t[name] ?? "", t.surface ?? "")).toBeGreaterThanOrEqual(4.5));
  it.each(MARKS)("%s is visible on a card", (name) => expect(contrast(t[name] ?? "", t.surface ?? "")).toBeGreaterThanOrEqual(3));
  it("muted text is readable on the page ground", () => expect(contrast(t.muted ?? "", t.bg ?? "")).toBeGreaterThanOrEqual(4.5));
  it("the stale badge is readable", () => expect(contrast(t.stale ?? "", t["stale-ground"] ?? "")).toBeGreaterThanOrEqual(4.5));
});

it("the system's dark theme is the chosen dark theme", () => {
  expect(tokens(block(':root:not([data-theme="light"]) {'))).toEqual(themes.dark);
});
