// The course of a page of samples as dots and runs on a plane: bad samples break the run, nothing is interpolated. Pure.

import type { SampleRow } from "../api/types";

export interface Course {
  n: number;
  min: number;
  max: number;
  from: number;
  to: number;
  /** Runs of good or uncertain samples without a bad one between: [time in ms, value]. */
  runs: [number, number][][];
  /** Times of bad samples. */
  bad: number[];
}

/** The course of numeric or boolean samples; null when fewer than two can be drawn. */
export function course(rows: SampleRow[]): Course | null {
  const runs: [number, number][][] = [[]];
  const bad: number[] = [];
  for (const row of rows) {
    const at = Date.parse(row.at);
    const value = typeof row.value === "boolean" ? Number(row.value) : row.value;
    if (row.quality === "bad" || typeof value !== "number") {
      bad.push(at);
      runs.push([]);
    } else runs[runs.length - 1]?.push([at, value]);
  }
  const points = runs.flat();
  if (points.length < 2) return null;
  const [values, times] = [points.map(([, v]) => v), rows.map((r) => Date.parse(r.at))];
  return {
    n: points.length,
    min: Math.min(...values),
    max: Math.max(...values),
    from: Math.min(...times),
    to: Math.max(...times),
    runs: runs.filter((r) => r.length > 0),
    bad,
  };
}
