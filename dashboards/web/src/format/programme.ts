// How the collector's figures of a project look: their own texts, joined; never a digit of our own.

import type { Figure, FigureRange } from "../api/programme";
import type { Words } from "../api/types";
import { MISSING } from "./number";

/** Chooses the reader's language. */
export type Say = (words: Words) => string;

/** A figure's own text, unit and all; a dash where there is none. */
export function figureText(f: Figure | null, pick: Say): string {
  return f === null ? MISSING : pick(f.text);
}

/** "61.12 % [60.80 %, 61.53 %]"; without a value the bounds alone, "≥ 60.80 %" where the upper one is open. */
export function rangeText(r: FigureRange | null, pick: Say): string {
  if (!r || (!r.point && !r.low && !r.high)) return MISSING;
  if (!r.point && r.low && !r.high) return `\u2265 ${figureText(r.low, pick)}`;
  const point = r.point ? figureText(r.point, pick) : "";
  const bounds = (r.low || r.high) && !exactly(r) ? `[${figureText(r.low, pick)}, ${figureText(r.high, pick)}]` : "";
  return [point || (exactly(r) ? figureText(r.low, pick) : ""), bounds].filter(Boolean).join(" ");
}

/** What a chart writes beside a row: the value alone where there is one. */
export function headText(r: FigureRange, pick: Say): string {
  return r.point ? figureText(r.point, pick) : rangeText(r, pick);
}

/** True where the two bounds are the value itself, so that writing them adds nothing. */
export function exactly(r: FigureRange | null): boolean {
  return r !== null && r.low !== null && r.high !== null && BigInt(r.low.num) * BigInt(r.high.den) === BigInt(r.high.num) * BigInt(r.low.den);
}
