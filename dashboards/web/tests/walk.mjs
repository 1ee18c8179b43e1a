// The walk that issue after issue must keep: from a work unit's OEE on the overview to the register words behind it in at
// most four clicks, in both languages, without a console error and without a request that leaves loopback.
//
// Beside it: the evaluator's and the region's pages (walk-programme.mjs), every work unit with every input on a narrow
// screen, WCAG 2.2 AA by axe-core on every page, the Tab key, and (on the fixture) what a reader sees before the first data.
// It holds on a collector whose data is seconds old and whose history is still arriving: it waits for what a page
// shows, never for a time.
//
//   BASE_URL=http://127.0.0.1:8080 PICTURES=/some/folder node tests/walk.mjs
//
// Without BASE_URL it walks the fixture server. CHROMIUM names the browser (default /usr/bin/chromium).
// UNIT names the work unit to walk from (default: the first whose OEE has a value).
// Exit code 0 when everything held, 1 otherwise with one line for each thing that did not.

import assert from "node:assert/strict";
import { HEX_WORDS, PATIENCE_MS, SCREENS, accessible, keyboardReaches, launch, onPage, open, picture, sound, tally } from "./browser.mjs";
import { programme } from "./walk-programme.mjs";

const MOST_CLICKS = 4;
const faults = [];
const fixture = process.env.BASE_URL ? null : await (await import("./fixture-server.mjs")).start();
const base = (process.env.BASE_URL ?? fixture.address).replace(/\/$/, "");
const browser = await launch();
try {
  await guarded("keyboard, paging, memory", () => onPage(browser, SCREENS[0], journeys));
  for (const lang of ["zh", "en"]) for (const screen of SCREENS) await guarded(`${lang} ${screen.name}`, () => walk(lang, screen));
  for (const lang of ["zh", "en"]) await guarded(`${lang} every work unit`, () => everyUnit(lang, SCREENS[1]));
  await programme(browser, base, guarded);
  if (fixture) for (const mode of ["empty", "nodata", "error"]) await guarded(`before data: ${mode}`, () => beforeData(mode));
} finally {
  await browser.close();
  fixture?.stop();
}
console.log(`axe-core audits: ${tally.audits}, stops of the Tab key: ${tally.stops}`);
for (const fault of faults) console.error(`not ok: ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;

async function guarded(name, action) {
  try {
    console.log(`ok: ${name}: ${await action()}`);
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
  }
}

/** One walk with a new browser profile; returns what was found, throws at the first thing that does not hold. */
function walk(lang, screen) {
  const locale = lang === "zh" ? "zh-CN" : "en-GB";
  return onPage(browser, screen, (page) => walkDown(page, lang, screen), { locale });
}

async function walkDown(page, lang, screen) {
  const keep = async (name) => {
    await picture(page, `${lang}-${screen.name}-${name}`);
    // What Tab reaches does not hang on the language.
    if (lang === "zh") await keyboardReaches(page);
  };
  await page.goto(`${base}/?lang=${lang}`);
  await page.getByTestId("board").waitFor();
  const row = await rowWithOee(page);
  const unit = await row.getAttribute("data-unit");
  await sound(page, lang);
  await keep("1-overview");

  let clicks = 0;
  const click = async (target) => {
    await target.click();
    clicks += 1;
  };
  await click(row.getByTestId("unit-oee"));
  await page.getByTestId("timeline").waitFor();
  await page.getByTestId("ledger").waitFor();
  await sound(page, lang);
  await keep("2-unit");
  await page.evaluate(() => window.scrollTo(0, 0));

  await click(page.getByTestId("oee-link"));
  await page.getByTestId("formula").waitFor();
  await sound(page, lang);
  await keep("3-window");

  await click(page.getByTestId("inputs").locator("a").first());
  await page.getByTestId("samples").waitFor();
  const sample = page.getByTestId("sample").filter({ has: page.getByText(/^\s*0x[0-9a-f]+/i) }).first();
  const words = (await sample.getByTestId("words").innerText()).trim();
  const index = (await sample.getByTestId("log-index").innerText()).trim();
  assert.match(words, HEX_WORDS, `register words are shown, found "${words}"`);
  assert.match(index, /^\d+$/, `the log index is shown, found "${index}"`);
  assert.ok(await sample.getByTestId("words").isVisible(), "the words are visible");
  const hash = await sample.getByTestId("block-link").getAttribute("title");
  assert.match(hash, /^[0-9a-f]{64}$/, "the sample names its block");
  assert.ok(clicks <= MOST_CLICKS, `at most ${MOST_CLICKS} clicks to the words, took ${clicks}`);
  await sound(page, lang);
  await keep("4-samples");

  await click(sample.getByTestId("block-link").locator("a"));
  await page.getByTestId("block-log-index").waitFor();
  assert.match((await page.getByTestId("block-log-index").innerText()).trim(), /^\d+$/, "the block shows its log index");
  assert.equal(await page.getByTestId("signature").getAttribute("data-ok"), "true", "the block's signature is valid");
  assert.ok((await page.getByTestId("block-hash").innerText()).includes(hash), "the block is the one the sample named");
  assert.ok(clicks <= MOST_CLICKS, `at most ${MOST_CLICKS} clicks to the block, took ${clicks}`);
  await sound(page, lang);
  await keep("5-block");

  for (const place of ["equipment", "agents", "log"]) {
    await page.getByTestId(`nav-${place}`).click();
    await page.getByTestId(`page-${place}`).waitFor();
    await page.waitForLoadState("domcontentloaded");
    await page.waitForFunction(() => document.querySelector("main table, main dl, main [data-testid=notice]") !== null);
    await sound(page, lang);
    await keep(`6-${place}`);
  }
  if (lang === "zh" && screen.name === "1440") await darkPictures(page, unit);
  return `${unit}: ${clicks} clicks to words ${words} in block ${hash.slice(0, 12)} at log index ${index}`;
}

/** By keyboard from the timeline to samples and back; a page that is read anew stays; language survives a reload. */
async function journeys(page) {
  await page.goto(`${base}/`);
  const row = await rowWithOee(page);
  await sound(page, "zh");
  await page.getByTestId("language").click();
  await sound(page, "en");
  await page.reload();
  await page.getByTestId("board").waitFor();
  await sound(page, "en");

  await row.getByTestId("unit-oee").focus();
  await page.keyboard.press("Enter");
  await page.getByTestId("timeline").waitFor();
  await page.getByTestId("timeline").focus();
  await page.keyboard.press("ArrowRight");
  const option = await page.getByTestId("timeline").getAttribute("aria-activedescendant");
  assert.ok(option, "an arrow key chooses a segment");
  await page.keyboard.press("Enter");
  await page.getByTestId("page-samples").waitFor();
  await page.goBack();
  await page.getByTestId("result").evaluate((card) => void (card.dataset.kept = "yes"));
  await page.waitForResponse((response) => response.url().includes("/windows?"));
  await page.getByTestId("ledger").waitFor();
  assert.equal(await page.getByTestId("result").getAttribute("data-kept"), "yes", "new data change a page, they do not build it anew");
  for (const preset of ["previous", "today", "yesterday"]) {
    await page.getByTestId(`pick-${preset}`).click();
    await page.locator("[data-testid=result], [data-testid=notice]").first().waitFor();
    await sound(page, "en");
  }
  await page.getByTestId("pick-today").click();
  await page.getByTestId("oee-link").click();
  await page.getByTestId("inputs").locator("a").first().click();
  const first = await page.getByTestId("sample").first().innerText();
  const next = page.getByTestId("next-page");
  if (await next.isEnabled()) {
    await next.click();
    await page.waitForFunction((before) => document.querySelector("[data-testid=sample]")?.innerText !== before, first);
  }
  await sound(page, "en");
  return "done";
}

/** Every work unit of the site that speaks most protocols: its page, its current window, the samples of each input; all of it must fit and read. */
function everyUnit(lang, screen) {
  return onPage(browser, screen, (page) => unitByUnit(page, lang, screen));
}

async function unitByUnit(page, lang, screen) {
  const seen = { units: 0, inputs: 0 };
  const site = await mostMixed();
  await page.goto(`${base}/?lang=${lang}#/site/${encodeURIComponent(site)}`);
  await page.getByTestId("board").waitFor();
  const rows = page.getByTestId("unit-row");
  const units = await rows.evaluateAll((all) => all.map((row) => [row.dataset.unit, row.querySelector("[data-testid=unit-oee]").hash]));
  for (const [unit, address] of units) {
    await open(page, base, address, "[data-testid=result], main [data-testid=notice]");
    if ((await page.getByTestId("result").count()) > 0) await page.getByTestId("timeline").waitFor();
    await page.getByTestId("windows").locator("table, [data-testid=notice]").first().waitFor();
    await sound(page, lang);
    await picture(page, `${lang}-${screen.name}-8-${unit}`);
    seen.units += 1;
    const link = page.getByTestId("oee-link");
    if ((await link.count()) === 0) continue;
    await open(page, base, await link.evaluate((a) => a.hash), "[data-testid=formula], main [data-testid=notice]");
    await sound(page, lang);
    const inputs = await page.getByTestId("inputs").locator("a").evaluateAll((all) => all.map((a) => a.hash));
    for (const input of inputs) {
      await open(page, base, input, "[data-testid=samples], main [data-testid=notice]");
      // Inputs differ in their values alone: the first one stands for all before axe.
      await sound(page, lang, input === inputs[0]);
      seen.inputs += 1;
    }
  }
  assert.ok(seen.units > 0 && seen.inputs > 0, "the site has work units and these have inputs");
  return `${site}: ${seen.units} work units, ${seen.inputs} inputs`;
}

/** The site with most protocols, of these the one with most work units. */
async function mostMixed() {
  const json = async (path) => (await fetch(`${base}/api/v1/${path}`)).json();
  const sites = await json("sites");
  const ranked = await Promise.all(
    sites.map(async ({ id }) => {
      const units = await json(`sites/${encodeURIComponent(id)}/work-units`);
      return { id, rank: new Set(units.map((u) => u.protocol)).size * 1000 + units.length };
    }),
  );
  return ranked.reduce((a, b) => (b.rank > a.rank ? b : a)).id;
}

/** Before there is data, or while the collector fails, each page says what is the matter and what to do next. */
async function beforeData(mode) {
  const server = await (await import("./fixture-server.mjs")).start(0, mode);
  const context = await browser.newContext({ viewport: SCREENS[1].viewport });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const pages = { "": "9", "#/projects": "9-projects", "#/region": "9-region", "#/maturity": "9-maturity" };
  try {
    for (const lang of ["zh", "en"]) {
      for (const [address, name] of Object.entries(pages)) {
        if (mode === "empty" && address === "#/maturity") continue;
        await open(page, server.address, `?lang=${lang}${address}`, "main [data-testid=notice]");
        const notice = page.getByTestId("notice").first();
        assert.ok((await notice.innerText()).includes(lang === "zh" ? "下一步" : "Next step"), `the notice names the next step on ${page.url()}`);
        await sound(page, lang);
        await picture(page, `${lang}-390-${name}-${mode}`);
      }
    }
    return "says the next step";
  } finally {
    await context.close();
    server.stop();
  }
}

async function rowWithOee(page) {
  const wanted = process.env.UNIT;
  if (wanted) return page.locator(`[data-testid=unit-row][data-unit="${wanted}"]`);
  const row = page.getByTestId("unit-row").filter({ has: page.getByTestId("unit-oee").filter({ hasText: "%" }) }).first();
  await row.waitFor();
  return row;
}

async function darkPictures(page, unit) {
  await page.getByTestId("theme").click();
  await page.getByTestId("theme").click();
  await page.getByTestId("nav-overview").click();
  const row = page.locator(`[data-testid=unit-row][data-unit="${unit}"]`);
  await row.waitFor();
  await accessible(page);
  await picture(page, "zh-1440-7-dark-overview");
  await row.getByTestId("unit-oee").click();
  await page.getByTestId("ledger").waitFor();
  await accessible(page);
  await picture(page, "zh-1440-7-dark-unit");
}
