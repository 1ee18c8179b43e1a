// What every walk in a browser shares: contexts whose console and requests are watched, what must hold on each page,
// axe-core for WCAG 2.2 AA, and the keyboard.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import axe from "axe-core";
import { chromium } from "playwright-core";

export const PATIENCE_MS = 60_000;
export const HEX_WORDS = /^0x[0-9a-f]{2,}( 0x[0-9a-f]{2,})*$/i;
export const SCREENS = [
  { name: "1440", viewport: { width: 1440, height: 900 } },
  { name: "390", viewport: { width: 390, height: 844 } },
];
const SPOILT =
  /\b(NaN|undefined|null|Invalid Date|\[object Object\])\b|\b(app|nav|state|col|factor|timeline|leaf|picker|unit|window|samples|block|role|marks|networked|overview|equipment|agents|expert|criterion|delivery|region|maturity|definitions|area)\.(?!xlsx|toml)[a-z_]+\b/;
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"];
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const pictures = process.env.PICTURES;
if (pictures) await mkdir(pictures, { recursive: true });

/** What was looked at, for the last line of a walk. */
export const tally = { audits: 0, stops: 0 };

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
}

/** Runs `action` with a page of its own; afterwards nothing may have been complained about. */
export async function onPage(browser, screen, action, options = {}) {
  const context = await browser.newContext({ viewport: screen.viewport, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = watch(page);
  try {
    const told = await action(page);
    assert.deepEqual(complaints, [], "no console error and no request off loopback");
    return told;
  } finally {
    for (const c of complaints) console.error(`   ${c}`);
    await context.close();
  }
}

/** Keeps a picture of the whole page where pictures are wanted. */
export async function picture(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}

/** Collects console errors, page errors, failed requests and requests that leave loopback. */
function watch(page) {
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`page: ${error.message}`));
  page.on("request", (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol === "about:") return;
    if (!/^https?:$/.test(protocol) || !["127.0.0.1", "localhost", "[::1]"].includes(hostname)) complaints.push(`off loopback: ${request.url()}`);
  });
  return complaints;
}

/** Opens an address of the application on a new page and waits for one of the things it may show. */
export async function open(page, base, address, shows) {
  await page.goto("about:blank");
  await page.goto(`${base}/${address}`);
  await page.locator(shows).first().waitFor();
}

/** What must hold on every page: the right language, no spoilt text, no sideways scrolling, and (`audit`) nothing that axe objects to. */
export async function sound(page, lang, audit = true) {
  const { text, width, language } = await page.evaluate(() => ({
    text: document.body.innerText,
    width: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    language: document.documentElement.lang,
  }));
  assert.equal(language, lang === "zh" ? "zh-CN" : "en", "the page says its language");
  const spoilt = SPOILT.exec(text);
  assert.equal(spoilt, null, `no spoilt text, found "${spoilt?.[0]}" on ${page.url()}`);
  assert.ok(width <= 0, `no sideways scrolling, ${width} px too wide on ${page.url()}`);
  if (audit) await accessible(page);
}

/** Every paper that the page offers (sheet, workbook) is there. */
export async function papersThere(page) {
  const papers = await page.locator("a[href^='api/']").evaluateAll((all) => all.map((a) => a.href));
  for (const paper of papers) {
    const response = await fetch(paper);
    assert.equal(response.status, 200, `${paper} is there`);
    assert.ok((await response.arrayBuffer()).byteLength > 0, `${paper} is not empty`);
  }
  return papers.length;
}

/** No violation of WCAG 2.2 A or AA that axe-core can see. */
export async function accessible(page) {
  // Through the debugger, so that the page's own policy needs no exception for it.
  if (!(await page.evaluate("typeof axe !== 'undefined'"))) await page.evaluate(axe.source);
  const violations = await page.evaluate(async (tags) => {
    const result = await globalThis.axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
    return result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(" ")} ${n.any[0]?.message ?? ""}`).slice(0, 4).join(" | ")}`);
  }, WCAG);
  tally.audits += 1;
  assert.ok(violations.length === 0, `axe-core on ${page.url()}: ${violations.join("; ")}`);
}

/** Presses Tab until the target has the focus; it must show that it has. */
export async function tabTo(page, target, most = 400) {
  await target.waitFor();
  const element = await target.elementHandle();
  for (let n = 0; n < most; n++) {
    if (await element.evaluate((e) => e === document.activeElement)) {
      assert.ok(await element.evaluate(shows), "the focus can be seen");
      return n;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not reach ${await element.evaluate((e) => e.outerHTML.slice(0, 120))} on ${page.url()}`);
}

/** Chooses a target by keyboard alone. */
export async function enter(page, target) {
  await tabTo(page, target);
  await page.keyboard.press("Enter");
}

/** Whether the element that has the focus shows it: an outline of its own or a ring. */
function shows(e) {
  const style = getComputedStyle(e);
  return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== "none";
}

/** Everything that can be used by pointer is a stop of the Tab key, and each stop shows the focus. */
export async function keyboardReaches(page) {
  const wanted = await page.evaluate(() => {
    const all = document.querySelectorAll("a[href], button:not(:disabled), select, input, summary, [tabindex='0']");
    const seen = [...all].filter((e) => e.checkVisibility({ visibilityProperty: true }));
    seen.forEach((e, i) => (e.dataset.walk = String(i)));
    document.activeElement?.blur?.();
    return seen.length;
  });
  const reached = new Set();
  const blind = new Set();
  for (let n = 0; n < wanted + 12 && reached.size < wanted; n++) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluateHandle(() => document.activeElement ?? document.body);
    const { mark, html } = await stop.evaluate((e) => ({ mark: e.dataset.walk ?? null, html: e.outerHTML.slice(0, 100) }));
    if (mark !== null) {
      reached.add(mark);
      if (!(await stop.evaluate(shows))) blind.add(html);
    }
    await stop.dispose();
  }
  const left = await page.evaluate((marks) => {
    const all = [...document.querySelectorAll("[data-walk]")];
    const lost = all.filter((e) => !marks.includes(e.dataset.walk)).map((e) => e.outerHTML.slice(0, 100));
    all.forEach((e) => delete e.dataset.walk);
    return lost;
  }, [...reached]);
  tally.stops += reached.size;
  assert.deepEqual(left, [], `Tab reaches everything on ${page.url()}`);
  assert.deepEqual([...blind], [], `every stop of the Tab key shows the focus on ${page.url()}`);
}
