// The shapes of the collector's HTTP API, version 1, as this application reads them. Nothing is calculated here.

/** A text in both languages, chosen by the reader's language on the page. */
export interface Words {
  zh: string;
  en: string;
}

/** A note or reason with a searchable code. */
export interface Remark extends Words {
  code: string;
}

/** An exact ratio; `value` is the shortest decimal of num/den, for drawing only. */
export interface Ratio {
  value: number;
  num: string;
  den: string;
}

/** A ratio between two bounds with its value under the convention that a state holds until the next sample (`point`).
    `high` null with `low` present is open above; all null means `reason` says why. */
export interface BoundedRatio {
  low: Ratio | null;
  high: Ratio | null;
  point: Ratio | null;
  reason: Remark | null;
}

/** A whole number known between two bounds; `high` null with `low` present is open above. */
export interface Count {
  low: number | null;
  high: number | null;
  point: number | null;
  exact: boolean;
  reason: Remark | null;
}

/** An exact rational with its decimal text ("617/50" where the decimal does not end). */
export interface Exact {
  value: number;
  text: string;
  num: string;
  den: string;
}

/** An amount of energy known between two bounds. */
export interface Energy {
  low: Exact | null;
  high: Exact | null;
  point: Exact | null;
  exact: boolean;
  unit: string;
  reason: Remark | null;
}

/** An interval [start, end) in RFC 3339 UTC. */
export interface Span {
  start: string;
  end: string;
}

/** The eleven leaf categories of the time ledger. */
export type LeafCode = "RUN" | "MICRO" | "DOWN" | "EXT" | "SETUP" | "PM" | "IDLE" | "BREAK" | "OFF" | "ENG" | "UNK";

export interface Overview {
  now: string;
  software: string;
  demo: boolean;
  sites: number;
  work_units: number;
  agents: number;
  log_size: string;
  empty: (Remark & { what_next: Words }) | null;
}

export interface Site {
  id: string;
  name: string;
  name_en?: string | null;
  time_zone: string;
  county: string | null;
  uscc?: string | null;
  industry?: string | null;
  work_units?: number;
  demo: boolean;
  now: string;
  business_date?: string | null;
  tz_version?: string | null;
}

export interface Factors {
  oee: BoundedRatio;
  availability: BoundedRatio;
  effectiveness: BoundedRatio;
  quality_ratio: BoundedRatio;
}

export interface WorkUnit extends Factors {
  id: string;
  name: string;
  name_en?: string | null;
  work_center: { id: string; name: string } | null;
  area?: { id: string; name: string } | null;
  protocol: string | null;
  state: (Words & { leaf: LeafCode; since: string | null; since_ms: number | null; cause: Remark | null }) | null;
  newest_sample: { time: string; age_ms: number; received_time: string; lag_ms: number } | null;
  shift: { id: string; name: string; name_en?: string | null; business_date: string; window: Span } | null;
  window: Span & { kind: WindowKind };
  coverage: Ratio | null;
  produced: Count;
  good: Count;
  scrap: Count;
  energy_kwh: Energy;
  window_state: WindowState;
  demo: boolean;
  remarks: Remark[];
}

export interface WorkUnitDetail extends WorkUnit {
  roles: {
    role: string;
    tag: string;
    unit: string | null;
    section: string | null;
    place: string | null;
    data_type: string | null;
    origin: string | null;
  }[];
  state_rule: Versioned;
  ideal_cycles: { product: string; from: string | null; seconds_per_item: Exact }[];
  bindings: { agent: string; from: string | null; until: string | null }[];
  micro_stop_ms: number | null;
  profile: Versioned;
}

export interface Versioned {
  id: string;
  version: string;
}

export type WindowKind = "hour" | "shift" | "day" | "custom" | "span";
export type WindowState = "live" | "provisional" | "settled" | "restated";

export interface WindowResult extends Factors, Span {
  site: string;
  work_unit: string;
  kind: WindowKind;
  label: Words;
  shift: string | null;
  business_date: string | null;
  evaluated_until: string;
  state: WindowState;
  version: number;
  restates: { version: number; data_version: string; cause: Remark & { blocks?: string[] }; at: string } | null;
  time: (Words & { leaf: LeafCode; ns: string; ms: number; low: { ms: number }; high: { ms: number } })[];
  elements: (Words & { code: string; ns: { point: string }; ms: { low: number; high: number; point: number } })[];
  counts: { produced: Count; good: Count; scrap: Count; steps: (Words & { class: string; count: number })[] };
  energy: Energy;
  micro_stops: number;
  coverage: Ratio | null;
  remarks: Remark[];
  definition: Versioned;
  profile: Versioned;
  state_rule: Versioned;
  tz_version: string;
  data_version: string;
  plant: string;
  demo: boolean;
}

export interface BlockRef {
  hash: string;
  log_index: string;
  sequence: string;
  agent: string;
}

export interface WindowDetail extends WindowResult {
  inputs: {
    tag: string;
    role: string;
    samples: number;
    /** Good or uncertain ones. */
    good: number;
    bad: number;
    first: string | null;
    last: string | null;
    blocks: number;
  }[];
  formula: (Words & {
    code: string;
    /** In symbols, then with the numbers put in: "APT / PBT = 21600 s / 27000 s". */
    expression: string;
    unit: string;
    num: string | null;
    den: string | null;
    value: number | null;
  })[];
  blocks: { count: number; first: BlockRef; last: BlockRef } | null;
  versions: { version: number; state: WindowState; data_version: string; at: string; cause: Remark | null }[];
}

export interface Planned extends Span, Words {
  kind: string;
  shift: string | null;
}

export interface Segment extends Span, Words {
  leaf: LeafCode;
  cause: Remark | null;
  /** Not decided before the stop ends. */
  provisional: boolean;
}

export interface Timeline extends Span {
  planned: Planned[];
  segments: Segment[];
}

export interface SampleRow {
  at: string;
  source_time: string | null;
  observed_time: string;
  request_time: string | null;
  received_time: string;
  value: number | boolean | string | null;
  exact: string | null;
  unit: string;
  quality: "good" | "uncertain" | "bad";
  status: string;
  status_code: number;
  raw_hex: string | null;
  words: string[];
  place: string;
  by: string;
  block_hash: string;
  log_index: string;
  agent: string;
  epoch: string;
  sequence: string;
}

export interface Block {
  hash: string;
  log_index: string;
  received_time: string;
  leaf_hash: string;
  size: number;
  chain_ok: boolean | null;
  header: {
    format: number;
    site: string;
    agent: string;
    epoch: string;
    sequence: string;
    prev_block_hash: string;
    config_hash: string;
    plan_hash: string | null;
    software: string;
    boot_id: string;
    window: Span;
    clock: unknown;
    first_sample: string;
    sample_count: string;
    quality_counts: { good: string; uncertain: string; bad: string };
    drops: Record<string, string>;
    gaps: (Words & { kind: string; sequences: [string, string] | null; interval: Span | null; detail: string })[];
    marks: string[];
  };
  signature: { key_id: string; valid: boolean | null; public_key: string | null; reason: Remark | null };
  sections: {
    name: string;
    bytes: number;
    inflated_bytes: number;
    hash: string;
    hash_ok: boolean;
    groups: { kind: string; source: string; rows: number; tags: string[] }[];
  }[];
}

export interface Equipment extends Words {
  id: string;
  name: string;
  name_en?: string | null;
  model: string | null;
  serial: string | null;
  key_process: boolean;
  contract_line: string | null;
  /** By the register and by what arrives here; `registered` is what the register says, `remark` why the two differ. */
  networked: "verified" | "declared" | "none";
  registered?: string;
  /** The other system that it is networked with. */
  system?: string | null;
  remark?: Remark | null;
  attested_by: string | null;
  attested_at: string | null;
  work_unit: string | null;
  first_data: string | null;
  last_data: string | null;
}

export interface Agent {
  site: string;
  agent: string;
  online: boolean | null;
  epoch: string;
  contiguous: string;
  beyond: [string, string][];
  newest_block_time: string | null;
  missing: string;
  unaccounted_gap_seconds: number;
  alarms: Remark[];
  marks: string[];
  software: string | null;
}

export interface LogState {
  origin: string;
  size: string;
  root: string;
  checkpoint: string | null;
}
