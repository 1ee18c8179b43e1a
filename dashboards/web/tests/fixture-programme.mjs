// Canned answers for the evaluator's and the region's pages: five projects (one for each conclusion), twelve factories in
// two clusters, a maturity page. Made up, as everything in the fixture; figures of one criterion hang together.

const DAY = 86_400_000;
const iso = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");
const both = (zh, en = zh) => ({ zh, en });
const coded = (code, zh, en) => ({ code, zh, en });
const hash = (text) => [...Array(64)].map((_, i) => "0123456789abcdef"[(text.charCodeAt(i % text.length) * (i + 7)) % 16]).join("");

const STAGES = [
  coded("diagnosis", "诊断摸排", "Diagnosis"), coded("incubation", "培育入库", "Incubation"), coded("matching", "供需对接", "Matching"),
  coded("rebuilding", "改造实施", "Rebuilding"), coded("acceptance", "评估验收", "Acceptance"), coded("promotion", "推广", "Promotion"),
];
const LEVELS = {
  line: coded("production-line", "智能生产线", "smart production line"), shop: coded("digital-workshop", "数字化车间", "digital workshop"),
  plant: coded("smart-factory", "智能工厂", "smart factory"),
};
const CONCLUSIONS = {
  pass: coded("pass", "数据支持达标", "The data support the target"), fail: coded("fail", "数据不支持达标", "The data do not support the target"),
  insufficient: coded("insufficient", "证据不足", "Not enough evidence"), "delivery-incomplete": coded("delivery-incomplete", "交付未齐", "Delivery incomplete"),
  "not-judged": coded("not-judged", "未到判定时间", "Not yet due"),
};
const STANDINGS = {
  online: coded("online", "在线", "online"), declared: coded("declared", "已申报未核验", "declared, not verified"),
  "never-online": coded("never-online", "从未上线", "never online"), missing: coded("missing", "台账中没有", "missing from the register"),
};
const STATISTICS = both("未做统计检验", "not tested statistically");
const UNITS = [["grinder-01", "轴承磨床 01", "Bearing grinder 01"], ["grinder-02", "轴承磨床 02", "Bearing grinder 02"]].map(([id, name, name_en]) => ({ id, name, name_en }));

/** The project, region and maturity answers; null for what is not theirs. */
export function programme(parts, mode, now) {
  const none = mode === "empty" || mode === "nodata";
  if (parts[0] === "projects" && parts.length === 1) return none ? [] : PROJECTS.map((p) => projectRow(p, now));
  if (parts[0] === "projects" && parts.length === 2) {
    const found = PROJECTS.find((p) => p.id === parts[1]);
    return found ? projectDetail(found, now) : null;
  }
  if (parts[0] === "region") return none ? { as_of: iso(now), minimum_sites: 5, clusters: [], all: { figures: [] }, sites: [] } : region(now);
  if (parts[0] === "sites" && parts[2] === "maturity") return maturity(now, none);
  return null;
}

const minus = (text) => text.replace("-", "\u2212");
const percentFigure = (tenThousandths) => ({ value: tenThousandths / 10_000, num: String(tenThousandths), den: "10000", text: both(`${minus((tenThousandths / 100).toFixed(2))} %`) });
const pointsFigure = (tenThousandths) => {
  const text = `${tenThousandths > 0 ? "+" : ""}${minus((tenThousandths / 100).toFixed(2))}`;
  return { value: tenThousandths / 10_000, num: String(tenThousandths), den: "10000", text: both(`${text} 个百分点`, `${text} points`) };
};
const energyDifference = (tenThousandths) => {
  const text = `${tenThousandths > 0 ? "+" : ""}${minus((tenThousandths / 10_000).toFixed(4))}`;
  return { value: tenThousandths / 10_000, num: String(tenThousandths), den: "10000", text: both(`${text} kWh/件`, `${text} kWh/piece`) };
};
const signedPercent = (n, d) => {
  const v = n / d;
  return { value: v, num: String(n), den: String(d), text: both(`${v > 0 ? "+" : ""}${minus((v * 100).toFixed(2))} %`) };
};
const decimalFigure = (tenThousandths) => ({ value: tenThousandths / 10_000, num: String(tenThousandths), den: "10000", text: both(`${minus((tenThousandths / 10_000).toFixed(4))} kWh/件`, `${minus((tenThousandths / 10_000).toFixed(4))} kWh/piece`) });
const range = (make, low, point, high) => ({ low: make(low), point: make(point), high: make(high) });

/** A criterion from its numbers in ten-thousandths: [low, point, high] before and after. */
function criterion(c, project, now) {
  const ratio = c.indicator.unit === "";
  const make = ratio ? percentFigure : decimalFigure;
  const windows = windowsOf(project, now);
  const measured = (three, coverage, window, reason) => ({
    from: window.from, until: window.until, coverage: coverage === null ? null : percentFigure(coverage),
    figure: three ? { ...range(make, ...three), reason: null } : { low: null, point: null, high: null, reason },
    work_units: c.units.map((u, i) => ({
      ...u, coverage: coverage === null ? null : percentFigure(Math.min(10_000, coverage + (i === 0 ? 40 : -40))), start: window.from, end: window.until,
      figure: three ? { ...range(make, ...three.map((v) => v + (i === 0 ? 25 : -25))), reason: null } : { low: null, point: null, high: null, reason },
    })),
  });
  const [b, a] = [c.before, c.after];
  return {
    id: c.id, indicator: c.indicator, work_units: c.units, direction: c.direction,
    target: { kind: c.target.kind, ...both(...c.target.kindText), text: both(...c.target.text), value: { value: c.target.value, text: String(c.target.value), num: String(c.target.value), den: "1" } },
    rule: c.rule === "point" ? coded("point", "合同点值", "contract point value") : coded("lower-end", "区间不利端", "unfavourable end of the bounds"),
    coverage_minimum: percentFigure(9500),
    before: measured(b, c.coverage[0], windows.baseline, null), after: measured(a, c.coverage[1], windows.after, c.noAfter ?? null),
    points: a ? range(ratio ? pointsFigure : energyDifference, a[0] - b[2], a[1] - b[1], a[2] - b[0]) : null,
    relative: a ? { low: signedPercent(a[0] - b[2], b[2]), point: signedPercent(a[1] - b[1], b[1]), high: signedPercent(a[2] - b[0], b[0]) } : null,
    verdict: CONCLUSIONS[c.verdict], reason: c.reason, settle: c.settle ?? [], meets_by_point: c.meets?.[0] ?? null, meets_by_lower_end: c.meets?.[1] ?? null,
    statistics: STATISTICS, changes: (project.changes ?? []).filter((x) => x.criterion === c.id).map((x) => change(x, now)),
  };
}

const OEE = { id: "oee", version: 1, zh: "设备综合效率 OEE", en: "OEE", unit: "", expression: "Σ PRI·GQ / PBT", source: "ISO 22400-2" };
const ENERGY = { id: "unit_energy", version: 1, zh: "单位产品电耗", en: "Energy per piece", unit: "kWh/piece", expression: "E / PQ", source: "准绳" };
const THREE_POINTS = { kind: "points", value: 3, kindText: ["个百分点", "points"], text: ["提高不少于 3 个百分点", "up by at least 3 points"] };
const FIVE_PERCENT = { kind: "percent", value: 5, kindText: ["百分比", "per cent"], text: ["下降不少于 5 %", "down by at least 5 %"] };
const ABSOLUTE = { kind: "absolute", value: 0.65, kindText: ["绝对值", "absolute"], text: ["不低于 65 %", "at least 65 %"] };

const up = (more) => ({ id: "oee-up", indicator: OEE, units: UNITS, direction: "up", target: THREE_POINTS, rule: "lower-end", ...more });
const ENERGY_GOOD = {
  id: "energy-down", indicator: ENERGY, units: UNITS.slice(0, 1), direction: "down", target: FIVE_PERCENT, rule: "point",
  before: [4180, 4213, 4251], after: [3810, 3842, 3880], coverage: [9871, 9902], verdict: "pass", meets: [true, true],
  reason: coded("target-met", "按合同点值下降 8.81 %, 达到不少于 5 % 的目标; 两个窗口的覆盖率都不低于 95 %", "by the contract point value it fell by 8.81 %, which meets the target of at least 5 %; coverage is at least 95 % in both windows"),
};
const PASS = up({
  before: [6080, 6112, 6153], after: [6598, 6641, 6690], coverage: [9912, 9876], verdict: "pass", meets: [true, true],
  reason: coded("target-met", "按区间不利端提高 4.45 个百分点, 达到不少于 3 个百分点的目标; 两个窗口的覆盖率都不低于 95 %", "by the unfavourable end it rose by 4.45 points, which meets the target of at least 3 points; coverage is at least 95 % in both windows"),
});

const PROJECTS = [
  {
    id: "xc-2026-001", name: "套圈磨加工数字化改造", name_en: "Ring grinding, digital rebuild", code: "ZJ-XC-2026-001", level: LEVELS.shop, site: "xinchang-demo", siteName: ["新昌准绳示范轴承厂（模拟）", "Xinchang demo bearing works (simulated)"],
    stage: 4, conclusion: "pass", in_time: true, lowest: 9871, warnings: [], criteria: [PASS, ENERGY_GOOD],
    lines: [line("C-01", "数控套圈磨床联网改造", [["eq-001", "轴承磨床 01", "online", "grinder-01"], ["eq-002", "轴承磨床 02", "online", "grinder-02"]]), line("C-02", "电能表", [["eq-009", "三相电能表", "online", "grinder-01"]])],
  },
  {
    id: "yy-2026-004", name: "注塑车间数据采集与工艺优化（覆盖率下降的一例）", name_en: "Moulding shop: acquisition and process optimisation", code: "ZJ-YY-2026-004", level: LEVELS.plant, site: "shengzhou-demo", siteName: ["嵊州演示工厂", "Shengzhou demo works"],
    stage: 4, conclusion: "insufficient", in_time: true, lowest: 7813,
    warnings: [coded("coverage-below-minimum", "改造后窗口的覆盖率 78.13 % 低于最低 95 %", "coverage of the after window, 78.13 %, is below the minimum of 95 %"), coded("silent-agent", "代理 yuyao-a2 已静默 26 h", "agent yuyao-a2 has been silent for 26 h")],
    criteria: [up({
      before: [5902, 5950, 6011], after: [5120, 6480, 7301], coverage: [9820, 7813], verdict: "insufficient", meets: [true, false],
      reason: coded("coverage-below-minimum", "改造后窗口的覆盖率 78.13 %, 低于约定的最低 95 %, 所以点值的提高不能作数", "coverage of the after window is 78.13 %, below the agreed minimum of 95 %, so the rise of the point value cannot count"),
      settle: [
        { ...coded("more-days", "再按满覆盖率运行 95 d, 改造后窗口的覆盖率即达到 95 %", "95 d more at full coverage lift the after window to 95 %"), work_unit: null, tag: null, days: 95 },
        { ...coded("unknown-tag", "未知时间最多的是 grinder-02 的点位 state", "most unknown time lies on tag state of grinder-02"), work_unit: "grinder-02", tag: "state", days: null },
      ],
    })],
    lines: [line("C-01", "注塑机联网", [["eq-004", "注塑机 01", "online", "moulder-01"]])],
  },
  {
    id: "xc-2026-007", name: "热处理线智能化改造", name_en: "Heat treatment line", code: "ZJ-XC-2026-007", level: LEVELS.line, site: "xinchang-demo", siteName: ["新昌准绳示范轴承厂（模拟）", "Xinchang demo bearing works (simulated)"],
    stage: 3, conclusion: "delivery-incomplete", in_time: true, lowest: 9712, warnings: [coded("baseline-short", "基准期在上线前只运行了 19 d, 少于四周", "the baseline ran for only 19 d before go-live, less than four weeks")],
    criteria: [{ ...PASS, target: ABSOLUTE, rule: "point", reason: coded("target-met", "按合同点值 66.41 %, 达到不低于 65 % 的目标", "by the contract point value, 66.41 %, the target of at least 65 % is met") }],
    lines: [line("C-01", "可控气氛多用炉", [["eq-020", "热处理炉", "never-online", null]], false, coded("never-online", "合同 1 台, 在线 0 台: 热处理炉（eq-020）从未上线", "1 in the contract, 0 online: 热处理炉 (eq-020) has never been online")), line("C-02", "淬火油槽温控", [["eq-021", "手动攻丝机", "declared", null], ["eq-099", null, "missing", null]], false, coded("missing", "合同 2 台, 在线 0 台: eq-099 不在设备台账中", "2 in the contract, 0 online: eq-099 is not in the register")), line("C-03", "数控套圈磨床", [["eq-001", "轴承磨床 01", "online", "grinder-01"]])],
  },
  {
    id: "yy-2026-009", name: "冲压线改造", name_en: "Press line", code: null, level: LEVELS.line, site: "shengzhou-demo", siteName: ["嵊州演示工厂", "Shengzhou demo works"],
    stage: 4, conclusion: "fail", in_time: false, lowest: 9655, warnings: [coded("registered-late", "登记晚于改造后窗口的开始, 为补登记", "registered after the after window began: retrospective")],
    criteria: [up({
      before: [6080, 6112, 6153], after: [6190, 6221, 6260], coverage: [9655, 9876], verdict: "fail", meets: [false, false],
      reason: coded("target-missed", "按区间不利端提高 0.37 个百分点, 不到 3 个百分点", "by the unfavourable end it rose by 0.37 points, less than 3 points"),
    })],
    lines: [line("C-01", "冲床加装采集模块", [["eq-008", "冲床", "online", "press-01"]])],
    changes: [
      { ago: 40, author: "王工", reason: "企业与服务商协商后降低目标", what: both("指标 oee-up 的目标", "target of criterion oee-up"), before: "5 个百分点", after: "3 个百分点", criterion: "oee-up" },
      { ago: 12, author: "李监理", reason: "设备大修, 改造后窗口顺延一周", what: both("改造后窗口", "after window"), before: "2026-10-01 – 2026-10-29", after: "2026-10-08 – 2026-11-05", criterion: null },
    ],
  },
  {
    id: "xc-2026-012", name: "装配线 MES 接入", name_en: "Assembly line, MES connection", code: "ZJ-XC-2026-012", level: LEVELS.shop, site: "xinchang-demo", siteName: ["新昌准绳示范轴承厂（模拟）", "Xinchang demo bearing works (simulated)"],
    stage: 3, conclusion: "not-judged", in_time: true, lowest: 9902, warnings: [], running: true,
    criteria: [up({
      before: [6080, 6112, 6153], after: null, coverage: [9902, null], verdict: "not-judged", noAfter: coded("window-open", "改造后窗口尚未结束", "the after window has not ended"),
      reason: coded("window-open", "改造后窗口尚未结束, 结束后自动判定", "the after window has not ended; it is judged when it has"),
    })],
    lines: [line("C-01", "装配线采集", [["eq-001", "轴承磨床 01", "online", "grinder-01"]])],
  },
];

function line(id, name, equipment, delivered = true, reason = coded("delivered", `合同 ${equipment.length} 台, 在线 ${equipment.length} 台`, `${equipment.length} in the contract, ${equipment.length} online`)) {
  return { id, name, quantity: equipment.length, delivered, reason, equipment };
}

function windowsOf(project, now) {
  const day = Math.floor(now / DAY) * DAY - 8 * 3_600_000;
  const after = project.running ? [day - 3 * DAY, day + 11 * DAY] : [day - 15 * DAY, day - DAY];
  const period = ([from, until]) => ({ from: iso(from), until: iso(until), text: both(`${iso(from + DAY / 3).slice(0, 10)} – ${iso(until + DAY / 3 - DAY).slice(0, 10)}（${(until - from) / DAY} d）`, `${iso(from + DAY / 3).slice(0, 10)} – ${iso(until + DAY / 3 - DAY).slice(0, 10)} (${(until - from) / DAY} d)`) });
  return { baseline: period([day - 60 * DAY, day - 32 * DAY]), after: period(after), goLive: iso(day - 30 * DAY) };
}

function change(c, now) {
  return { at: iso(now - c.ago * DAY), author: c.author, reason: c.reason, log_index: String(48_000 - c.ago), hash: hash(c.author + c.ago), what: c.what, before: c.before, after: c.after, criterion: c.criterion };
}

/** The sentence of a conclusion: what is not delivered, else what the criteria came to. */
function why(p) {
  const reasons = p.conclusion === "delivery-incomplete" ? p.lines.filter((l) => !l.delivered).map((l) => l.reason) : p.criteria.map((c) => c.reason);
  return coded(p.conclusion, reasons.map((r) => r.zh).join("；"), reasons.map((r) => r.en).join("; "));
}

function projectRow(p, now) {
  const path = STAGES.map((s, i) => ({ ...s, date: i <= p.stage ? iso(now - (p.stage - i + 1) * 38 * DAY).slice(0, 10) : null }));
  const at = iso(now - (p.in_time ? 70 : 5) * DAY);
  const words = p.in_time ? both("改造后窗口开始前登记", "registered before the after window began") : both("补登记: 登记时改造后窗口已经开始", "retrospective: registered after the after window had begun");
  const judged = (code) => p.criteria.filter((c) => c.verdict === code).length;
  return {
    id: p.id, name: p.name, name_en: p.name_en, code: p.code, level: p.level, site: { id: p.site, name: p.siteName[0], name_en: p.siteName[1] }, stage: path[p.stage], path, conclusion: CONCLUSIONS[p.conclusion], conclusion_reason: why(p),
    counts: { pass: judged("pass"), fail: judged("fail"), insufficient: judged("insufficient") }, delivery: { lines: p.lines.length, delivered: p.lines.filter((l) => l.delivered).length },
    lowest_coverage: percentFigure(p.lowest), warnings: p.warnings, registered: { at, log_index: "31204", hash: hash(p.id), in_time: p.in_time, ...words }, changes: (p.changes ?? []).length, demo: true,
    state: p.running ? { ...coded("recomputing", "有新数据, 正在重算", "new data, being worked out again"), percent: 62 } : { ...coded("current", "已是最新", "current"), percent: 100 },
  };
}

function projectDetail(p, now) {
  const windows = windowsOf(p, now);
  const role = (code, zh, en, name, contact = null) => ({ role: coded(code, zh, en), name, contact });
  const equipment = ([id, name, standing, unit]) => ({
    id, name, model: standing === "missing" ? null : "3MZ1310", serial: standing === "missing" ? null : `SN-2019-${id.slice(-2)}`, standing: STANDINGS[standing], work_unit: unit,
    first_data: unit ? iso(now - 61 * DAY) : null, last_data: unit ? iso(now - 8000) : null, coverage: unit ? percentFigure(9876) : null,
  });
  const row = projectRow(p, now);
  return {
    ...row,
    parties: [role("enterprise", "企业", "Enterprise", row.site.name, "张厂长 0575-86000000"), role("supplier", "服务商", "Supplier", "绍兴某某智能科技有限公司"), role("supervisor", "监理", "Supervisor", "浙江某某监理有限公司")],
    go_live: windows.goLive, baseline: windows.baseline, after: windows.after,
    contract_lines: p.lines.map((l) => ({ ...l, equipment: l.equipment.map(equipment) })), criteria: p.criteria.map((c) => criterion(c, p, now)), changes: (p.changes ?? []).map((c) => change(c, now)),
    versions: [{ hash: hash(p.id), log_index: "31204", received: row.registered.at, author: "王工" }, ...(p.changes ?? []).map((c) => ({ hash: hash(c.author + c.ago), log_index: String(48_000 - c.ago), received: iso(now - c.ago * DAY), author: c.author }))],
    checkpoint: { origin: "plumbline.example/fixture", size: "48213", root: hash("root"), note: `plumbline.example/fixture\n48213\n${hash("root").slice(0, 43)}=\n` }, as_of: iso(now), software: "fixture",
    definitions: [coded("oee@1", "设备综合效率 OEE = Σ PRI·GQ / PBT", "OEE = Σ PRI·GQ / PBT"), coded("unit_energy@1", "单位产品电耗 = E / PQ", "energy per piece = E / PQ")],
  };
}

const COUNTIES = [["新昌县", "嵊州市"], ["余姚市"]];
const CLUSTERS = [
  { id: "xinchang-bearing", name: "新昌轴承产业集群", name_en: "Xinchang bearing cluster", kind: coded("cluster", "产业集群", "industrial cluster"), counties: COUNTIES[0] },
  { id: "yuyao-mould", name: "余姚模具塑料产业集群", name_en: "Yuyao mould and plastics cluster", kind: coded("cluster", "产业集群", "industrial cluster"), counties: COUNTIES[1] },
];
const SITES = [
  ["xinchang-demo", "新昌准绳示范轴承厂（模拟）", "Xinchang demo bearing works (simulated)", 0, "新昌县", [8, 3, 2], 4], ["shengzhou-demo", "嵊州演示工厂", "Shengzhou demo works", 0, "嵊州市", [10, 20, 0], 2],
  ["xc-03", "新昌县某某轴承有限公司", null, 0, "新昌县", [6, 0, 3], 1], ["xc-04", "新昌精密套圈厂", "Xinchang precision rings", 0, "新昌县", [4, 1, 0], 0], ["xc-05", "新昌滚子厂", "Xinchang rollers", 0, "新昌县", [2, 0, 5], null],
  ["xc-06", "嵊州保持架厂（哑设备车间）", "Shengzhou cages (dumb-machine shop)", 0, "嵊州市", [3, 0, 12], 0],
  ["yy-01", "余姚注塑一厂", "Yuyao moulding 1", 1, "余姚市", [12, 2, 0], 3], ["yy-02", "余姚模具二厂", "Yuyao moulds 2", 1, "余姚市", [5, 5, 1], null], ["yy-03", "余姚塑料三厂", "Yuyao plastics 3", 1, "余姚市", [7, 0, 0], null],
  ["yy-04", "余姚压铸四厂", "Yuyao die casting 4", 1, "余姚市", [1, 0, 9], null], ["yy-05", "余姚家电配件厂", "Yuyao appliance parts", 1, "余姚市", [0, 6, 2], null], ["yy-06", "余姚电缆厂", "Yuyao cables", 1, "余姚市", [3, 1, 1], null],
];
export const SITE_NAMES = SITES.map(([id, name, name_en, , county]) => ({ id, name, name_en, county }));

function networked([verified, declared, none]) {
  const total = verified + declared + none;
  return { verified, declared, none, total, ...both(`${verified} 已核验 / ${declared} 已申报 / ${none} 未联网（共 ${total} 台）`, `${verified} verified / ${declared} declared / ${none} not networked (of ${total})`) };
}

function region(now) {
  const sites = SITES.map(([id, name, name_en, cluster, county, counts, stage], i) => {
    const online = i === 10 ? coded("never", "从未上线", "never online") : i === 4 ? coded("silent", "静默", "silent") : coded("online", "在线", "online");
    return {
      id, name, name_en, uscc: `9133062400000000${String(i).padStart(2, "0")}`, industry: cluster === 0 ? "C3451 滚动轴承制造" : "C2929 塑料零件及其他塑料制品制造", county, clusters: [CLUSTERS[cluster].id],
      stage: stage === null ? null : STAGES[stage], projects: PROJECTS.filter((p) => p.site === id).map((p) => ({ id: p.id, name: p.name, name_en: p.name_en, stage: STAGES[p.stage], conclusion: CONCLUSIONS[p.conclusion] })),
      online, newest: online.code === "never" ? null : iso(now - (online.code === "silent" ? 31 * 3_600_000 : 6_000 + i * 1000)), networked: networked(counts), coverage: online.code === "never" ? null : percentFigure(online.code === "silent" ? 4123 : 9990 - i * 37),
      coverage_day: online.code === "never" ? null : "2026-11-24",
      contact: i === 9 ? null : { name: ["张厂长", "王设备", "陈主任"][i % 3], phone: i % 4 === 3 ? null : `0575-8600${String(1000 + i)}` }, work_units: counts[0], demo: true,
    };
  });
  const sum = (of) => networked([0, 1, 2].map((k) => of.reduce((n, s) => n + [s.networked.verified, s.networked.declared, s.networked.none][k], 0)));
  const window = { from: iso(now - 8 * DAY), until: iso(now - DAY), ...both("最近 7 个完整日", "last 7 full days") };
  const figure = (indicator, low, point, high, n) => ({ indicator, window, figure: range(percentFigure, low, point, high), sites: n, suppressed: null });
  const hidden = (indicator, n) => ({ indicator, window, figure: null, sites: n, suppressed: coded("dominance", "有一家工厂占分母 85 % 以上, 不公开", "one site carries more than 85 % of the denominator: not published") });
  const AV = { id: "availability", version: 1, zh: "可用率", en: "Availability" };
  return {
    as_of: iso(now), minimum_sites: 5,
    clusters: CLUSTERS.map((c, k) => {
      const own = sites.filter((s) => s.clusters.includes(c.id));
      return {
        ...c, sites: own.map((s) => s.id), networked: sum(own), projects: { by_stage: STAGES.map((s) => ({ ...s, count: own.filter((x) => x.stage?.code === s.code).length })) },
        figures: k === 0 ? [figure(OEE, 5911, 6020, 6144, 6), figure(AV, 7480, 7533, 7609, 6)] : [hidden(OEE, 6), { ...hidden(AV, 4), suppressed: coded("too-few-sites", "只有 4 家工厂有数据, 少于 5 家, 不公开", "only 4 sites have data, fewer than 5: not published") }],
      };
    }),
    all: { figures: [figure(OEE, 5870, 6001, 6190, 11)] }, sites,
  };
}

function maturity(now, none) {
  const states = { measured: coded("measured", "已测", "measured"), attested: coded("attested", "已申报", "declared"), unknown: coded("unknown", "未知", "unknown") };
  const item = (id, group, zh, en, state, value, settle, coverage) => ({
    id, group: both(...group), window: both("2026-10-26 至 2026-11-24（30 d）", "2026-10-26 to 2026-11-24 (30 d)"), ...both(zh, en), state: states[none ? "unknown" : state], value: none || !value ? null : both(...value), coverage: none || coverage === undefined ? null : percentFigure(coverage),
    would_settle: none ? both("先要有数据到达", "data must arrive first") : settle ? both(...settle) : null, source: both("措辞未核对标准原文", "wording not checked against the document"),
  });
  return {
    profile: { id: "cmmm-sme-draft", ...both("遥测可触及的项目（草案）", "items that telemetry touches (draft)"), verified: false }, score: null, level: null,
    reason: coded("profile_unverified", "口径、权重与分级规则尚未逐条核对标准原文, 所以不给分数, 也不给等级; 能给的只有事实", "tree, weights and rules have not been checked against the documents clause by clause, so there is no score and no level; only facts are given"),
    window: { from: iso(now - 31 * DAY), until: iso(now - DAY), ...both("2026-10-26 至 2026-11-24（30 d）", "2026-10-26 to 2026-11-24 (30 d)") },
    models: [
      { id: "cmmm", ...both("智能制造能力成熟度: 遥测触及的能力子域", "Manufacturing capability maturity: sub-domains that telemetry touches"), items: [
        item("equipment-oee", ["设备管理", "Equipment"], "依据运行参数统计设备综合效率", "Effectiveness worked out from running parameters", "measured", ["8 台设备, 720 个班次窗口", "8 work units, 720 shift windows"], null, 9876),
        item("equipment-params", ["设备管理", "Equipment"], "关键运行参数实时采集", "Key running parameters read in real time", "measured", ["34 个点位, 周期 1 s 至 10 s", "34 tags, every 1 s to 10 s"], null, 9876),
        item("network-key", ["网络", "Network"], "关键工序设备可达", "Key-process equipment can be reached", "attested", ["12 台中 8 台已核验, 4 台已申报", "8 of 12 verified, 4 declared"], ["另外 4 台接入并发来数据", "the other 4 connected and sending data"]),
        item("energy-meter", ["能源管理", "Energy"], "主要能源计量点采集", "Main energy meters read", "unknown", null, ["在台账登记应装的能源计量器具, 并接入电表", "register the meters that should exist and connect the electricity meters"]),
        item("data-auto", ["数据", "Data"], "关键环节自动采集", "Automatic acquisition of key steps", "measured", ["34 / 34 个点位自动采集", "34 of 34 tags automatic"], null, 9921),
      ] },
      { id: "sme", ...both("中小企业数字化水平: 遥测触及的项目", "SME digitalisation: items that telemetry touches"), items: [
        item("equipment-digital", ["数字化基础", "Foundation"], "设备数字化", "Digital equipment", "attested", ["30 台中 24 台, 以台账为准", "24 of 30, by the register"], ["逐台现场核对台账", "check the register machine by machine on site"]),
        item("equipment-networked", ["数字化基础", "Foundation"], "设备联网", "Networked equipment", "measured", ["10 已核验 / 20 已申报 / 0 未联网（共 30 台）", "10 verified / 20 declared / 0 not networked (of 30)"], ["20 台已申报设备向本系统发来数据", "the 20 declared ones sending data here"], 9876),
        item("quality-rate", ["数字化成效", "Outcome"], "产品质量: 月度平均合格率", "Product quality: monthly mean qualified rate", "unknown", null, ["接入不良品计数, 满一个自然月", "connect scrap counts for one calendar month"]),
      ] },
    ],
  };
}
