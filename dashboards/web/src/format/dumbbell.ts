// Where a criterion's before, after and target lie on one scale, for drawing. The figures' texts come from the collector;
// only positions and the scale's own ticks are made here. Pure.

import type { Criterion, FigureRange } from "../api/programme";
import { MINUS } from "./number";

export interface Place {
  low: number | null;
  point: number | null;
  high: number | null;
}

export interface Dumbbell {
  from: number;
  to: number;
  ticks: number[];
  before: Place | null;
  after: Place | null;
  /** Where the target lies: on the scale for an absolute target, else that far from the value before. */
  target: number | null;
}

/** The drawing of a criterion; null when neither window has a value or a bound. */
export function dumbbell(c: Criterion): Dumbbell | null {
  const before = place(c.before.figure);
  const after = place(c.after.figure);
  const target = targetAt(c, before?.point ?? null);
  const all = [before, after].flatMap((p) => (p ? [p.low, p.point, p.high] : [])).filter((v): v is number => v !== null);
  if (all.length === 0) return null;
  if (target !== null) all.push(target);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const room = (most - least || Math.abs(most) || 1) * 0.12;
  // A measure that is nowhere negative has no scale below zero.
  const [from, to] = [least < 0 ? least - room : Math.max(0, least - room), most + room];
  return { from, to, ticks: roundTicks(from, to), before, after, target };
}

function place(f: FigureRange): Place | null {
  const p = { low: f.low?.value ?? null, point: f.point?.value ?? null, high: f.high?.value ?? null };
  return p.low === null && p.point === null && p.high === null ? null : p;
}

/** Points and per cent are written as people say them ("3" for three points), so they are hundredths here. */
function targetAt(c: Criterion, before: number | null): number | null {
  const value = c.target.value.value;
  if (c.target.kind === "absolute") return value;
  if (before === null) return null;
  const step = (c.direction === "down" ? -1 : 1) * (value / 100);
  return c.target.kind === "points" ? before + step : before * (1 + step);
}

/** Round values inside [from, to], three to six of them. */
export function roundTicks(from: number, to: number): number[] {
  const width = to - from;
  if (!(width > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(width / 3));
  const step = [10, 5, 2, 1].map((n) => n * power).find((s) => width / s >= 3) ?? power;
  const out: number[] = [];
  for (let n = Math.ceil(from / step - 1e-9); n * step <= to + step * 1e-9; n++) out.push(Number((n * step).toPrecision(12)));
  return out;
}

/** A tick's label with the places that its neighbours need: "60 %" or "0.38". */
export function tickText(value: number, ticks: number[], ratio: boolean): string {
  const scaled = ratio ? ticks.map((t) => t * 100) : ticks;
  const gap = scaled.length > 1 ? Math.abs((scaled[1] ?? 0) - (scaled[0] ?? 0)) : 1;
  const digits = Math.max(0, Math.ceil(-Math.log10(gap) - 1e-9));
  const text = (ratio ? value * 100 : value).toFixed(Math.min(digits, 6)).replace("-", MINUS);
  return ratio ? `${text} %` : text;
}

/** About how long a 12 px text is drawn: a Chinese character is as wide as it is high, a Latin one a little over half. */
export function lengthOf(text: string): number {
  return [...text].reduce((sum, c) => sum + (c > "\u2e7f" ? 12 : 7.5), 0);
}

/** Where a text of that length begins so that it is centred over `at` and does not leave [0, width]. */
export function inside(at: number, length: number, width: number): number {
  return Math.max(0, Math.min(at - length / 2, width - length));
}
