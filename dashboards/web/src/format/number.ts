// How numbers look: exact integers decide every shown digit, bounds are rounded outward, nothing is clipped.
// The pieces come back as text without markup; the parts folder puts them on the page.

import type { BoundedRatio, Count, Energy, Exact, Ratio, Remark } from "../api/types";

/** U+2212, the minus of every number on a page. */
export const MINUS = "\u2212";
/** U+202F between groups of three digits. */
export const GROUP = "\u202f";
/** What stands where a value is missing; never zero. */
export const MISSING = "\u2014";

/** Bounds further apart than this are part of what the figure says: two points of a percentage. */
const WIDE = 0.02 + 1e-9;

/** An upper bound of a ratio above this only says that nearly everything is unknown: it goes to the title. */
const NO_BOUND = 10;

type Rounding = "nearest" | "down" | "up";

/** A bounded figure as text; `range` has bounds but no value of its own, `open` no upper bound that says anything. */
export type Shown =
  | { kind: "value"; value: string; unit: string; low: string | null; high: string | null; wide?: boolean }
  | { kind: "range"; low: string; high: string; unit: string }
  | { kind: "open"; low: string; unit: string; high?: string }
  | { kind: "missing"; reason: Remark | null };

/** num/den as a decimal with `digits` places, decided by integers: "0.8125" with 3 places, nearest -> "0.813". */
export function decimal(num: string, den: string, digits: number, rounding: Rounding = "nearest"): string {
  let n = BigInt(num);
  let d = BigInt(den);
  if (d === 0n) return MISSING;
  if (d < 0n) [n, d] = [-n, -d];
  const scaled = n * 10n ** BigInt(digits);
  const whole = divide(scaled, d, rounding);
  const negative = whole < 0n;
  const text = (negative ? -whole : whole).toString().padStart(digits + 1, "0");
  const cut = text.length - digits;
  const out = digits === 0 ? grouped(text) : `${grouped(text.slice(0, cut))}.${text.slice(cut)}`;
  return negative ? MINUS + out : out;
}

function divide(n: bigint, d: bigint, rounding: Rounding): bigint {
  const down = n >= 0n ? n / d : -((-n + d - 1n) / d);
  if (rounding === "down" || down * d === n) return down;
  if (rounding === "up") return down + 1n;
  return 2n * (n - down * d) >= d ? down + 1n : down;
}

/** "1234567" -> "1 234 567" with narrow no-break spaces. */
export function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, GROUP);
}

/** A whole number for people. */
export function integer(value: number | string): string {
  const text = String(value);
  return text.startsWith("-") ? MINUS + grouped(text.slice(1)) : grouped(text);
}

/** A ratio in per cent with one place. */
export function percent(ratio: Ratio, rounding: Rounding = "nearest"): string {
  return decimal((BigInt(ratio.num) * 100n).toString(), ratio.den, 1, rounding);
}

/** OEE and its factors: one place and %, the value beside its bounds; without a value the bounds, never a middle. */
export function shownRatio(r: BoundedRatio | null): Shown {
  if (r === null) return missing(null);
  const figure = shown(r, "%", r.reason, percent, (a, b) => BigInt(a.num) * BigInt(b.den) === BigInt(b.num) * BigInt(a.den));
  if (figure.kind === "range" && r.high !== null && r.high.value > NO_BOUND) {
    return { kind: "open", low: figure.low, unit: figure.unit, high: figure.high };
  }
  if (figure.kind !== "value" || r.low === null) return figure;
  return r.high === null || r.high.value - r.low.value > WIDE ? { ...figure, wide: true } : figure;
}

/** Coverage: rounded down, so that 100.0 % means all of it. */
export function shownCoverage(r: Ratio | null): Shown {
  return r === null ? missing(null) : { kind: "value", value: percent(r, "down"), unit: "%", low: null, high: null };
}

/** Pieces: integers, with bounds when the counter leaves room. */
export function shownCount(c: Count | null): Shown {
  return c === null ? missing(null) : shown(c, "", c.reason, integer, (a, b) => a === b);
}

/** Energy: value and bounds with the same places, those of the meter (two to four); a bound without an end adds none. */
export function shownEnergy(e: Energy | null): Shown {
  if (e === null) return missing(null);
  const ends = [e.low, e.high, e.point].map((x) => (x === null || x.text.includes("/") ? 0 : places(x.text)));
  const digits = Math.max(2, ...ends.filter((n) => n <= 4));
  const write = (x: Exact, rounding: Rounding) => decimal(x.num, x.den, digits, rounding);
  return shown(e, e.unit, e.reason, write, (a, b) => a.num === b.num && a.den === b.den);
}

function places(text: string): number {
  return text.split(".")[1]?.length ?? 0;
}

interface Bounded<T> {
  low: T | null;
  high: T | null;
  point: T | null;
}

function shown<T>(
  b: Bounded<T>,
  unit: string,
  reason: Remark | null,
  write: (value: T, rounding: Rounding) => string,
  same: (a: T, b: T) => boolean,
): Shown {
  const value = b.point === null ? null : write(b.point, "nearest");
  if (b.low === null) return value === null ? missing(reason) : { kind: "value", value, unit, low: null, high: null };
  const low = write(b.low, "down");
  if (b.high === null) return value === null ? { kind: "open", low, unit } : { kind: "value", value, unit, low, high: MISSING };
  if (same(b.low, b.high)) return { kind: "value", value: value ?? write(b.low, "nearest"), unit, low: null, high: null };
  const high = write(b.high, "up");
  return value === null ? { kind: "range", low, high, unit } : { kind: "value", value, unit, low, high };
}

function missing(reason: Remark | null): Shown {
  return { kind: "missing", reason };
}

/** An exact rational with the places its decimal really has, at most four; three where it does not end. */
export function exact(x: Exact, rounding: Rounding = "nearest"): string {
  if (x.text.includes("/")) return decimal(x.num, x.den, 3, rounding);
  return decimal(x.num, x.den, Math.min(places(x.text), 4), rounding);
}

/** One line of plain text, for titles, tables and screen readers: "83.4 % [83.3, 83.5]". */
export function plain(s: Shown): string {
  switch (s.kind) {
    case "value": {
      const head = s.unit ? `${s.value} ${s.unit}` : s.value;
      return s.low === null || s.high === null ? head : `${head} [${s.low}, ${s.high}]`;
    }
    case "range":
      return s.unit ? `[${s.low}, ${s.high}] ${s.unit}` : `${s.low}–${s.high}`;
    case "open":
      if (s.high !== undefined) return `[${s.low}, ${s.high}] ${s.unit}`.trimEnd();
      return s.unit ? `≥ ${s.low} ${s.unit}` : `≥ ${s.low}`;
    case "missing":
      return MISSING;
  }
}

/** A measured value of a tag as it stands in its column: numbers keep every digit they came with. */
export function sampleValue(value: number | boolean | string | null, exactText: string | null): string {
  if (value === null) return MISSING;
  if (typeof value === "number") return (exactText ?? String(value)).replace(/^-/, MINUS);
  return String(value);
}

/** Bytes with a binary unit. */
export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const kib = n / 1024;
  return kib < 1024 ? `${kib.toFixed(1)} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}
