// One catalogue, two languages: the same keys, the same placeholders, none unused, no text written into a component.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { catalogue, startLanguage, text } from "../src/i18n/text";

const SOURCE = join(import.meta.dirname, "..", "src");
const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(svelte|ts)$/.test(name))
  .map((name) => ({ name, body: readFileSync(join(SOURCE, name), "utf8") }));
const holes = (s: string) => [...s.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort();

describe("the catalogue", () => {
  it("has the same keys in both languages", () => {
    expect(Object.keys(catalogue.en).sort()).toEqual(Object.keys(catalogue.zh).sort());
  });
  it("has the same placeholders in both languages", () => {
    for (const [key, zh] of Object.entries(catalogue.zh)) expect(holes(catalogue.en[key] ?? ""), key).toEqual(holes(zh));
  });
  it("has no empty text and no exclamation mark", () => {
    for (const lang of ["zh", "en"] as const) for (const [key, value] of Object.entries(catalogue[lang])) expect(value, key).toMatch(/^[^!！]+$/);
  });
  it("has no unused key", () => {
    const all = files.map((f) => f.body).join("\n");
    const made = new Set([...all.matchAll(/`([a-z]+(?:\.[a-z]+)*\.)\$\{/g)].map((m) => m[1] ?? ""));
    const unused = Object.keys(catalogue.zh).filter((key) => !all.includes(`"${key}"`) && ![...made].some((prefix) => key.startsWith(prefix)));
    expect(unused).toEqual([]);
  });
});

describe("components", () => {
  it("write no Chinese themselves", () => {
    const guilty = files
      .filter((f) => f.name.endsWith(".svelte"))
      .filter((f) => /[\u4e00-\u9fff]/.test(f.body.replace(/<!--[\s\S]*?-->|\/\*[\s\S]*?\*\/|\/\/.*$/gm, "")))
      .map((f) => f.name);
    expect(guilty).toEqual([]);
  });
  it("use only keys that exist", () => {
    const used = files.flatMap((f) => [...f.body.matchAll(/\bt\("([^"]+)"/g)].map((m) => m[1] ?? ""));
    expect(used.filter((key) => !(key in catalogue.zh))).toEqual([]);
  });
});

describe("language", () => {
  it("fills placeholders and leaves unknown ones", () => {
    expect(text("en", "age.s", { n: 5 })).toBe("5 s ago");
    expect(text("en", "age.s")).toBe("{n} s ago");
  });
  it("starts from the address, then memory, then Chinese", () => {
    expect(startLanguage("?lang=en", "", "zh")).toBe("en");
    expect(startLanguage("", "#/agents?lang=en", null)).toBe("en");
    expect(startLanguage("", "", "en")).toBe("en");
    expect(startLanguage("?lang=xx", "", null)).toBe("zh");
  });
});
