// The pure parts behind the evaluator's and the region's pages: the dumbbell's places, texts, filters and sorting, doors.
import { describe, expect, it } from "vitest";
import type { Criterion, Figure, FigureRange, Networked, RegionSite } from "../src/api/programme";
import { dumbbell, inside, lengthOf, roundTicks, tickText } from "../src/format/dumbbell";
import { exactly, figureText, headText, rangeText } from "../src/format/programme";
import { arrange, NO_STAGE, type Arrangement } from "../src/state/region";
import { areaOf, parseRoute, to } from "../src/state/route";
import { verdictLook } from "../src/state/verdict";

const figure = (num: number, den: number, text = `${num}/${den}`): Figure => ({ value: num / den, num: String(num), den: String(den), text: { zh: text, en: text } });
const range = (low: number, point: number, high: number): FigureRange => ({ low: figure(low, 100), point: figure(point, 100), high: figure(high, 100) });
const none: FigureRange = { low: null, point: null, high: null };
const zh = (words: { zh: string }) => words.zh;

function criterion(kind: Criterion["target"]["kind"], value: number, direction: "up" | "down", before: FigureRange, after: FigureRange): Criterion {
  return { target: { kind, value: { value } }, direction, before: { figure: before }, after: { figure: after } } as unknown as Criterion;
}

describe("the dumbbell", () => {
  it("puts a target of points that far above the value before, one of per cent below it where less is better", () => {
    expect(dumbbell(criterion("points", 3, "up", range(60, 61, 62), range(65, 66, 67)))?.target).toBeCloseTo(0.64, 12);
    expect(dumbbell(criterion("percent", 5, "down", range(40, 40, 40), range(36, 37, 38)))?.target).toBeCloseTo(0.38, 12);
    expect(dumbbell(criterion("absolute", 0.65, "up", range(60, 61, 62), none))?.target).toBe(0.65);
  });
  it("holds every value, bound and the target inside its scale", () => {
    const d = dumbbell(criterion("points", 30, "up", range(60, 61, 62), range(65, 66, 67)));
    for (const v of [0.6, 0.67, d?.target ?? 0]) expect([v >= (d?.from ?? 1), v <= (d?.to ?? 0)]).toEqual([true, true]);
  });
  it("has no scale below zero for what is nowhere negative", () => {
    expect(dumbbell(criterion("absolute", 0.1, "up", range(0, 0, 0), none))?.from).toBe(0);
    expect(dumbbell(criterion("absolute", 0.1, "up", range(-5, 0, 0), none))?.from).toBeLessThan(-0.05);
  });
  it("draws no target from nothing, and nothing at all without a value", () => {
    expect(dumbbell(criterion("points", 3, "up", none, range(65, 66, 67)))).toMatchObject({ before: null, target: null });
    expect(dumbbell(criterion("absolute", 0.65, "up", none, none))).toBeNull();
  });
  it("keeps a scale where both windows came to the same", () => {
    const d = dumbbell(criterion("points", 0, "up", range(60, 60, 60), range(60, 60, 60)));
    expect((d?.to ?? 0) - (d?.from ?? 0)).toBeGreaterThan(0);
  });
  it("keeps the target's label inside the picture", () => {
    expect([lengthOf("目标: 3"), inside(100, 60, 300), inside(10, 60, 300), inside(290, 60, 300), inside(50, 400, 300)]).toEqual([46.5, 70, 0, 240, 0]);
  });
  it("has round ticks with the places that their neighbours need", () => {
    expect(roundTicks(0.598, 0.677)).toEqual([0.6, 0.62, 0.64, 0.66]);
    expect(roundTicks(0.5, 0.5)).toEqual([]);
    expect(tickText(0.62, [0.6, 0.62], true)).toBe("62 %");
    expect(tickText(0.615, [0.61, 0.615], true)).toBe("61.5 %");
    expect(tickText(-0.05, [-0.05, 0], false)).toBe("\u22120.05");
  });
});

describe("the collector's texts", () => {
  it("are shown as they are, a dash where there is none", () => {
    expect(figureText(figure(6112, 10000, "61.12 %"), zh)).toBe("61.12 %");
    expect(figureText(null, zh)).toBe("\u2014");
    const [low, high] = [figure(1, 4, "25.00 %"), figure(1, 2, "50.00 %")];
    expect(rangeText({ low, point: null, high: null }, zh)).toBe("\u2265 25.00 %");
    expect(rangeText({ low, point: null, high }, zh)).toBe("[25.00 %, 50.00 %]");
    expect(rangeText({ low, point: low, high }, zh)).toBe("25.00 % [25.00 %, 50.00 %]");
    expect(rangeText({ low, point: low, high: null }, zh)).toBe("25.00 % [25.00 %, \u2014]");
    expect(rangeText({ low, point: low, high: low }, zh)).toBe("25.00 %");
    expect(headText({ low, point: low, high }, zh)).toBe("25.00 %");
    expect([rangeText(none, zh), rangeText(null, zh)]).toEqual(["\u2014", "\u2014"]);
  });
  it("know when bounds are the value itself, also when written differently", () => {
    expect(exactly({ low: figure(1, 2), point: figure(1, 2), high: figure(2, 4) })).toBe(true);
    expect(exactly({ low: figure(1, 2), point: figure(1, 2), high: figure(3, 4) })).toBe(false);
    expect(exactly(null)).toBe(false);
  });
});

describe("the region's table", () => {
  const net = (verified: number, total: number): Networked => ({ verified, declared: 0, none: total - verified, total, zh: "", en: "" });
  const site = (id: string, more: Partial<RegionSite>): RegionSite =>
    ({ id, name: id, clusters: ["c"], county: "x", stage: null, online: { code: "online", zh: "", en: "" }, networked: net(1, 3), coverage: null, newest: null, ...more }) as RegionSite;
  const all = [
    site("a", { networked: net(1, 3), coverage: figure(95, 100), stage: { code: "promotion", zh: "", en: "" }, newest: "2026-11-25T08:00:00Z" }),
    site("b", { networked: net(2, 3), county: "y", online: { code: "never", zh: "", en: "" } }),
    site("c", { networked: net(2, 7), clusters: [], coverage: figure(94, 100), stage: { code: "diagnosis", zh: "", en: "" }, newest: "2026-11-25T07:59:59Z" }),
  ];
  const ids = (a: Partial<Arrangement>) => arrange(all, { cluster: "", county: "", stage: "", sort: "", down: false, ...a }).map((s) => s.id).join("");
  it("filters by cluster, county and stage, and by having none", () => {
    expect([ids({}), ids({ cluster: "c" }), ids({ county: "y" }), ids({ stage: "promotion" }), ids({ stage: NO_STAGE })]).toEqual(["abc", "ab", "b", "a", "b"]);
  });
  it("sorts shares exactly and keeps what is unknown last, whichever way", () => {
    expect([ids({ sort: "networked" }), ids({ sort: "networked", down: true })]).toEqual(["cab", "bac"]);
    expect([ids({ sort: "coverage" }), ids({ sort: "coverage", down: true })]).toEqual(["cab", "acb"]);
    expect([ids({ sort: "stage" }), ids({ sort: "stage", down: true }), ids({ sort: "newest" })]).toEqual(["cab", "acb", "cab"]);
    expect([ids({ sort: "online" }), ids({ sort: "nonsense" })]).toEqual(["bac", "abc"]);
  });
});

describe("the three doors", () => {
  it("open for their own pages; what was opened from a project stays with the evaluator", () => {
    const area = (hash: string) => areaOf(parseRoute(hash));
    expect([area("#/"), area("#/agents"), area(to.projects()), area(to.maturity("s")), area(to.region({ stage: "matching" }))]).toEqual(["factory", "factory", "expert", "expert", "region"]);
    const w = { start: "a", end: "b", kind: "span" };
    expect([area(to.window("s", "u", w)), area(to.window("s", "u", { ...w, project: "p" })), area(to.block("h", { project: "p" }))]).toEqual(["factory", "expert", "expert"]);
  });
  it("keep a filtered region in the address", () => {
    expect(parseRoute(to.region({ cluster: "新昌", stage: "matching", sort: "coverage", order: "down" }))).toEqual({ page: "region", cluster: "新昌", county: "", stage: "matching", sort: "coverage", down: true });
    expect(parseRoute("#/project")).toEqual({ page: "lost" });
  });
});

it("a code that is not known looks like a question, never like a pass", () => {
  expect([verdictLook("brand-new"), verdictLook("delivery_incomplete").mark]).toEqual([{ tone: "unknown", mark: "question" }, "box"]);
});
