// How each leaf of the time ledger looks: a colour token, a pattern as second channel, and whether it is abnormal.
// Colours are CSS classes (tokens.css); patterns are drawn by parts/Patterns.svelte under the same names.

import type { LeafCode } from "../api/types";

export interface LeafLook {
  /** The CSS class that sets --leaf to the token. */
  tone: "run" | "planned" | "setup" | "minor" | "down" | "unknown";
  /** The pattern drawn over the tone, null for a plain fill. */
  pattern: "dots" | "diagonal" | "cross" | "rows" | "columns" | "outline" | null;
  /** Worth a colour on the overview. */
  abnormal: boolean;
  /** Outside the planned busy time, so no loss of OEE. */
  excluded: boolean;
}

export const LEAVES: Record<LeafCode, LeafLook> = {
  RUN: { tone: "run", pattern: null, abnormal: false, excluded: false },
  MICRO: { tone: "minor", pattern: "dots", abnormal: true, excluded: false },
  DOWN: { tone: "down", pattern: "diagonal", abnormal: true, excluded: false },
  EXT: { tone: "minor", pattern: "rows", abnormal: true, excluded: false },
  SETUP: { tone: "setup", pattern: null, abnormal: false, excluded: false },
  IDLE: { tone: "planned", pattern: "columns", abnormal: false, excluded: false },
  ENG: { tone: "setup", pattern: "columns", abnormal: false, excluded: false },
  UNK: { tone: "unknown", pattern: "cross", abnormal: true, excluded: false },
  PM: { tone: "planned", pattern: "rows", abnormal: false, excluded: true },
  BREAK: { tone: "planned", pattern: null, abnormal: false, excluded: true },
  OFF: { tone: "planned", pattern: "outline", abnormal: false, excluded: true },
};

/** The order of rows and legends: excluded time first, then losses, then production. */
export const LEAF_ORDER: LeafCode[] = ["OFF", "BREAK", "PM", "IDLE", "SETUP", "ENG", "EXT", "DOWN", "MICRO", "UNK", "RUN"];

export function leafLook(code: string): LeafLook {
  return LEAVES[code as LeafCode] ?? LEAVES.UNK;
}
