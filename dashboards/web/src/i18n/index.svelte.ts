// The reader's language: taken from ?lang= or memory, Chinese otherwise; switching it redraws every text.

import type { Words } from "../api/types";
import { recall, remember } from "../state/memory";
import { startLanguage, text, type Key, type Lang, type Params } from "./text";

class Language {
  current = $state<Lang>("zh");

  start(): void {
    this.set(startLanguage(location.search, location.hash, recall("lang")), location.search.includes("lang="));
  }

  set(lang: Lang, keep = true): void {
    this.current = lang;
    document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
    if (keep) remember("lang", lang);
  }

  toggle(): void {
    this.set(this.current === "zh" ? "en" : "zh");
  }
}

export const language = new Language();

/** The text of a key in the reader's language. */
export function t(key: Key, params?: Params): string {
  return text(language.current, key, params);
}

/** The text of a key made at run time (a role, a leaf), or the fallback when the catalogue lacks it. */
export function tOr(key: string, fallback: string): string {
  const found = text(language.current, key);
  return found === key ? fallback : found;
}

/** The side of a bilingual text that the reader wants. */
export function pick(words: Words | null | undefined): string {
  if (!words) return "";
  return language.current === "zh" ? words.zh : words.en;
}

/** A shift by the reader's language: its name as the plant gives it; in English its English name, else its id. */
export function shiftName(shift: { id: string; name: string; name_en?: string | null }): string {
  return language.current === "zh" ? shift.name : (shift.name_en ?? shift.id);
}

/** A name with an optional English form. */
export function nameOf(thing: { name: string; name_en?: string | null; id?: string }): string {
  return language.current === "en" && thing.name_en ? thing.name_en : thing.name;
}
