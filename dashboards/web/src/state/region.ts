// Which sites the region's table shows and in which order: filters by cluster, county and stage, and a sort. Pure.

import type { Networked, RegionSite } from "../api/programme";

export const COLUMNS = ["name", "stage", "online", "networked", "coverage", "newest"] as const;
export type Column = (typeof COLUMNS)[number];

/** The programme's path, in order. */
export const STAGE_ORDER = ["diagnosis", "incubation", "matching", "rebuilding", "acceptance", "promotion"];
/** What needs a call first. */
const ONLINE_ORDER = ["never", "silent", "online"];

export interface Arrangement {
  cluster: string;
  county: string;
  stage: string;
  sort: string;
  down: boolean;
}

/** The stage filter's word for sites without a project. */
export const NO_STAGE = "none";

export function isColumn(text: string): text is Column {
  return (COLUMNS as readonly string[]).includes(text);
}

/** The sites that pass the filters, sorted; without a sort they keep the order they came in. What is unknown comes last. */
export function arrange(sites: RegionSite[], a: Arrangement): RegionSite[] {
  const kept = sites.filter(
    (s) =>
      (a.cluster === "" || s.clusters.includes(a.cluster)) &&
      (a.county === "" || s.county === a.county) &&
      (a.stage === "" || (s.stage?.code ?? NO_STAGE) === a.stage),
  );
  const { sort } = a;
  if (!isColumn(sort)) return kept;
  const turn = a.down ? -1 : 1;
  return [...kept].sort((x, y) => {
    const [known, order] = compare(sort, x, y);
    return known ? turn * order : order;
  });
}

/** Whether both sides are known, and their order; an unknown side goes last whichever way the table is turned. */
function compare(column: Column, x: RegionSite, y: RegionSite): [boolean, number] {
  switch (column) {
    case "name":
      return [true, x.name.localeCompare(y.name, "zh-CN")];
    case "stage":
      return places(STAGE_ORDER.indexOf(x.stage?.code ?? ""), STAGE_ORDER.indexOf(y.stage?.code ?? ""));
    case "online":
      return places(ONLINE_ORDER.indexOf(x.online.code), ONLINE_ORDER.indexOf(y.online.code));
    case "networked":
      return shares(verified(x.networked), verified(y.networked));
    case "coverage":
      return shares(parts(x.coverage), parts(y.coverage));
    case "newest":
      return places(x.newest ? Date.parse(x.newest) : -1, y.newest ? Date.parse(y.newest) : -1);
  }
}

function places(a: number, b: number): [boolean, number] {
  if (a < 0 || b < 0) return [false, Number(a < 0) - Number(b < 0)];
  return [true, a - b];
}

type Share = [bigint, bigint] | null;

function shares(a: Share, b: Share): [boolean, number] {
  if (!a || !b) return [false, Number(!a) - Number(!b)];
  const [left, right] = [a[0] * b[1], b[0] * a[1]];
  return [true, left < right ? -1 : left > right ? 1 : 0];
}

function verified(n: Networked): Share {
  return n.total > 0 ? [BigInt(n.verified), BigInt(n.total)] : null;
}

function parts(f: { num: string; den: string } | null): Share {
  return f ? [BigInt(f.num), BigInt(f.den)] : null;
}
