// The addresses of the application: #/path?query. Pure: a text becomes a route and a route becomes a text.

export type Route =
  | { page: "overview"; site: string | null }
  | { page: "unit"; site: string; unit: string; pick: string; from: string | null; to: string | null; kind: string }
  | { page: "window"; site: string; unit: string; start: string; end: string; kind: string | null; project: string | null }
  | { page: "samples"; site: string; unit: string; tag: string; from: string; to: string; back: string | null; project: string | null }
  | { page: "block"; hash: string; site: string | null; unit: string | null; project: string | null }
  | { page: "equipment"; site: string | null }
  | { page: "agents" }
  | { page: "log" }
  | { page: "projects" }
  | { page: "project"; project: string }
  | { page: "maturity"; site: string | null }
  | { page: "region"; cluster: string; county: string; stage: string; sort: string; down: boolean }
  | { page: "lost" };

/** What an address names. */
export function parseRoute(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?");
  const q = new URLSearchParams(search);
  const [page = "", ...rest] = path.split("/").filter(Boolean).map(unescape);
  const [a, b, c, d] = rest;
  switch (page) {
    case "":
      return { page: "overview", site: null };
    case "site":
      return a ? { page: "overview", site: a } : { page: "lost" };
    case "unit":
      if (!a || !b) return { page: "lost" };
      return {
        page: "unit",
        site: a,
        unit: b,
        pick: q.get("window") ?? "this",
        from: q.get("from"),
        to: q.get("to"),
        kind: q.get("kind") ?? "shift",
      };
    case "window":
      if (!a || !b || !c || !d) return { page: "lost" };
      return { page: "window", site: a, unit: b, start: c, end: d, kind: q.get("kind"), project: q.get("project") };
    case "samples":
      if (!a || !b || !c) return { page: "lost" };
      return {
        page: "samples",
        site: a,
        unit: b,
        tag: c,
        from: q.get("from") ?? "",
        to: q.get("to") ?? "",
        back: q.get("window"),
        project: q.get("project"),
      };
    case "block":
      return a ? { page: "block", hash: a, site: q.get("site"), unit: q.get("unit"), project: q.get("project") } : { page: "lost" };
    case "equipment":
      return { page: "equipment", site: a ?? null };
    case "agents":
      return { page: "agents" };
    case "log":
      return { page: "log" };
    case "projects":
      return { page: "projects" };
    case "project":
      return a ? { page: "project", project: a } : { page: "lost" };
    case "maturity":
      return { page: "maturity", site: a ?? null };
    case "region":
      return {
        page: "region",
        cluster: q.get("cluster") ?? "",
        county: q.get("county") ?? "",
        stage: q.get("stage") ?? "",
        sort: q.get("sort") ?? "",
        down: q.get("order") === "down",
      };
    default:
      return { page: "lost" };
  }
}

/** The readers that the application has a door for. */
export type Area = "factory" | "expert" | "region";

/** Whose page it is: a window opened from a project stays with the evaluator. */
export function areaOf(route: Route): Area {
  if (route.page === "region") return "region";
  if (route.page === "projects" || route.page === "project" || route.page === "maturity") return "expert";
  return "project" in route && route.project ? "expert" : "factory";
}

function unescape(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function link(parts: string[], query: Record<string, string | null | undefined> = {}): string {
  const pairs = Object.entries(query).filter((p): p is [string, string] => Boolean(p[1]));
  const tail = pairs.map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join("&");
  return `#/${parts.map(encodeURIComponent).join("/")}${tail ? `?${tail}` : ""}`;
}

/** Links to every page. */
export const to = {
  overview: (site: string | null) => (site ? link(["site", site]) : "#/"),
  unit: (site: string, unit: string, q: { window?: string; from?: string; to?: string; kind?: string } = {}) =>
    link(["unit", site, unit], q),
  window: (site: string, unit: string, w: { start: string; end: string; kind?: string | null; project?: string | null }) =>
    link(["window", site, unit, w.start, w.end], { kind: w.kind ?? null, project: w.project ?? null }),
  samples: (site: string, unit: string, tag: string, span: { from: string; to: string; window?: string | null; project?: string | null }) =>
    link(["samples", site, unit, tag], span),
  block: (hash: string, from: { site?: string | null; unit?: string | null; project?: string | null } = {}) => link(["block", hash], from),
  equipment: (site: string | null) => (site ? link(["equipment", site]) : "#/equipment"),
  agents: () => "#/agents",
  log: () => "#/log",
  projects: () => "#/projects",
  project: (id: string) => link(["project", id]),
  maturity: (site: string | null) => (site ? link(["maturity", site]) : "#/maturity"),
  region: (q: { cluster?: string; county?: string; stage?: string; sort?: string; order?: string } = {}) => link(["region"], q),
};
