// The pure parts behind the pages: addresses, which window a preset means, the waterfall, the course of samples.
import { describe, expect, it } from "vitest";
import { address } from "../src/api/client";
import type { LeafCode, SampleRow, WindowDetail, WindowResult } from "../src/api/types";
import { seconds, takeApart } from "../src/format/formula";
import { course } from "../src/format/trend";
import { waterfall } from "../src/format/waterfall";
import { choose } from "../src/state/pick";
import { parseRoute, to } from "../src/state/route";

const MIN = 60_000;
const whole = (n: number) => ({ low: n, high: n, point: n, exact: true, reason: null });
const r = (num: number, den: number) => ({ value: num / den, num: String(num), den: String(den) });

function windowOf(time: Partial<Record<LeafCode, number>>, oee: [number, number, number], produced = 10, good = 10): WindowResult {
  const [low, high, den] = oee;
  return {
    start: "2026-11-25T00:00:00Z",
    end: "2026-11-25T08:00:00Z",
    time: Object.entries(time).map(([leaf, ms]) => ({ leaf: leaf as LeafCode, ms, ns: `${ms}000000`, zh: "", en: "" })),
    oee: { low: r(low, den), high: r(high, den), point: low === high ? r(low, den) : null, reason: null },
    counts: { produced: whole(produced), good: whole(good), scrap: whole(produced - good), steps: [] },
  } as unknown as WindowResult;
}

describe("addresses", () => {
  it("come back as they went", () => {
    const start = "2026-11-25T00:00:00Z";
    const link = to.window("s-1", "轴承/01", { start, end: "2026-11-25T08:00:00Z", kind: "shift" });
    expect(parseRoute(link)).toEqual({ page: "window", site: "s-1", unit: "轴承/01", start, end: "2026-11-25T08:00:00Z", kind: "shift", project: null });
    expect(parseRoute(to.samples("s", "u", "t", { from: "a", to: "b", window: "w" }))).toMatchObject({ page: "samples", from: "a", back: "w" });
  });
  it("that name nothing are lost, not errors", () => {
    for (const bad of ["#/nowhere", "#/unit/s", "#/window/a/b/c", "#/block", "#/unit/%E0%A4%A/x/y%"]) expect(["lost", "unit"]).toContain(parseRoute(bad).page);
    expect(parseRoute("").page).toBe("overview");
  });
  it("of the interface escape each part and leave out empty values", () => {
    expect(address(["sites", "a/b"], { from: "2026-11-25T08:00:00+08:00", to: null, after: "" })).toBe("api/v1/sites/a%2Fb?from=2026-11-25T08%3A00%3A00%2B08%3A00");
  });
});

describe("presets", () => {
  const w = (start: string, end: string) => ({ start: `2026-11-25T${start}:00:00Z`, end: `2026-11-25T${end}:00:00Z` }) as WindowResult;
  const list = [w("00", "04"), w("04", "08"), w("12", "16")];
  const at = (h: string) => Date.parse(`2026-11-25T${h}:00Z`);
  it("take the open window and the last closed one", () => {
    expect(choose("this", list, at("05:00"))?.start).toContain("T04");
    expect(choose("previous", list, at("05:00"))?.start).toContain("T00");
  });
  it("between shifts there is no current one, at an edge the new one is current", () => {
    expect(choose("this", list, at("09:00"))).toBeNull();
    expect(choose("previous", list, at("09:00"))?.start).toContain("T04");
    expect(choose("today", list, at("04:00"))?.start).toContain("T04");
    expect(choose("yesterday", [], at("04:00"))).toBeNull();
  });
});

describe("the waterfall", () => {
  it("steps down from the window to the good time without a rest", () => {
    // 480 min: 30 break, 450 planned; 50 down, 400 producing; OEE 300/450, 10 produced of which 9 good.
    const steps = waterfall(windowOf({ RUN: 400 * MIN, DOWN: 50 * MIN, BREAK: 30 * MIN }, [300, 300, 450], 10, 9));
    const of = (key: string) => steps.find((s) => s.key === key);
    expect(steps.map((s) => s.key)).toEqual(["window", "BREAK", "pbt", "DOWN", "apt", "speed", "quality", "good"]);
    expect([of("window"), of("pbt"), of("apt")].map((s) => s?.ms)).toEqual([480 * MIN, 450 * MIN, 400 * MIN]);
    const losses = steps.filter((s) => s.kind === "loss").reduce((sum, s) => sum + s.ms, 0);
    expect(losses + (of("good")?.ms ?? 0)).toBeCloseTo(480 * MIN, 3);
    expect(of("quality")?.ms).toBeCloseTo((300 / 9) * MIN, 3);
  });
  it("keeps speed and quality together where OEE has bounds", () => {
    const steps = waterfall(windowOf({ RUN: 400 * MIN, UNK: 80 * MIN }, [300, 360, 480]));
    expect(steps.map((s) => s.key)).toEqual(["window", "pbt", "UNK", "apt", "speed", "uncertain", "good"]);
    expect(steps.find((s) => s.key === "uncertain")?.ms).toBeCloseTo(60 * MIN, 3);
  });
  it("makes no gain of an upper bound while most of the time is unknown", () => {
    const steps = waterfall(windowOf({ RUN: 2 * MIN, UNK: 398 * MIN }, [30, 560, 400]));
    expect(steps.map((s) => s.key)).toEqual(["window", "pbt", "UNK", "apt", "uncertain", "good"]);
  });
  it("names a gain when pieces came faster than planned, and is empty without time", () => {
    const steps = waterfall(windowOf({ RUN: 400 * MIN }, [420, 420, 400]));
    expect(steps.find((s) => s.key === "speed")?.kind).toBe("gain");
    expect(waterfall(windowOf({}, [0, 0, 1]))).toEqual([]);
  });
});

describe("the course of samples", () => {
  const row = (s: number, value: number | null) => ({ at: `2026-11-25T00:00:0${s}Z`, value, quality: value === null ? "bad" : "good" }) as SampleRow;
  it("breaks at a bad sample instead of bridging it", () => {
    const c = course([row(0, 1), row(1, 2), row(2, null), row(3, 5)]);
    expect(c?.runs.map((run) => run.map(([, v]) => v))).toEqual([[1, 2], [5]]);
    expect([c?.min, c?.max, c?.bad.length]).toEqual([1, 5, 1]);
  });
  it("draws nothing from one number", () => expect(course([row(0, 1), row(1, null)])).toBeNull());
});

describe("a line of the calculation", () => {
  const window = {
    elements: [{ code: "PBT", ns: { point: "27000000000000" } }],
    availability: { low: r(21, 27), high: r(22, 27), point: r(21600, 27000), reason: null },
  } as unknown as WindowDetail;
  const line = (code: string, expression: string, num: string | null, den: string | null) =>
    takeApart({ code, zh: "", en: "", expression, unit: "", num, den, value: null }, window);
  it("comes apart into definition, numbers and result", () => {
    expect(line("PBT", "PBT = POT - PDOT = 28800 s - 1800 s = 27000 s", "27000000000000", "1")).toEqual({
      definition: "POT \u2212 PDOT",
      numbers: "28800 s \u2212 1800 s",
      result: { text: "27000 s" },
    });
    expect(line("APT", "APT = RUN = 21600 s", "21600000000000", "1")).toEqual({ definition: "RUN", numbers: "", result: { text: "21600 s" } });
  });
  it("shows times in seconds and the figure with its bounds", () => {
    const got = line("availability", "APT / PBT = 21600000000000 / 27000000000000 = 4/5", "21600000000000", "27000000000000");
    expect([got.definition, got.numbers]).toEqual(["APT / PBT", "21600 s / 27000 s"]);
    expect(got.result).toEqual({ ratio: { kind: "value", value: "80.0", unit: "%", low: "77.7", high: "81.5", wide: true } });
    expect(line("availability", "APT / PBT = 4 / 5 = 4/5", "4", "5").numbers).toBe("4 / 5");
  });
  it("knows a time also from the other lines, as where each product has its own planned time", () => {
    const ideal = { code: "M", zh: "", en: "", expression: "M = \u03a3 PRI\u00b7PQ = 27 s", unit: "ns", num: "27000000000", den: "1", value: null };
    const quality = { ...ideal, code: "availability", expression: "GQ / PQ = 26000000000 / 27000000000 = 26/27", unit: "", num: "26000000000", den: "27000000000" };
    expect(takeApart(quality, { ...window, formula: [ideal] }).numbers).toBe("26 s / 27 s");
  });
  it("shows a dash, never a question mark, for a number that is not known", () => {
    expect(line("M", "M = \u03a3 PRI\u00b7PQ = 11 s \u00d7 1 + ? s \u00d7 ? = ?", null, null)).toMatchObject({ numbers: "", result: { text: "\u2014" } });
  });
  it("keeps every digit of a nanosecond", () => expect(seconds("1000000001")).toBe("1.000000001 s"));
});
