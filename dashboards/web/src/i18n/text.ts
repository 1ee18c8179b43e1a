// The catalogue and how a key becomes a text: pure, so that tests read it without a browser.

import en from "./en.json";
import zh from "./zh-CN.json";

export type Lang = "zh" | "en";
export type Key = keyof typeof zh;
export type Params = Record<string, string | number>;

export const catalogue: Record<Lang, Record<string, string>> = { zh, en };

/** The text of a key in a language with its {placeholders} filled. An unknown key comes back as itself. */
export function text(lang: Lang, key: string, params: Params = {}): string {
  const raw = catalogue[lang][key] ?? key;
  return raw.replace(/\{(\w+)\}/g, (whole, name: string) => (name in params ? String(params[name]) : whole));
}

/** Which language to start in: the address, else what was remembered, else Chinese. */
export function startLanguage(search: string, hash: string, remembered: string | null): Lang {
  const query = new URLSearchParams(search).get("lang") ?? new URLSearchParams(hash.split("?")[1] ?? "").get("lang");
  const asked = [query, remembered].find((l) => l !== null && /^(zh|en)\b/i.test(l));
  return asked?.toLowerCase().startsWith("en") ? "en" : "zh";
}
