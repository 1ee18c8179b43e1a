// The canned answers of the fixture server. The numbers of one window hang together (leaves add up, A × E × Q = OEE), so
// that the pages can be looked at; they are made up from a small generator and stand for nothing.
//
// Texts are as long as real ones get (names in brackets, OPC UA places, nanosecond bounds, reasons), because layouts break
// on those: press-01 counts no scrap, lathe-01 reports its state as text, loom-01 runs faster than planned, loom-02 has an
// open bound, grinder-03 one beyond all sense, and before NO_DATA_DAYS nothing was measured.

import { programme, SITE_NAMES } from "./fixture-programme.mjs";

const HOUR = 3_600_000;
const ZONE_SHIFT = 8 * HOUR;
const NO_DATA_DAYS = 2;
const SITE = "shengzhou-demo";
const LEAVES = {
  RUN: ["生产", "Producing"],
  MICRO: ["短暂停机", "Minor stop"],
  DOWN: ["故障停机", "Down"],
  EXT: ["外因等待", "Waiting"],
  SETUP: ["换型调整", "Setup"],
  PM: ["计划维护", "Planned maintenance"],
  IDLE: ["无任务", "No order"],
  BREAK: ["休息", "Break"],
  OFF: ["非班次时间", "Off shift"],
  ENG: ["试制调试", "Trial"],
  UNK: ["数据缺失", "Unknown"],
};
const CAUSES = { DOWN: { code: "fault-17", zh: "主轴过载", en: "spindle overload" }, EXT: { code: "starved", zh: "缺料", en: "starved" } };
const UNITS = [
  unit("grinder-01", "轴承磨床 01", "Bearing grinder 01", "磨加工一线", "modbus-tcp", "RUN", 1),
  unit("grinder-02", "轴承磨床 02", "Bearing grinder 02", "磨加工一线", "modbus-tcp", "DOWN", 2),
  unit("grinder-03", "轴承磨床 03", "Bearing grinder 03", "磨加工一线", "modbus-tcp", "UNK", 3),
  unit("moulder-01", "注塑机 01", "Injection moulder 01", "注塑二线", "opc-ua", "RUN", 4),
  unit("loom-01", "喷水织机 01", "Water-jet loom 01", "织造三线", "modbus-tcp", "MICRO", 5),
  unit("loom-02", "喷水织机 02", "Water-jet loom 02", "织造三线", "modbus-tcp", "RUN", 6),
  unit("lathe-01", "数控车床 01", "CNC lathe 01", "车加工四线", "opc-ua", "SETUP", 7),
  unit("press-01", "冲床（加装采集模块）", "Punch press with retrofitted digital inputs", "冲压五线", "modbus-tcp", "EXT", 8),
];

function unit(id, name, name_en, center, protocol, leaf, seed) {
  return { id, name, name_en, center, protocol, leaf, seed };
}

/** The answer to one request: status, body, headers. */
export function answers(url, mode, now) {
  const parts = url.pathname.split("/").slice(3).map(decodeURIComponent);
  if (mode === "error" && parts[0] !== "sites" && parts[0] !== "overview") return refuse(503, "E-2503", "数据库正忙", "the database is busy");
  if (mode === "error" && ["work-units", "maturity"].includes(parts[2])) return refuse(503, "E-2503", "数据库正忙", "the database is busy");
  const q = url.searchParams;
  if (parts.at(-1).endsWith(".xlsx") || parts[2] === "sheet") return { status: 200, body: Buffer.from("made up") };
  const theirs = programme(parts, mode, now);
  if (theirs) return ok(theirs);
  switch (parts[0]) {
    case "overview":
      return ok(overview(mode, now));
    case "sites":
      return parts.length === 1 ? ok(mode === "empty" ? [] : siteList(now)) : site(parts.slice(1), q, mode, now);
    case "blocks":
      if (parts[2] === "bytes") return { status: 200, body: Buffer.from("PLUMB fixture") };
      return ok(block(parts[1], now));
    case "agents":
      return ok(mode === "empty" ? [] : agents(now));
    case "log":
      return ok({ origin: "plumbline.example/fixture", size: "48213", root: hash("root"), checkpoint: `plumbline.example/fixture\n48213\n${hash("root").slice(0, 43)}=\n\n— plumbline.example ${hash("sig")}\n` });
    default:
      return refuse(404, "E-2404", "没有这个资源", "there is no such resource");
  }
}

const ok = (body, headers = {}) => ({ status: 200, body, headers });
const iso = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");
const say = (leaf) => ({ zh: LEAVES[leaf][0], en: LEAVES[leaf][1] });
const refuse = (status, code, zh, en) => ({
  status,
  body: { error: { code, message: zh, zh, en, what_next: { zh: "稍后重试; 看 plumbline-collector doctor", en: "try again later; see plumbline-collector doctor" } } },
});

function hash(text) {
  let out = "";
  for (let i = 0; out.length < 64; i++) out += random(`${text}${i}`)().toString(16).slice(2, 10).padEnd(8, "0");
  return out.slice(0, 64);
}

/** A small seeded generator (mulberry32 over a string hash). */
function random(text) {
  let a = [...String(text)].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 16777619), 2166136261);
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let x = Math.imul(a ^ (a >>> 15), 1 | a);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

function overview(mode, now) {
  const next = { zh: "运行 plumbline-collector import plant.toml", en: "run plumbline-collector import plant.toml" };
  const empty = mode === "empty" ? { code: "no-plant", zh: "还没有工厂模型", en: "no plant has been imported yet", what_next: next } : null;
  return { now: iso(now), software: "fixture", demo: mode !== "empty", sites: 1, work_units: 8, agents: 2, log_size: "48213", empty };
}

function siteList(now) {
  const one = (id, name, name_en, county) => ({ id, name, name_en, time_zone: "Asia/Shanghai", county, uscc: null, industry: "C3451", work_units: 8, demo: true, now: iso(now), business_date: "2026-11-25", tz_version: "2026a" });
  return [...SITE_NAMES].sort((a, b) => Number(b.id === SITE) - Number(a.id === SITE)).map((s) => one(s.id, s.name, s.name_en, s.county));
}

function site([id, what, name, more, a, b], q, mode, now) {
  if (what === "equipment") return ok(equipment(now));
  if (what === "tags" && name) return samples(name, more, q, now);
  if (what !== "work-units") return refuse(404, "E-2404", "没有这个资源", "there is no such resource");
  if (!name) return ok(mode === "nodata" ? UNITS.map((u) => blank(u, now)) : UNITS.map((u) => row(u, now)));
  const u = UNITS.find((x) => x.id === name);
  if (!u) return refuse(404, "E-2404", `没有工作单元 ${name}`, `there is no work unit ${name}`);
  if (!more) return ok(detail(u, now));
  if (more === "timeline" && mode === "nodata") return ok({ start: q.get("from"), end: q.get("to"), planned: [], segments: [] });
  if (more === "timeline") return ok(timeline(u, Date.parse(q.get("from")), Date.parse(q.get("to")), now));
  if (more === "windows" && a) {
    const w = windowAt(u, Date.parse(a), Date.parse(b), q.get("kind") ?? "shift", now);
    return w ? ok(windowDetail(u, w, id)) : refuse(404, "E-2404", "没有这个时间窗", "there is no such window");
  }
  return ok(windows(u, q.get("kind") ?? "shift", Date.parse(q.get("from")), Date.parse(q.get("to")), now));
}

const ratio = (n, d) => ({ value: n / d, num: String(Math.round(n)), den: String(Math.round(d)) });
const bounded = (low, high, den, point = low) =>
  den === 0
    ? { low: null, high: null, point: null, reason: { code: "no-planned-time", zh: "没有计划忙碌时间", en: "no planned busy time" } }
    : { low: ratio(low, den), high: ratio(high, den), point: ratio(point, den), reason: null };
const count = (low, high = low) => ({ low, high, point: low, exact: low === high, reason: null });
const NO_QUALITY = { code: "quality-not-measured", zh: "没有不良品计数, 合格品率未测量", en: "quality not measured: no tag counts scrap" };
const NO_COUNTER = { code: "not-measured", zh: "没有计数器, 未测量", en: "there is no counter, so it is not measured" };
const noRatio = { low: null, high: null, point: null, reason: NO_QUALITY };
const noCount = { low: null, high: null, point: null, exact: false, reason: NO_COUNTER };
const kwh = (hundredths) => ({ value: hundredths / 100, text: (hundredths / 100).toFixed(2), num: String(hundredths), den: "100" });

/** An upper bound whose decimal does not end, as a meter's rate times nanoseconds gives. */
function beyond(hundredths) {
  const [num, den] = [BigInt(hundredths + 2) * 36_000_000_000n + 100_000_953n, 3_600_000_000_000n];
  return { value: Number(num) / Number(den), text: `${num}/${den}`, num: String(num), den: String(den) };
}

function shiftAt(t) {
  const day = Math.floor((t + ZONE_SHIFT) / (24 * HOUR)) * 24 * HOUR - ZONE_SHIFT;
  const n = Math.floor((t - day) / (8 * HOUR));
  const names = [["夜班", "night"], ["白班", "day"], ["中班", "evening"]][n];
  return { start: day + n * 8 * HOUR, end: day + (n + 1) * 8 * HOUR, id: names[1], name: names[0], date: new Date(day + ZONE_SHIFT).toISOString().slice(0, 10) };
}

/** The segments of a work unit in [from, to): made hour by hour, so that any window sees the same ones. */
function segments(u, from, to, now) {
  const out = [];
  const end = Math.min(to, now);
  for (let h = Math.floor(from / HOUR) * HOUR; h < end; h += HOUR) {
    const r = random(`${u.id}${h}`);
    let t = h;
    const pausing = ((h + ZONE_SHIFT) / HOUR) % 8 === 4;
    if (pausing) t = push(out, "BREAK", t, t + HOUR / 2);
    while (t < h + HOUR) {
      t = push(out, "RUN", t, t + (6 + r() * 30) * 60_000);
      const kind = r();
      const leaf = kind < 0.55 ? "MICRO" : kind < 0.7 ? "EXT" : kind < 0.8 ? "SETUP" : kind < 0.9 ? "DOWN" : kind < 0.95 && u.seed === 3 ? "UNK" : "MICRO";
      t = push(out, leaf, t, t + (leaf === "MICRO" ? 0.5 + r() * 3 : 3 + r() * 14) * 60_000);
    }
    const last = out[out.length - 1];
    last.end = Math.min(last.end, h + HOUR);
    while (out.length > 1 && out[out.length - 1].start >= h + HOUR) out.pop();
  }
  const cut = out.map((s) => ({ ...s, start: Math.max(s.start, from), end: Math.min(s.end, end) })).filter((s) => s.end > s.start);
  const tail = end - 7 * 60_000;
  if (end === now && u.leaf !== "RUN") {
    const kept = cut.filter((s) => s.start < tail).map((s) => ({ ...s, end: Math.min(s.end, tail) }));
    return [...kept, { leaf: u.leaf, start: Math.max(tail, from), end }];
  }
  return cut;
}

function push(out, leaf, start, end) {
  out.push({ leaf, start: Math.round(start / 1000) * 1000, end: Math.round(end / 1000) * 1000 });
  return Math.round(end / 1000) * 1000;
}

function timeline(u, from, to, now) {
  const planned = [];
  for (let t = from; t < to; t += HOUR) {
    const pausing = ((t + ZONE_SHIFT) / HOUR) % 8 === 4;
    planned.push(pausing ? { kind: "break", start: t, end: t + HOUR / 2 } : { kind: "planned-busy", start: t, end: t + HOUR });
    if (pausing) planned.push({ kind: "planned-busy", start: t + HOUR / 2, end: t + HOUR });
  }
  const kinds = { break: ["休息", "Break"], "planned-busy": ["计划忙碌", "Planned busy"] };
  return {
    start: iso(from),
    end: iso(to),
    planned: planned.map((p) => ({ ...p, start: iso(p.start), end: iso(p.end), shift: "day", zh: kinds[p.kind][0], en: kinds[p.kind][1] })),
    segments: segments(u, from, to, now).map((s) => ({ start: iso(s.start), end: iso(s.end), leaf: s.leaf, cause: CAUSES[s.leaf] ?? null, provisional: false, ...say(s.leaf) })),
  };
}

function result(u, kind, start, end, label, date, now) {
  const until = Math.min(end, Math.floor(now / 1000) * 1000);
  const ms = Object.fromEntries(Object.keys(LEAVES).map((leaf) => [leaf, 0]));
  for (const s of segments(u, start, end, now)) ms[s.leaf] += s.end - s.start;
  const sum = Object.values(ms).reduce((a, b) => a + b, 0);
  ms.RUN += until - start - sum;
  const base = until - start - ms.BREAK - ms.OFF - ms.PM;
  const [cycle, unknown] = [12_500, ms.UNK];
  const produced = Math.floor((ms.RUN * (u.id === "loom-01" ? 1.3 : 0.86 + u.seed * 0.012)) / cycle);
  const scrap = Math.floor(produced * 0.004 * u.seed);
  const good = produced - scrap;
  const edge = 40_000;
  const room = unknown > 0 ? Math.ceil(unknown / cycle) : 0;
  const late = end <= now && (end / HOUR) % 5 === 0;
  const state = end > now ? "live" : now - end < 2 * HOUR ? "provisional" : late ? "restated" : "settled";
  const element = (code, zh, en, low, high = low, point = low) => ({
    code, zh, en, ns: { low: `${low}000000`, high: `${high}000000`, point: `${point}000000` }, ms: { low, high, point },
  });
  const energy = Math.round((until - start) / 2000) + produced * 3;
  const whole = {
    site: SITE, work_unit: u.id, kind, label, shift: kind === "shift" ? label.en.split(" ")[1] : null, business_date: date,
    start: iso(start), end: iso(end), evaluated_until: iso(until), state, version: late ? 2 : 1,
    restates: late ? { version: 1, data_version: hash(`v1${start}`), cause: { code: "late-blocks", zh: "结算后收到 3 个迟到数据块", en: "3 blocks arrived after it was settled", blocks: [] }, at: iso(end + 3 * HOUR) } : null,
    oee: bounded(good * cycle, (good + room) * cycle, base),
    availability: bounded(Math.max(0, ms.RUN - edge), ms.RUN + unknown + edge, base, ms.RUN),
    effectiveness: bounded((produced * cycle * ms.RUN) / (ms.RUN + unknown), (produced + room) * cycle, ms.RUN),
    quality_ratio: bounded(good, good, produced),
    time: Object.keys(LEAVES).map((leaf) => {
      const room = ms[leaf] === 0 || leaf === "BREAK" ? 0 : edge;
      return { leaf, ...say(leaf), ns: `${ms[leaf]}000000`, ms: ms[leaf], low: { ms: Math.max(0, ms[leaf] - room) }, high: { ms: ms[leaf] + room } };
    }),
    elements: [
      element("PBT", "计划忙碌时间", "Planned busy time", base),
      element("APT", "实际生产时间", "Actual production time", Math.max(0, ms.RUN - edge), ms.RUN + unknown + edge, ms.RUN),
      element("AUST", "实际调整时间", "Actual unit setup time", ms.SETUP),
      element("ADET", "实际延误时间", "Actual unit delay time", ms.MICRO + ms.DOWN + ms.EXT),
      element("ADOT", "实际停机时间", "Actual unit down time", ms.IDLE),
    ],
    counts: { produced: count(produced, produced + room), good: count(good, good + room), scrap: count(scrap), steps: [{ class: "normal", zh: "正常", en: "Normal", count: produced }, { class: "rollover", zh: "回绕", en: "Rollover", count: 1 }] },
    micro_stops: segments(u, start, end, now).filter((s) => s.leaf === "MICRO").length,
    energy: { low: kwh(energy), high: beyond(energy), point: kwh(energy), exact: false, unit: "kWh", reason: null },
    coverage: ratio(until - start - unknown - 20_000, until - start),
    remarks: unknown ? [{ code: "unknown-time", zh: `有 ${Math.round(unknown / 60000)} min 没有可信数据, 故可用率是一个区间`, en: `${Math.round(unknown / 60000)} min have no trustworthy data, so availability is an interval` }] : [],
    definition: { id: "oee", version: "1" }, profile: { id: "iso22400", version: "1" }, state_rule: { id: "default", version: "1" },
    tz_version: "2026a", data_version: hash(`${u.id}${start}`), plant: hash("plant"), demo: true,
  };
  if (kind !== "span" && end < now - NO_DATA_DAYS * 24 * HOUR) return unmeasured(whole);
  if (u.id === "press-01") return { ...whole, oee: noRatio, quality_ratio: noRatio, counts: { ...whole.counts, good: noCount, scrap: noCount } };
  if (u.id === "loom-02") return { ...whole, effectiveness: { ...whole.effectiveness, high: null, point: null } };
  if (u.id === "grinder-03") return { ...whole, effectiveness: { ...whole.effectiveness, high: ratio(32_120_455, 1000), point: null }, oee: { ...whole.oee, high: ratio(1410, 1000), point: null } };
  return whole;
}

/** A window without a single sample: only what cannot be ruled out is left. */
function unmeasured(w) {
  const room = (high) => ({ low: 0, high, point: null, exact: false, reason: null });
  const span = Date.parse(w.end) - Date.parse(w.start);
  const open = { low: ratio(0, span), high: null, point: null, reason: null };
  return {
    ...w, oee: bounded(0, span * 2.3, span, 0), availability: bounded(0, span, span, 0), effectiveness: open, quality_ratio: open,
    counts: { produced: room(20_095), good: room(20_095), scrap: room(20_095), steps: [] }, coverage: ratio(0, span), micro_stops: 0,
    energy: { ...w.energy, low: kwh(0), high: { value: 99.4, text: "357840000000001/3600000000000", num: "357840000000001", den: "3600000000000" }, point: null, exact: false },
  };
}

function windowAt(u, start, end, kind, now) {
  if (!(start < now)) return null;
  if (kind === "shift") {
    const s = shiftAt(start);
    return s.start === start && s.end === end ? result(u, kind, start, end, { zh: `${s.date} ${s.name}`, en: `${s.date} ${s.id}` }, s.date, now) : null;
  }
  const wall = iso(start + ZONE_SHIFT);
  if (kind === "span") return result(u, kind, start, end, { zh: `${wall.slice(0, 10)} 起的时间段`, en: `span from ${wall.slice(0, 10)}` }, null, now);
  const label = kind === "day" ? wall.slice(0, 10) : `${wall.slice(0, 10)} ${wall.slice(11, 16)}`;
  const length = kind === "day" ? 24 * HOUR : HOUR;
  return end - start === length ? result(u, kind, start, end, { zh: label, en: label }, wall.slice(0, 10), now) : null;
}

function windows(u, kind, from, to, now) {
  const step = { hour: HOUR, shift: 8 * HOUR, day: 24 * HOUR }[kind];
  const first = Math.floor((from + ZONE_SHIFT) / step) * step - ZONE_SHIFT;
  const out = [];
  for (let t = first; t < Math.min(to, now); t += step) out.push(windowAt(u, t, t + step, kind, now));
  return out.filter(Boolean);
}

function windowDetail(u, w, id) {
  const roles = roleList(u).map((r) => ({ tag: r.tag, role: r.role, samples: 2160, good: 2159, bad: 1, first: w.start, last: w.evaluated_until, blocks: 216, samples_url: `/api/v1/sites/${id}/tags/${u.id}/${r.tag}/samples?from=${w.start}&to=${w.evaluated_until}` }));
  const e = Object.fromEntries(w.elements.map((x) => [x.code, x.ms.point]));
  const line = (code, zh, en, expression, num, den, unit) => ({ code, zh, en, expression, unit, num, den, value: num === null ? null : Number(num) / Number(den) });
  const time = (code, zh, en, how, ms) => line(code, zh, en, `${code} = ${how} = ${ms / 1000} s`, `${ms}000000`, "1", "ns");
  const pieces = (code, zh, en, how, c) => line(code, zh, en, `${code} = ${how} = ${c.point}`, String(c.point), "1", "pieces");
  const figure = (code, zh, en, how, r) => {
    const p = r.point && { num: String(Number(r.point.num) * 1e6), den: String(Number(r.point.den) * 1e6) };
    const [num, den] = code === "quality_ratio" ? [r.point?.num, r.point?.den] : [p?.num, p?.den];
    return line(code, zh, en, p ? `${how} = ${num} / ${den} = ${num}/${den}` : `${how} = ${r.reason?.en ?? "?"}`, num ?? null, den ?? null, "");
  };
  const { produced, good, scrap } = w.counts;
  return {
    ...w, inputs: roles,
    formula: [
      time("PBT", "计划生产时间", "planned busy time", `POT - PDOT = ${e.PBT / 1000 + 1800} s - 1800 s`, e.PBT),
      time("APT", "实际生产时间", "actual production time", "RUN", e.APT),
      time("AUST", "换型时间", "actual unit setup time", "SETUP", e.AUST),
      time("ADET", "延误时间", "actual unit delay time", "MICRO + DOWN + EXT", e.ADET),
      pieces("PQ", "产量", "produced quantity", "PQ(end) - PQ(start)", produced),
      ...(scrap.point === null ? [] : [pieces("SQ", "不良品数", "scrap quantity", "SQ(end) - SQ(start)", scrap), pieces("GQ", "合格品数", "good quantity", "PQ - SQ", good)]),
      time("M", "全部产品的理想时间", "ideal time of all parts", `Σ PRI·PQ = 12.5 s × ${produced.point}`, produced.point * 12_500),
      figure("availability", "可用率", "Availability", "APT / PBT", w.availability),
      figure("effectiveness", "性能率", "Effectiveness", "Σ PRI·PQ / APT", w.effectiveness),
      figure("quality_ratio", "合格品率", "Quality ratio", "GQ / PQ", w.quality_ratio),
      figure("oee", "OEE 综合效率", "OEE", "Σ PRI·GQ / PBT", w.oee),
    ],
    blocks: { count: 216, first: ref("first", 100), last: ref("last", 315) },
    versions: [{ version: 1, state: w.state === "restated" ? "settled" : w.state, data_version: w.data_version, at: w.evaluated_until, cause: null }],
  };
}

const ref = (name, sequence) => ({ hash: hash(name), log_index: String(47000 + sequence), sequence: String(sequence), agent: "shengzhou-a1" });

/** lathe-01 says its state in words, as CNC controls do. */
function textual(u, tag) {
  return u.id === "lathe-01" && (tag === "state" || tag === "mode");
}

function roleList(u) {
  const opc = u.protocol === "opc-ua";
  const node = { state: "Execution", mode: "FunctionalMode", produced: "PartCount", scrap: "ScrapCount", energy: "EnergyMeter" };
  const role = (name, tag, place, type, unitText) => ({ role: name, tag, unit: unitText, section: "kpi", place: opc ? `ns=urn:plumbline:sim:opcua-b:machines;s=${u.id}.${node[tag] ?? tag}` : place, data_type: type, origin: "simulated" });
  if (u.id === "press-01") {
    return [
      role("running", "contact", "unit 10 discrete input 0", "BOOL", ""),
      role("produced", "pulses", "unit 10 input 0", "U16", ""),
      role("energy", "energy", "unit 11 input 16384..16385", "U32", "kWh"),
    ];
  }
  return [
    role("state", "state", "unit 1 holding 40001 (1 word)", textual(u, "state") ? "TEXT" : "U16", ""),
    ...(textual(u, "state") ? [role("mode", "mode", "", "TEXT", "")] : []),
    role("produced", "produced", "unit 1 holding 40010..40011 (2 words, ABCD)", "U32", ""),
    role("scrap", "scrap", "unit 1 holding 40012..40013 (2 words, ABCD)", "U32", ""),
    role("energy", "energy", "unit 2 input 30001..30002 (2 words, CDAB)", "U32", "kWh"),
  ];
}

function row(u, now) {
  const s = shiftAt(now);
  const w = result(u, "shift", s.start, s.end, { zh: "", en: " " }, s.date, now);
  const age = u.leaf === "UNK" ? 421_000 : 4000 + u.seed * 1000;
  return {
    id: u.id, name: u.name, name_en: u.name_en, work_center: { id: `c${u.seed}`, name: u.center }, area: { id: "a", name: "一车间" }, protocol: u.protocol,
    state: { leaf: u.leaf, ...say(u.leaf), since: iso(now - 7 * 60_000), since_ms: 7 * 60_000, cause: CAUSES[u.leaf] ?? null },
    newest_sample: { time: iso(now - age), age_ms: age, received_time: iso(now - age + 2000), lag_ms: 2000 },
    shift: { id: s.id, name: s.name, name_en: null, business_date: s.date, window: { start: iso(s.start), end: iso(s.end) } },
    window: { kind: "shift", start: iso(s.start), end: w.evaluated_until },
    oee: w.oee, availability: w.availability, effectiveness: w.effectiveness, quality_ratio: w.quality_ratio, coverage: w.coverage,
    produced: w.counts.produced, good: w.counts.good, scrap: w.counts.scrap, energy_kwh: w.energy, window_state: "live", demo: true, remarks: w.remarks,
  };
}

function blank(u, now) {
  const reason = { code: "no-data", zh: "还没有收到数据", en: "no data received yet" };
  const none = { low: null, high: null, point: null, reason };
  const nothing = { low: null, high: null, point: null, exact: false, reason };
  return { ...row(u, now), state: null, newest_sample: null, oee: none, availability: none, effectiveness: none, quality_ratio: none, coverage: null, produced: nothing, good: nothing, scrap: nothing, energy_kwh: { ...nothing, unit: "kWh" } };
}

function detail(u, now) {
  return {
    ...row(u, now), roles: roleList(u), state_rule: { id: "default", version: "1" }, micro_stop_ms: 300_000, micro_stop_ns: "300000000000", profile: { id: "iso22400", version: "1" },
    ideal_cycles: [{ product: "*", from: "2026-01-01T00:00:00Z", seconds_per_item: { value: 12.5, text: "12.5", num: "25", den: "2" } }],
    bindings: [{ agent: "shengzhou-past", from: null, until: iso(now - 30 * HOUR) }, { agent: "shengzhou-a1", from: iso(now - 30 * HOUR), until: null }],
  };
}

function samples(unitId, tag, q, now) {
  const u = UNITS.find((x) => x.id === unitId) ?? UNITS[0];
  const [from, to, limit] = [Date.parse(q.get("from")), Math.min(Date.parse(q.get("to")), now), Number(q.get("limit") ?? 500)];
  const start = q.get("after") ? Number(q.get("after")) : Math.ceil(from / 10_000) * 10_000;
  const rows = [];
  let t = start;
  for (; t < to && rows.length < limit; t += 10_000) rows.push(sample(u, tag, t));
  const headers = t < to ? { "next-cursor": String(t) } : {};
  return ok(rows, headers);
}

function sample(u, tag, t) {
  const place = roleList(u).find((r) => r.tag === tag)?.place ?? "unit 1 holding 40001 (1 word)";
  const bad = (t / 10_000) % 47 === 0;
  const hex = (n) => `0x${(n & 0xffff).toString(16).padStart(4, "0")}`;
  const raw = tag === "state" ? [1, 1, 1, 2, 3][Math.floor(t / 60_000) % 5] : Math.floor((t % (24 * HOUR)) / 12_500);
  const words = bad ? [] : tag === "state" ? [hex(raw)] : [hex(raw >>> 16), hex(raw)];
  const sequence = Math.floor(t / 100_000) % 100_000;
  const value = tag === "energy" ? raw / 100 : raw;
  if (textual(u, tag)) {
    const word = tag === "mode" ? "PRODUCTION" : ["ACTIVE", "ACTIVE", "ACTIVE", "READY", "PROGRAM_STOPPED"][Math.floor(t / 60_000) % 5];
    return {
      at: iso(t), source_time: iso(t - 1), observed_time: iso(t), request_time: null, received_time: iso(t + 10_000), value: word, exact: null, unit: "",
      quality: "good", status: "Good", status_code: 0, raw_hex: null, words: [], place, by: t % 60_000 === 0 ? "event" : "life-sign",
      block_hash: hash(`block${sequence}`), log_index: String(sequence), agent: "shengzhou-a1", epoch: "1", sequence: String(sequence),
    };
  }
  return {
    at: iso(t), source_time: null, observed_time: iso(t + 12), request_time: iso(t - 3), received_time: iso(t + 10_000),
    value: bad ? null : value, exact: bad ? null : tag === "energy" ? value.toFixed(2) : String(value), unit: tag === "energy" ? "kWh" : "",
    quality: bad ? "bad" : "good", status: bad ? "BadTimeout (0x800A0000)" : "Good", status_code: bad ? 0x800a0000 : 0,
    raw_hex: bad ? null : `0x${words.map((w) => w.slice(2)).join("")}`, words, place, by: u.protocol === "opc-ua" ? "event" : "scan",
    block_hash: hash(`block${sequence}`), log_index: String(sequence), agent: "shengzhou-a1", epoch: "1", sequence: String(sequence),
  };
}

function block(id, now) {
  const t = Math.floor(now / 10_000) * 10_000;
  const section = (name, size, tags) => ({ name, bytes: size, inflated_bytes: size * 5, hash: hash(`${id}${name}`), hash_ok: true, groups: [{ kind: "scan", source: "plc-1", rows: 10, tags }] });
  return {
    hash: id, log_index: "47315", received_time: iso(t + 1200), leaf_hash: hash(`leaf${id}`), size: 6123, chain_ok: true,
    header: {
      format: 1, site: SITE, agent: "shengzhou-a1", epoch: "1", sequence: "315", prev_block_hash: hash(`previous${id}`), config_hash: hash("config"), plan_hash: null,
      software: "plumbline-agent 0.0.0", boot_id: hash("boot").slice(0, 32), window: { start: iso(t - 10_000), end: iso(t) }, clock: "synchronised", first_sample: "128401", sample_count: "400",
      quality_counts: { good: "399", uncertain: "0", bad: "1" }, drops: { oversize: "0" }, gaps: [], marks: ["demo_key", "simulated"],
    },
    signature: { key_id: hash("key").slice(0, 16), valid: true, public_key: `ed25519:${hash("pk").slice(0, 43)}`, reason: null },
    sections: [section("kpi", 812, ["grinder-01/state", "grinder-01/produced", "grinder-01/scrap"]), section("process", 2210, ["grinder-01/energy", "grinder-01/power"])],
  };
}

function agents(now) {
  const one = (agent, online, missing, gap, alarms) => ({ site: SITE, agent, online, epoch: "1", contiguous: "48120", beyond: missing === "0" ? [] : [["48122", "48130"]], newest_block_time: iso(now - 8000), missing, unaccounted_gap_seconds: gap, alarms, marks: ["demo_key", "insecure_opcua", "simulated"], software: "plumbline-agent 0.0.0" });
  return [one("shengzhou-a1", true, "0", 0, []), one("shengzhou-past", false, "1", 10, [{ code: "chain-break", zh: "序号 48121 缺失, 已请求补发", en: "sequence 48121 is missing and has been asked for" }])];
}

function equipment(now) {
  const net = { verified: ["已核验联网", "verified"], declared: ["已申报未核验", "declared"], none: ["未联网", "none"] };
  return [
    ...UNITS.map((u, i) => ({ id: `eq-00${i + 1}`, name: u.name, model: "3MZ1310", serial: `SN-2019-0${i}`, key_process: i < 4, contract_line: `C-0${i + 1}`, networked: "verified", zh: net.verified[0], en: net.verified[1], attested_by: null, attested_at: null, work_unit: u.id, first_data: iso(now - 30 * HOUR), last_data: iso(now - 8000) })),
    { id: "eq-020", name: "热处理炉", model: "RX3-75", serial: "SN-2014-11", key_process: true, contract_line: null, networked: "declared", registered: "verified", system: "炉温监控系统", remark: { code: "never-sent", zh: "台账记为已核验, 但本系统从未收到它的数据, 按已申报计", en: "registered as verified, but no data of it ever arrived here: counted as declared" }, zh: net.declared[0], en: net.declared[1], attested_by: "嵊州演示工厂", attested_at: iso(now - 300 * HOUR), work_unit: null, first_data: null, last_data: null },
    { id: "eq-021", name: "手动攻丝机", model: null, serial: null, key_process: false, contract_line: null, networked: "none", zh: net.none[0], en: net.none[1], attested_by: null, attested_at: null, work_unit: null, first_data: null, last_data: null },
  ];
}
