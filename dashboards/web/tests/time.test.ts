// Instants in the site's zone, durations, ages, and wall times across a clock change.
import { describe, expect, it } from "vitest";
import { age, clock, duration, fromLocal, ledger, ledgerBounds, span, stamp, ticks, toLocal } from "../src/format/time";

const SHANGHAI = "Asia/Shanghai";

describe("instants", () => {
  it("are shown in the site's zone, with the fraction they came with", () => {
    expect(stamp("2026-11-25T05:59:50.123456789Z", SHANGHAI)).toBe("2026-11-25 13:59:50.123456789");
    expect(clock("2026-11-25T16:00:00Z", SHANGHAI)).toBe("00:00:00");
  });
  it("span one date, end at 24:00, or name both dates", () => {
    expect(span("2026-11-25T00:00:00Z", "2026-11-25T08:00:00Z", SHANGHAI)).toBe("2026-11-25 08:00 – 16:00");
    expect(span("2026-11-24T16:00:00Z", "2026-11-25T16:00:00Z", SHANGHAI)).toBe("2026-11-25 00:00 – 24:00");
    expect(span("2026-11-25T14:00:00Z", "2026-11-25T22:00:00Z", SHANGHAI)).toBe("2026-11-25 22:00 – 2026-11-26 06:00");
  });
  it("go from a wall time to UTC and back, across a clock change", () => {
    expect(fromLocal("2026-11-25T08:00", SHANGHAI)).toBe("2026-11-25T00:00:00Z");
    expect(fromLocal("2026-03-29T03:30", "Europe/Berlin")).toBe("2026-03-29T01:30:00Z");
    expect(toLocal("2026-03-29T01:30:00Z", "Europe/Berlin")).toBe("2026-03-29T03:30");
    expect(fromLocal("soon", SHANGHAI)).toBeNull();
  });
  it("make round ticks of the wall clock", () => {
    const start = Date.parse("2026-11-25T00:10:00Z");
    const made = ticks(start, start + 8 * 3_600_000, SHANGHAI, 10);
    expect(made.map((t) => clock(t, SHANGHAI))).toEqual(["09", "10", "11", "12", "13", "14", "15", "16"].map((h) => `${h}:00:00`));
  });
});

describe("lengths", () => {
  it("use two units at most", () => {
    expect([0, 350, 45_000, 750_000, 3_600_000, 22_320_000].map(duration)).toEqual(["0 s", "350 ms", "45 s", "12 min 30 s", "1 h", "6 h 12 min"]);
    expect(duration(-45_000)).toBe("\u221245 s");
  });
  it("add up before the eye in the ledger; bounds are rounded outward", () => {
    expect([ledger(22_350_000), ledger(1_500)]).toEqual(["6:12:30", "0:00:01.500"]);
    expect(ledgerBounds(1_500, 61_001)).toBe("[0:00:01, 0:01:02]");
  });
  it("age in s, min, h, d", () => {
    expect([0, 59_999, 60_000, 7_200_000, 200_000_000].map((ms) => Object.values(age(ms)).join(" "))).toEqual(["0 s", "59 s", "1 min", "2 h", "2 d"]);
  });
});
