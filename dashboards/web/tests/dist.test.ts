// What is built keeps its promises: small, no address outside the page, nothing inline. Skipped until `npm run build` ran.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";

const DIST = join(import.meta.dirname, "..", "dist");
const built = existsSync(join(DIST, "index.html"));
const names = built ? readdirSync(DIST, { recursive: true, encoding: "utf8" }).filter((n) => /\.\w+$/.test(n)) : [];
const body = (name: string) => readFileSync(join(DIST, name));
/** Namespaces and the notices in Svelte's own error texts are names, not places that a page asks. */
const NAMES = /https?:\/\/(www\.w3\.org\/|svelte\.dev\/e\/)/;

describe.skipIf(!built)("dist", () => {
  it("loads at most 120 KB compressed", () => {
    const bytes = names.filter((n) => /\.(js|css)$/.test(n)).reduce((sum, n) => sum + gzipSync(body(n), { level: 9 }).length, 0);
    expect(bytes).toBeLessThanOrEqual(120_000);
  });
  it("names no address outside the page", () => {
    const found = names.flatMap((n) => [...body(n).toString("utf8").matchAll(/(https?:)?\/\/[a-z0-9.-]+\.[a-z]{2,}\/?[^\s"'`)]*/gi)].map((m) => m[0]));
    expect(found.filter((url) => /^(https?:)?\/\//.test(url) && !NAMES.test(url))).toEqual([]);
  });
  it("has relative paths, style sheets as files and nothing inline", () => {
    const html = body("index.html").toString("utf8");
    expect(html).not.toMatch(/(src|href)="\//);
    expect(html).not.toMatch(/<style|style="|<script(?![^>]*\bsrc=)/);
    expect(html).toMatch(/<link rel="stylesheet"[^>]*href="\.\//);
    for (const n of names) expect(body(n).includes("data:image"), n).toBe(false);
  });
});
