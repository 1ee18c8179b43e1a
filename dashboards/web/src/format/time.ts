// How times look: instants in the site's zone, durations as h min, ages in s, min, h. The zone is always given.

import { MINUS } from "./number";

interface Parts {
  date: string;
  time: string;
  seconds: string;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string): Intl.DateTimeFormat {
  let f = formats.get(zone);
  if (!f) {
    f = new Intl.DateTimeFormat("en-CA", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
    formats.set(zone, f);
  }
  return f;
}

/** Date, hour:minute and seconds of an instant in a zone. */
export function parts(instant: string | number, zone: string): Parts {
  const map: Record<string, string> = {};
  for (const { type, value } of format(zone).formatToParts(new Date(instant))) map[type] = value;
  return {
    date: `${map.year}-${map.month}-${map.day}`,
    time: `${map.hour}:${map.minute}`,
    seconds: map.second ?? "00",
  };
}

/** "13:59:50" */
export function clock(instant: string | number, zone: string): string {
  const p = parts(instant, zone);
  return `${p.time}:${p.seconds}`;
}

/** "2026-11-25 13:59:50"; sub-second digits of the text are kept, as the device gave them. */
export function stamp(instant: string, zone: string): string {
  const p = parts(instant, zone);
  const fraction = /\.(\d+)/.exec(instant)?.[1] ?? "";
  return `${p.date} ${p.time}:${p.seconds}${fraction ? `.${fraction}` : ""}`;
}

/** "2026-11-25 08:00 – 16:00", or both dates when they differ. Midnight at the end is written 24:00. */
export function span(start: string, end: string, zone: string): string {
  const [a, b] = [parts(start, zone), parts(end, zone)];
  if (a.date === b.date) return `${a.date} ${a.time} – ${b.time}`;
  const before = parts(Date.parse(end) - 1, zone);
  if (before.date === a.date && b.time === "00:00") return `${a.date} ${a.time} – 24:00`;
  return `${a.date} ${a.time} – ${b.date} ${b.time}`;
}

/** "6 h 12 min", "12 min 30 s", "45 s", "350 ms": two units at most, zero is "0 s". */
export function duration(ms: number): string {
  if (ms < 0) return MINUS + duration(-ms);
  if (ms > 0 && ms < 1000) return `${Math.round(ms)} ms`;
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return s % 60 ? `${m} min ${s % 60} s` : `${m} min`;
  const h = Math.floor(m / 60);
  return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
}

/** "6:12:30" with every second, for tables whose rows must add up before the eye. */
export function ledger(ms: number): string {
  const s = Math.floor(ms / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  const rest = ms % 1000;
  const head = `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return rest ? `${head}.${String(rest).padStart(3, "0")}` : head;
}

/** Bounds of a time in whole seconds, rounded outward: "[6:12:30, 6:12:41]". */
export function ledgerBounds(low: number, high: number): string {
  return `[${ledger(Math.floor(low / 1000) * 1000)}, ${ledger(Math.ceil(high / 1000) * 1000)}]`;
}

/** The number and unit of an age: whole s below a minute, whole min below an hour, then h. */
export function age(ms: number): { n: number; unit: "s" | "min" | "h" | "d" } {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return { n: s, unit: "s" };
  if (s < 3600) return { n: Math.floor(s / 60), unit: "min" };
  if (s < 48 * 3600) return { n: Math.floor(s / 3600), unit: "h" };
  return { n: Math.floor(s / 86400), unit: "d" };
}

/** The instant of a wall time ("2026-11-25T08:00") in a zone, as RFC 3339 UTC; null for a text that is no time. */
export function fromLocal(local: string, zone: string): string | null {
  const asUtc = Date.parse(`${local.length === 16 ? `${local}:00` : local}Z`);
  if (!Number.isFinite(asUtc)) return null;
  let guess = asUtc;
  for (let i = 0; i < 2; i++) guess = asUtc - offset(guess, zone);
  return new Date(guess).toISOString().replace(".000Z", "Z");
}

/** The wall time of an instant in a zone, in the form a datetime-local field wants. */
export function toLocal(instant: string | number, zone: string): string {
  const p = parts(instant, zone);
  return `${p.date}T${p.time}`;
}

function offset(instant: number, zone: string): number {
  const p = parts(instant, zone);
  return Date.parse(`${p.date}T${p.time}:${p.seconds}Z`) - Math.floor(instant / 1000) * 1000;
}

const HOUR = 3_600_000;
const STEPS = [300_000, 600_000, 900_000, HOUR / 2, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 48 * HOUR];

/** Round wall-clock instants inside [start, end], at most `most` of them, for an axis. */
export function ticks(start: number, end: number, zone: string, most: number): number[] {
  const step = STEPS.find((s) => (end - start) / s <= most) ?? 7 * 24 * HOUR;
  const shift = offset(start, zone);
  const first = Math.ceil((start + shift) / step) * step - shift;
  const out: number[] = [];
  for (let t = first; t <= end; t += step) out.push(t);
  return out;
}
