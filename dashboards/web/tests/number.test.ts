// Every digit on a page is decided by integers: rounding, bounds, missing values, signs.
import { describe, expect, it } from "vitest";
import type { BoundedRatio, Ratio } from "../src/api/types";
import { bytes, decimal, exact, integer, percent, plain, sampleValue, shownCount, shownCoverage, shownEnergy, shownRatio } from "../src/format/number";

const ratio = (num: number | string, den: number | string): Ratio => ({ value: Number(num) / Number(den), num: String(num), den: String(den) });
const between = (low: Ratio | null, high: Ratio | null, point: Ratio | null = null): BoundedRatio => ({ low, high, point, reason: null });

describe("decimal", () => {
  it("rounds half up, outward on request, and never through a float", () => {
    expect(decimal("13", "16", 3)).toBe("0.813");
    expect(decimal("13", "16", 3, "down")).toBe("0.812");
    expect(decimal("1", "3", 1, "up")).toBe("0.4");
    expect(decimal("1", "4", 2, "up")).toBe("0.25");
    expect(decimal("9007199254740993", "1", 0)).toBe("9\u202f007\u202f199\u202f254\u202f740\u202f993");
  });
  it("writes negative numbers with U+2212 and rounds them towards the named side", () => {
    expect(decimal("-1", "3", 2)).toBe("\u22120.33");
    expect(decimal("-1", "3", 2, "down")).toBe("\u22120.34");
    expect(decimal("-1", "3", 2, "up")).toBe("\u22120.33");
    expect(decimal("1", "-3", 2)).toBe("\u22120.33");
  });
  it("has a dash where the denominator is zero", () => expect(decimal("1", "0", 1)).toBe("\u2014"));
});

describe("ratios", () => {
  it("shows a point with one place", () => {
    const half = ratio(1, 2);
    expect(plain(shownRatio(between(half, half, half)))).toBe("50.0 %");
  });
  it("is not clipped above 100 %", () => expect(percent(ratio(21, 20))).toBe("105.0"));
  it("shows the value under the convention with bounds rounded outward", () => {
    const figure = between(ratio(75661, 100000), ratio(75689, 100000), ratio(7567, 10000));
    expect(plain(shownRatio(figure))).toBe("75.7 % [75.6, 75.7]");
  });
  it("leaves the bounds out where they agree, also when written differently", () => {
    expect(plain(shownRatio(between(ratio(1, 2), ratio(2, 4), ratio(1, 2))))).toBe("50.0 %");
    expect(plain(shownRatio(between(ratio(1, 2), ratio(2, 4))))).toBe("50.0 %");
  });
  it("marks bounds that are too far apart to leave out", () => {
    expect(shownRatio(between(ratio(60, 100), ratio(62, 100), ratio(60, 100)))).not.toHaveProperty("wide");
    expect(shownRatio(between(ratio(47, 100), ratio(82, 100), ratio(47, 100)))).toMatchObject({ wide: true });
    expect(shownRatio(between(ratio(7, 10), null, ratio(8, 10)))).toMatchObject({ wide: true });
  });
  it("shows only the bounds when there is no value: no middle is made up", () => {
    expect(plain(shownRatio(between(ratio(7124, 10000), ratio(8401, 10000))))).toBe("[71.2, 84.1] %");
  });
  it("says when the upper bound is open", () => {
    expect(plain(shownRatio(between(ratio(7, 10), null)))).toBe("≥ 70.0 %");
    expect(plain(shownRatio(between(ratio(7, 10), null, ratio(8, 10))))).toBe("80.0 % [70.0, \u2014]");
  });
  it("treats an upper bound beyond all sense as open, and keeps it for the title", () => {
    const figure = shownRatio(between(ratio(87, 1000), ratio(32120, 1)));
    expect(figure).toMatchObject({ kind: "open", low: "8.7" });
    expect(plain(figure)).toBe("[8.7, 3\u202f212\u202f000.0] %");
    expect(shownRatio(between(ratio(0, 1), ratio(23, 10)))).toMatchObject({ kind: "range", high: "230.0" });
  });
  it("keeps the reason of a missing value", () => {
    const reason = { code: "no-planned-time", zh: "没有计划忙碌时间", en: "no planned busy time" };
    expect(shownRatio({ low: null, high: null, point: null, reason })).toEqual({ kind: "missing", reason });
  });
  it("rounds coverage down, so that 100.0 % means all of it", () => {
    expect(plain(shownCoverage(ratio(99999, 100000)))).toBe("99.9 %");
    expect(plain(shownCoverage(ratio(1, 1)))).toBe("100.0 %");
  });
});

describe("counts, energy, values", () => {
  it("groups integers and shows a range when the counter leaves room", () => {
    expect(plain(shownCount({ low: 1234, high: 1234, point: 1234, exact: true, reason: null }))).toBe("1\u202f234");
    expect(plain(shownCount({ low: 0, high: 0, point: 0, exact: true, reason: null }))).toBe("0");
    expect(plain(shownCount({ low: 5, high: 9, point: null, exact: false, reason: null }))).toBe("5–9");
    expect(plain(shownCount({ low: 5, high: 9, point: 6, exact: false, reason: null }))).toBe("6 [5, 9]");
    expect(plain(shownCount({ low: 5, high: null, point: null, exact: false, reason: null }))).toBe("≥ 5");
    expect(integer("-1200")).toBe("\u22121\u202f200");
  });
  it("keeps the meter's places", () => {
    const e = { value: 12.3, text: "12.30", num: "1230", den: "100" };
    expect(plain(shownEnergy({ low: e, high: e, point: e, exact: true, unit: "kWh", reason: null }))).toBe("12.30 kWh");
    expect(exact({ value: 0.333, text: "1/3", num: "1", den: "3" })).toBe("0.333");
  });
  it("gives a meter's bounds no more places than the meter has, rounded outward", () => {
    const e = (num: string, den: string, text: string) => ({ value: Number(num) / Number(den), text, num, den });
    const point = e("2029", "100", "20.29");
    expect(plain(shownEnergy({ low: point, high: e("63870001", "3000000", "63870001/3000000"), point, exact: false, unit: "kWh", reason: null }))).toBe("20.29 kWh [20.29, 21.30]");
    const whole = e("17", "1", "17");
    expect(plain(shownEnergy({ low: whole, high: e("18000000655792", "1000000000000", "18.000000655792"), point: whole, exact: false, unit: "kWh", reason: null }))).toBe("17.00 kWh [17.00, 18.01]");
  });
  it("shows a sample's value with every digit it came with", () => {
    expect(sampleValue(-0.5, "-0.500")).toBe("\u22120.500");
    expect(sampleValue(true, null)).toBe("true");
    expect(sampleValue(null, null)).toBe("\u2014");
  });
  it("names bytes", () => expect([bytes(1023), bytes(6123)]).toEqual(["1023 B", "6.0 KiB"]));
});
