// The evaluator's and the region's walk: from a row of 区域 to the register words behind one verdict in at most five clicks,
// by pointer and by keyboard alone, in both languages and widths; then every project and a maturity page. It finds what it
// needs by asking the interface, and holds every figure on a project's page against the interface's own answer.

import assert from "node:assert/strict";
import { HEX_WORDS, SCREENS, accessible, enter, keyboardReaches, onPage, open, papersThere, picture, sound } from "./browser.mjs";

const MOST_CLICKS = 5;
/** How long figures may take after the demo's history has arrived. */
const COMPUTED_MS = 180_000;
/** What the demo's three projects must come out as; a collector may hold more. */
const EXPECTED = ["pass", "insufficient", "delivery-incomplete"];

export async function programme(browser, base, guarded) {
  let found = null;
  await guarded("projects of the interface", async () => {
    found = await survey(base);
    return found.projects.map((p) => `${p.id} ${p.conclusion.code}`).join(", ");
  });
  if (!found) return;
  await guarded("conclusions of the demo", () => {
    const codes = found.projects.map((p) => p.conclusion.code);
    for (const code of EXPECTED) assert.ok(codes.includes(code), `a project comes out as ${code}, found ${codes.join(", ")}`);
    return EXPECTED.join(", ");
  });
  for (const lang of ["zh", "en"]) {
    for (const screen of SCREENS) {
      for (const by of ["pointer", "keyboard"]) {
        await guarded(`region to words, ${lang} ${screen.name}, by ${by}`, () => onPage(browser, screen, (page) => down(page, base, found, lang, screen, by)));
      }
      await guarded(`projects, ${lang} ${screen.name}`, () => onPage(browser, screen, (page) => projects(page, base, found, lang, screen)));
      await guarded(`region and maturity, ${lang} ${screen.name}`, () => onPage(browser, screen, (page) => regionAndMaturity(page, base, found, lang, screen)));
    }
  }
  await guarded("old answers", () => old(browser, base, found));
  await guarded("dark", () => onPage(browser, SCREENS[0], (page) => dark(page, base, found), { colorScheme: "dark" }));
}

async function survey(base) {
  const projects = await settled(base);
  const details = await Promise.all(projects.map((p) => json(base, `projects/${encodeURIComponent(p.id)}`)));
  assert.ok(details.length > 0, "there are projects");
  return { projects: details, region: await json(base, "region") };
}

/** The projects once those whose windows are over have their last figures; a demo works them out after its history
    has arrived. */
async function settled(base) {
  const until = Date.now() + COMPUTED_MS;
  for (;;) {
    const projects = await json(base, "projects");
    const open = projects.filter((p) => p.state.code !== "current" && p.conclusion.code !== "not-judged");
    if ((projects.length > 0 && open.length === 0) || Date.now() > until) return projects;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function json(base, path) {
  const response = await fetch(`${base}/api/v1/${path}`);
  assert.equal(response.status, 200, `GET /api/v1/${path} answers 200`);
  return response.json();
}

/** Region → project → the window of one work unit's figure → samples with their register words → their block. */
async function down(page, base, found, lang, screen, by) {
  const project = found.projects.find((p) => p.conclusion.code === "pass") ?? found.projects.find((p) => p.criteria.some((c) => c.after.figure.point));
  let clicks = 0;
  const choose = async (target) => {
    clicks += 1;
    if (by === "pointer") await target.click();
    else await enter(page, target);
  };
  await open(page, base, `?lang=${lang}#/region`, "[data-testid=region]");
  await choose(page.locator(`[data-testid=site-project][data-project="${project.id}"]`).first());
  await page.getByTestId("conclusion").waitFor();
  assert.equal(await page.getByTestId("conclusion").getAttribute("data-code"), project.conclusion.code);
  const criterion = page.getByTestId("criterion").first();
  await choose(criterion.getByTestId("part-after").first());
  await page.getByTestId("formula").waitFor();
  assert.equal(await page.getByTestId("door-expert").getAttribute("aria-current"), "true", "a window opened from a project stays with the evaluator");
  await sound(page, lang);
  if (by === "pointer") await picture(page, `${lang}-${screen.name}-15-window-of-project`);
  await choose(page.getByTestId("inputs").locator("a").first());
  await page.getByTestId("samples").waitFor();
  const sample = page.getByTestId("sample").filter({ has: page.getByText(/^\s*0x[0-9a-f]+/i) }).first();
  const words = (await sample.getByTestId("words").innerText()).trim();
  assert.match(words, HEX_WORDS, `register words are shown, found "${words}"`);
  assert.ok(clicks <= MOST_CLICKS, `at most ${MOST_CLICKS} clicks to the words, took ${clicks}`);
  const toWords = clicks;
  await choose(sample.getByTestId("block-link").locator("a"));
  await page.getByTestId("block-log-index").waitFor();
  assert.equal(await page.getByTestId("signature").getAttribute("data-ok"), "true", "the block's signature is valid");
  await page.getByTestId("crumbs").locator("a").first().click();
  await page.getByTestId("conclusion").waitFor();
  return `${toWords} clicks to ${words}`;
}

/** The list, then each project: its conclusion and reasons are there, and its figures are the interface's. */
async function projects(page, base, found, lang, screen) {
  await open(page, base, `?lang=${lang}#/projects`, "[data-testid=projects]");
  assert.equal(await page.getByTestId("project-row").count(), found.projects.length, "every project has a row");
  await sound(page, lang);
  await picture(page, `${lang}-${screen.name}-11-projects`);
  if (lang === "zh") await keyboardReaches(page);
  const seen = new Set();
  let figures = 0;
  for (const { id } of found.projects) {
    const project = await json(base, `projects/${encodeURIComponent(id)}`);
    await open(page, base, `#/project/${encodeURIComponent(project.id)}`, "[data-testid=conclusion]");
    await sound(page, lang);
    figures += await sameFigures(page, project, lang);
    await says(page, project, lang);
    assert.equal(await papersThere(page), 2, "a project offers its sheet and its workbook");
    if (seen.has(project.conclusion.code)) continue;
    seen.add(project.conclusion.code);
    await picture(page, `${lang}-${screen.name}-12-project-${project.conclusion.code}`);
    if (lang === "zh") await keyboardReaches(page);
  }
  return `${found.projects.length} projects, ${figures} figures as in the interface`;
}

/** What the page of a project must name: each criterion's verdict and reason, what would settle it, each change and author. */
async function says(page, project, lang) {
  // A sentence may begin with a capital on the page.
  const text = (await page.locator("main").innerText()).toLowerCase();
  const says = (words) => text.includes(words.toLowerCase());
  const wanted = [project.conclusion, project.conclusion_reason, project.registered];
  for (const line of project.contract_lines) wanted.push(line.reason);
  for (const c of project.criteria) wanted.push(c.verdict, c.reason, c.statistics, ...c.settle);
  // A warning may count hours, so its code stands for it.
  for (const w of project.warnings) assert.ok(says(w.code), `the page of ${project.id} warns of ${w.code}`);
  for (const w of wanted) assert.ok(says(w[lang]), `the page of ${project.id} says "${w[lang]}"`);
  for (const c of project.changes) assert.ok(says(c.what[lang]) && says(c.author), `the page of ${project.id} names ${c.author} and "${c.what[lang]}"`);
  const late = await page.getByTestId("registered").getAttribute("data-in-time");
  assert.equal(late, String(project.registered.in_time), "the page says whether it was registered in time");
}

/** Every figure with a key, to the last digit. */
async function sameFigures(page, project, lang) {
  const wanted = new Map();
  const put = (key, figure) => wanted.set(key, figure);
  for (const c of project.criteria) {
    const name = `criterion.${c.id}`;
    const ranges = { before: c.before.figure, after: c.after.figure, points: c.points, relative: c.relative };
    for (const [what, range] of Object.entries(ranges)) for (const end of ["point", "low", "high"]) put(`${name}.${what}.${end}`, range?.[end] ?? null);
    put(`${name}.before.coverage`, c.before.coverage);
    put(`${name}.after.coverage`, c.after.coverage);
    put(`${name}.coverage_minimum`, c.coverage_minimum);
  }
  const shown = await page.locator("[data-key]").evaluateAll((all) => all.map((e) => [e.dataset.key, e.dataset.value ?? null, e.textContent.trim()]));
  assert.deepEqual(shown.map(([key]) => key).sort(), [...wanted.keys()].sort(), "the page shows each figure once");
  for (const [key, value, text] of shown) {
    const figure = wanted.get(key);
    assert.equal(text, figure === null ? "—" : figure.text[lang], `${project.id} ${key}`);
    assert.equal(value, figure === null ? null : String(figure.value), `${project.id} ${key} as a number`);
  }
  return shown.length;
}

async function regionAndMaturity(page, base, found, lang, screen) {
  const { region } = found;
  await open(page, base, `?lang=${lang}#/region`, "[data-testid=region]");
  const rows = page.getByTestId("site-row");
  assert.equal(await rows.count(), region.sites.length, "every site has a row");
  assert.equal(await papersThere(page), 1, "the region offers its workbook");
  for (const site of region.sites) {
    const text = await page.locator(`[data-testid=site-row][data-site="${site.id}"]`).innerText();
    for (const n of [site.networked.verified, site.networked.declared, site.networked.none, site.networked.total]) assert.ok(text.includes(String(n)), `${site.id} shows its count ${n}`);
  }
  await sound(page, lang);
  await picture(page, `${lang}-${screen.name}-10-region`);
  if (lang === "zh") await keyboardReaches(page);

  const cluster = region.clusters[0];
  await page.getByTestId("filter-cluster").selectOption(cluster.id);
  await page.waitForFunction((n) => document.querySelectorAll("[data-testid=site-row]").length === n, cluster.sites.length);
  await page.getByTestId("sort-networked").click();
  await page.locator("th[aria-sort=ascending]").waitFor();
  await page.getByTestId("sort-networked").click();
  await page.locator("th[aria-sort=descending]").waitFor();
  await page.reload();
  await page.getByTestId("site-row").first().waitFor();
  assert.equal(await rows.count(), cluster.sites.length, "a filtered table keeps its address");
  await sound(page, lang);
  await page.getByTestId("filter-clear").click();
  await page.waitForFunction((n) => document.querySelectorAll("[data-testid=site-row]").length === n, region.sites.length);

  const site = found.projects[0].site.id;
  await open(page, base, `#/maturity/${encodeURIComponent(site)}`, "[data-testid=model]");
  assert.ok((await page.getByTestId("item").count()) > 0, "the maturity page lists items");
  await sound(page, lang);
  await picture(page, `${lang}-${screen.name}-13-maturity`);
  if (lang === "zh") await keyboardReaches(page);
  return `${region.sites.length} sites, ${region.clusters.length} clusters`;
}

/** When newer answers fail, the last good one stays, and the page says that it is old and what to do. */
async function old(browser, base, found) {
  const context = await browser.newContext({ viewport: SCREENS[0].viewport });
  const page = await context.newPage();
  const addresses = ["#/projects", "#/region", `#/project/${encodeURIComponent(found.projects[0].id)}`];
  try {
    await page.clock.install();
    for (const address of addresses) {
      await open(page, base, address, "[data-testid=region], [data-testid=projects], [data-testid=conclusion]");
      await page.route("**/api/v1/**", (route) => route.abort());
      await page.clock.fastForward(61_000);
      const notice = page.getByTestId("notice").filter({ hasText: "E-WEB-1" });
      await notice.waitFor();
      assert.match(await notice.innerText(), /下一步[\s\S]*以下仍是上次读到的数据/, "says the next step and that what follows is old");
      assert.ok((await page.locator(".old").count()) > 0, "what is kept is hatched");
      await accessible(page);
      await picture(page, `zh-1440-16-old-${addresses.indexOf(address)}`);
      await page.unroute("**/api/v1/**");
    }
    return addresses.join(", ");
  } finally {
    await context.close();
  }
}

async function dark(page, base, found) {
  const addresses = { region: "#/region", projects: "#/projects", maturity: "#/maturity" };
  for (const code of new Set(found.projects.map((p) => p.conclusion.code))) addresses[`project-${code}`] = `#/project/${found.projects.find((p) => p.conclusion.code === code).id}`;
  const shows = "[data-testid=region], [data-testid=projects], [data-testid=model], [data-testid=conclusion]";
  for (const [name, address] of Object.entries(addresses)) {
    await open(page, base, address, shows);
    await accessible(page);
    await picture(page, `zh-1440-14-dark-${name}`);
  }
  return Object.keys(addresses).join(", ");
}
