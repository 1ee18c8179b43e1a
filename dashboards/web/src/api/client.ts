// The one place that asks the collector. Every address is relative to the page, so the application works behind any
// path, and every failure becomes a Trouble: a code, a cause in both languages and what to do next.

import type { Words } from "./types";

/** A request that did not give its answer. `code` is searchable in the documentation. */
export class Trouble extends Error {
  constructor(
    readonly code: string,
    readonly cause_text: Words,
    readonly what_next: Words | null,
    readonly status: number,
  ) {
    super(`${code}: ${cause_text.en}`);
  }
}

/** One page of a list; `next` is the cursor for the page after it, null at the end. */
export interface Page<T> {
  rows: T[];
  next: string | null;
}

const ROOT = "api/v1";

/** The address of a resource: path parts are escaped one by one, empty query values are left out. */
export function address(parts: string[], query: Record<string, string | number | null | undefined> = {}): string {
  const path = [ROOT, ...parts.map(encodeURIComponent)].join("/");
  const pairs = Object.entries(query).filter(([, v]) => v !== null && v !== undefined && v !== "");
  const tail = pairs.map(([k, v]) => `${k}=${encodeURIComponent(String(v))}`).join("&");
  return tail ? `${path}?${tail}` : path;
}

/** Reads one JSON resource. Throws Trouble; an abort passes through as it is. */
export async function read<T>(url: string, signal?: AbortSignal): Promise<T> {
  return (await answer(url, signal)).json().catch(() => {
    throw notJson(200);
  }) as Promise<T>;
}

/** Reads one page of a list together with the cursor of the next. */
export async function readPage<T>(url: string, signal?: AbortSignal): Promise<Page<T>> {
  const response = await answer(url, signal);
  const rows = (await response.json()) as T[];
  return { rows, next: response.headers.get("next-cursor") };
}

async function answer(url: string, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { signal: signal ?? null, headers: { accept: "application/json" } });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw unreachable();
  }
  if (response.ok) return response;
  throw await refusal(response);
}

async function refusal(response: Response): Promise<Trouble> {
  try {
    const body = (await response.json()) as { error: { code: string; zh: string; en: string; what_next?: Words } };
    const { code, zh, en, what_next } = body.error;
    return new Trouble(code, { zh, en }, what_next ?? null, response.status);
  } catch {
    return notJson(response.status);
  }
}

function unreachable(): Trouble {
  return new Trouble(
    "E-WEB-1",
    { zh: "连接不上采集中心", en: "the collector cannot be reached" },
    {
      zh: "检查 plumbline-collector 是否在运行, 网络是否通; 本页每 15 s 自动重试",
      en: "check that plumbline-collector is running and the network is up; this page tries again every 15 s",
    },
    0,
  );
}

function notJson(status: number): Trouble {
  return new Trouble(
    "E-WEB-2",
    { zh: `回答不是约定的格式 (HTTP ${status})`, en: `the answer is not in the agreed form (HTTP ${status})` },
    {
      zh: "网页与采集中心的版本可能不同, 或中间有代理; 刷新页面, 仍不行请看采集中心的日志",
      en: "page and collector may differ in version, or a proxy stands between; reload, then read the collector's log",
    },
    status,
  );
}
