// One line of a calculation taken apart for the page: what it is by definition, with the numbers put in, and its result.
// The collector writes "PBT = POT - PDOT = 28800 s - 1800 s = 27000 s" or "APT / PBT = <ns> / <ns> = 4/5". Pure.

import type { BoundedRatio, WindowDetail } from "../api/types";
import { GROUP, MINUS, MISSING, decimal, shownRatio, type Shown } from "./number";

export interface Line {
  definition: string;
  /** With the numbers put in; empty where the definition is a measured thing. */
  numbers: string;
  result: { text: string } | { ratio: Shown };
}

const RATIOS = ["oee", "availability", "effectiveness", "quality_ratio"] as const;
type RatioCode = (typeof RATIOS)[number];

export function isRatio(code: string): code is RatioCode {
  return (RATIOS as readonly string[]).includes(code);
}

/** The parts of one line of a window's formula. */
export function takeApart(line: WindowDetail["formula"][number], window: WindowDetail): Line {
  const parts = line.expression.replaceAll(" - ", ` ${MINUS} `).split(" = ");
  if (parts[0] === line.code) parts.shift();
  const definition = parts[0] ?? "";
  if (isRatio(line.code)) {
    const ratio: BoundedRatio = window[line.code];
    return { definition, numbers: ratioNumbers(line, window), result: { ratio: shownRatio(ratio) } };
  }
  if (parts.length < 2) return { definition, numbers: "", result: { text: "" } };
  const [numbers, result] = [parts.slice(1, -1).join(" = "), parts[parts.length - 1] ?? ""];
  return { definition, numbers: numbers.includes("?") ? "" : numbers, result: { text: result === "?" ? MISSING : result } };
}

/** Numerator and denominator as counted: times in seconds where the denominator is a time of the window, else as they are. */
function ratioNumbers(line: WindowDetail["formula"][number], window: WindowDetail): string {
  if (line.num === null || line.den === null) return "";
  const times = [...window.elements.map((e) => e.ns.point), ...(window.formula ?? []).filter((l) => l.unit === "ns").map((l) => l.num)];
  const write = times.includes(line.den) ? seconds : (n: string) => n;
  return `${write(line.num)} / ${write(line.den)}`;
}

/** Nanoseconds as seconds with every digit that matters. */
export function seconds(ns: string): string {
  const text = decimal(ns, "1000000000", 9).replaceAll(GROUP, "");
  return `${text.replace(/\.?0+$/, "")} s`;
}
