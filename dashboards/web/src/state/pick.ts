// Which window a preset means: chosen from the windows that the collector lists, never worked out from the browser's
// clock. Pure.

import type { WindowResult } from "../api/types";

export const PRESETS = ["this", "previous", "today", "yesterday", "custom"] as const;
export type Preset = (typeof PRESETS)[number];

export function isPreset(text: string): text is Preset {
  return (PRESETS as readonly string[]).includes(text);
}

/** The kind of window a preset is made of. */
export function kindOf(preset: Preset): "shift" | "day" {
  return preset === "today" || preset === "yesterday" ? "day" : "shift";
}

/** The window of a preset at `now` (ms by the server) in a list, oldest first; null when there is none. */
export function choose(preset: Preset, windows: WindowResult[], now: number): WindowResult | null {
  const current = windows.find((w) => Date.parse(w.start) <= now && now < Date.parse(w.end)) ?? null;
  if (preset === "this" || preset === "today") return current;
  const past = windows.filter((w) => Date.parse(w.end) <= now);
  return past[past.length - 1] ?? null;
}
