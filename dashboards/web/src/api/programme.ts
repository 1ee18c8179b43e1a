// The shapes of the evaluator's and the region's answers: projects, criteria, maturity, region. Nothing is calculated here.

import type { Remark, Words } from "./types";

/** A word of a closed list with its code. */
export interface Coded extends Words {
  code: string;
}

/** An exact figure with the one text that page, sheet and workbook all show; `value` is for drawing only. */
export interface Figure {
  value: number;
  num: string;
  den: string;
  text: Words;
}

/** A figure between two bounds; any of the three may be unknown. */
export interface FigureRange {
  low: Figure | null;
  high: Figure | null;
  point: Figure | null;
}

export interface BoundedFigure extends FigureRange {
  reason: Remark | null;
}

/** One step of the programme's path with the day it was reached. */
export interface PathStep extends Coded {
  date: string | null;
}

export interface SiteName {
  id: string;
  name: string;
  name_en?: string | null;
}

/** How far the figures are worked out: `current`, `computing` (nothing yet) or `recomputing` (what is shown is as of `as_of`). */
export interface Progress extends Coded {
  percent: number;
}

export interface ProjectRow extends SiteName {
  code: string | null;
  level: Coded;
  site: SiteName;
  stage: PathStep | null;
  path: PathStep[];
  conclusion: Coded;
  /** Why, in a sentence. */
  conclusion_reason: Remark;
  counts: { pass: number; fail: number; insufficient: number };
  delivery: { lines: number; delivered: number };
  lowest_coverage: Figure | null;
  warnings: Remark[];
  registered: Words & { at: string; log_index: string; hash: string; in_time: boolean };
  changes: number;
  state: Progress;
  demo: boolean;
}

export interface Period {
  from: string;
  until: string;
  text: Words;
}

export interface DeliveredEquipment {
  id: string;
  /** null where the register has no such line. */
  name: string | null;
  model: string | null;
  serial: string | null;
  standing: Coded;
  work_unit: string | null;
  first_data: string | null;
  last_data: string | null;
  coverage: Figure | null;
}

export interface ContractLine {
  id: string;
  name: string;
  quantity: number;
  delivered: boolean;
  reason: Remark;
  equipment: DeliveredEquipment[];
}

/** A work unit's part in a measured figure; start and end name its window. */
export interface MeasuredPart extends SiteName {
  figure: BoundedFigure;
  coverage: Figure | null;
  start: string;
  end: string;
}

export interface Measured {
  from: string;
  until: string;
  figure: BoundedFigure;
  coverage: Figure | null;
  work_units: MeasuredPart[];
}

export interface Settle extends Coded {
  work_unit: string | null;
  tag: string | null;
  days: number | null;
}

export interface Change {
  at: string;
  author: string;
  reason: string | null;
  log_index: string;
  hash: string;
  what: Words;
  before: string;
  after: string;
  criterion: string | null;
}

export interface Criterion {
  id: string;
  indicator: Words & { id: string; version: number; unit: string; expression: string; source: string };
  work_units: SiteName[];
  direction: "up" | "down";
  target: Words & { kind: "absolute" | "points" | "percent"; text: Words; value: { value: number } };
  rule: Coded;
  coverage_minimum: Figure;
  before: Measured;
  after: Measured;
  points: FigureRange | null;
  relative: FigureRange | null;
  verdict: Coded;
  reason: Remark;
  settle: Settle[];
  meets_by_point: boolean | null;
  meets_by_lower_end: boolean | null;
  statistics: Words;
  changes: Change[];
}

export interface ProjectDetail extends Omit<ProjectRow, "changes"> {
  parties: { role: Coded; name: string; contact: string | null }[];
  go_live: string | null;
  baseline: Period;
  after: Period;
  contract_lines: ContractLine[];
  criteria: Criterion[];
  changes: Change[];
  versions: { hash: string; log_index: string; received: string; author: string }[];
  /** The signed head of the log; without a note it is the head as it stands. */
  checkpoint: { origin: string; size: string; root: string; note: string | null };
  as_of: string;
  software: string;
  definitions: Remark[];
}

/** Three states of being networked, always together and with their sum. */
export interface Networked extends Words {
  verified: number;
  declared: number;
  none: number;
  total: number;
}

/** A production figure of several sites added, or the reason why it is not published. */
export interface Aggregate {
  indicator: Words & { id: string; version: number };
  window: Words & { from: string | null; until: string | null };
  figure: FigureRange | null;
  sites: number;
  suppressed: Remark | null;
}

export interface Cluster {
  id: string;
  name: string;
  name_en?: string | null;
  kind: Coded;
  counties: string[];
  sites: string[];
  networked: Networked;
  projects: { by_stage: (Coded & { count: number })[] };
  figures: Aggregate[];
}

export interface RegionSite extends SiteName {
  uscc: string | null;
  industry: string | null;
  county: string | null;
  clusters: string[];
  stage: Coded | null;
  projects: (SiteName & { stage: Coded | null; conclusion: Coded })[];
  online: Coded;
  newest: string | null;
  networked: Networked;
  /** Of the site's last settled day. */
  coverage: Figure | null;
  coverage_day: string | null;
  contact: { name: string; phone: string | null } | null;
  work_units: number;
  demo: boolean;
}

export interface Region {
  as_of: string;
  minimum_sites: number;
  clusters: Cluster[];
  all: { figures: Aggregate[] };
  sites: RegionSite[];
}

export interface MaturityItem extends Words {
  id: string;
  group: Words;
  state: Coded;
  value: Words | null;
  /** The days that the value is of. */
  window: Words;
  coverage: Figure | null;
  would_settle: Words | null;
  source: Words;
}

export interface Maturity {
  profile: Words & { id: string; verified: boolean };
  score: null;
  level: null;
  reason: Remark;
  window: Words & { from: string; until: string };
  models: (Words & { id: string; items: MaturityItem[] })[];
}
