// How judgements, standings and states of evidence look: a tone and a mark, so that none of them is told by colour alone.
// The words come from the collector.

export interface VerdictLook {
  tone: "ok" | "down" | "unknown" | "minor" | "planned" | "run";
  mark: "check" | "cross" | "question" | "box" | "clock" | "half" | "ring";
}

const LOOKS: Record<string, VerdictLook> = {
  pass: { tone: "ok", mark: "check" },
  fail: { tone: "down", mark: "cross" },
  insufficient: { tone: "unknown", mark: "question" },
  "delivery-incomplete": { tone: "minor", mark: "box" },
  "not-judged": { tone: "planned", mark: "clock" },
  computing: { tone: "planned", mark: "clock" },
  recomputing: { tone: "planned", mark: "clock" },
  online: { tone: "ok", mark: "check" },
  silent: { tone: "minor", mark: "clock" },
  never: { tone: "down", mark: "cross" },
  "never-online": { tone: "down", mark: "cross" },
  missing: { tone: "down", mark: "box" },
  declared: { tone: "minor", mark: "half" },
  measured: { tone: "ok", mark: "check" },
  attested: { tone: "minor", mark: "half" },
  unknown: { tone: "unknown", mark: "question" },
};

/** The look of a code; one that is not known looks like what it is, a question. */
export function verdictLook(code: string): VerdictLook {
  return LOOKS[code.replaceAll("_", "-")] ?? { tone: "unknown", mark: "question" };
}
