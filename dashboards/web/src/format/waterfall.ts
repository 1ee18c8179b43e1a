// The loss waterfall of a window: from the window to the time of good pieces, level by level. It only re-arranges what
// the collector worked out: leaf times, and OEE × base as the time of good pieces. Lengths are milliseconds, for drawing.

import type { LeafCode, WindowResult } from "../api/types";
import { LEAF_ORDER, LEAVES } from "../state/leaf";

export interface Step {
  key: LeafCode | "window" | "pbt" | "apt" | "speed" | "quality" | "good" | "uncertain";
  kind: "level" | "loss" | "uncertain" | "gain";
  /** Where the bar begins and ends on the scale from 0 to the window's length. */
  from: number;
  to: number;
  ms: number;
}

/** The steps in drawing order; empty when the window has no time yet. */
export function waterfall(w: WindowResult): Step[] {
  const ms = new Map(w.time.map((row) => [row.leaf, row.ms]));
  const total = w.time.reduce((sum, row) => sum + row.ms, 0);
  if (total === 0) return [];
  const steps: Step[] = [level("window", total)];
  let height = total;
  const lose = (leaf: LeafCode): void => {
    const cost = ms.get(leaf) ?? 0;
    if (cost === 0) return;
    steps.push({ key: leaf, kind: leaf === "UNK" ? "uncertain" : "loss", from: height - cost, to: height, ms: cost });
    height -= cost;
  };
  LEAF_ORDER.filter((leaf) => LEAVES[leaf].excluded).forEach(lose);
  const base = height;
  steps.push(level("pbt", base));
  LEAF_ORDER.filter((leaf) => !LEAVES[leaf].excluded && leaf !== "RUN").forEach(lose);
  steps.push(level("apt", height));
  return [...steps, ...pieces(w, base, height)];
}

/** Below the production time: speed and quality where OEE and counts have a value, else together in the bounds. */
function pieces(w: WindowResult, base: number, apt: number): Step[] {
  const { produced, good } = w.counts;
  if (w.oee.point && produced.point && good.point) {
    const time = w.oee.point.value * base;
    const net = (time * produced.point) / good.point;
    return [...between("speed", net, apt), ...between("quality", time, net), level("good", time)];
  }
  if (!w.oee.low || !w.oee.high) return [];
  const [low, high] = [w.oee.low.value * base, w.oee.high.value * base];
  const open: Step = { key: "uncertain", kind: "uncertain", from: low, to: high, ms: high - low };
  // With high above the production time the speed is unknown as well: no step of its own, and no gain made of a bound.
  return [...(high < apt ? between("speed", high, apt) : []), open, level("good", low)];
}

function between(key: "speed" | "quality", lower: number, upper: number): Step[] {
  const ms = upper - lower;
  if (Math.abs(ms) < 500) return [];
  if (ms > 0) return [{ key, kind: "loss", from: lower, to: upper, ms }];
  return [{ key, kind: "gain", from: upper, to: lower, ms: -ms }];
}

function level(key: Step["key"], ms: number): Step {
  return { key, kind: "level", from: 0, to: ms, ms };
}
