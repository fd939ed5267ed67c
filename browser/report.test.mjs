// The HTML report as its reader has it: in a browser, from disk. `browser/run` makes the pages and calls this.
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launch } from "./cdp.mjs";
import { HOSTILE } from "./hostile.mjs";

const PAGES = process.env.CFRAY_PAGES;
assert.ok(PAGES, "CFRAY_PAGES names the directory with the pages: call browser/run");
const file = name => join(PAGES, `${name}.html`);
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

/** Opens a page, works on it, and holds that nothing went wrong meanwhile. */
async function on(name, options, work) {
  const page = await browser.page(options);
  try {
    await page.open(file(name), { ready: options.script !== false && name !== "empty" });
    await work(page);
    const violations = options.script === false ? [] : await page.eval("window.violations ?? []");
    assert.deepEqual(page.troubles, [], "console, dialogs, requests");
    assert.deepEqual(violations, [], "Content-Security-Policy");
  } finally {
    await page.close();
  }
}

const shown = page => page.eval(() => Number(document.getElementById("shown").textContent.split(" of ")[0].replaceAll(",", "")));
const times = page => page.eval(() => [...document.querySelectorAll("#rows .open")].map(e => e.textContent));

describe("hostile values", () => {
  for (const script of [true, false]) {
    test(script ? "stay text" : "stay text without the page's script, too", () => on("hostile", { script }, async page => {
      if (script) {
        // Everything that the page can show is shown once.
        await page.eval(() => {
          for (const details of document.querySelectorAll("details")) details.open = true;
          for (const open of document.querySelectorAll("#rows .open")) open.click();
        });
        await new Promise(done => setTimeout(done, 300));
      }
      const found = await page.eval(known => {
        const count = s => document.querySelectorAll(s).length;
        const text = document.body.textContent;
        const handlers = [...document.querySelectorAll("*")].flatMap(e => e.getAttributeNames().filter(a => a.startsWith("on") || a === "style" && e.id !== "brush"));
        return {
          owned: window.owned ?? null, scripts: count("script"), images: count("img,iframe,object,embed,base,form,meta[http-equiv=refresh]"), links: count("link") + count("style"),
          headings: [...document.querySelectorAll("h1")].length, handlers, loud: count("svg") === count("svg[aria-hidden=true]"),
          unseen: text.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/g) ?? [],
          known: known.map(k => text.includes(k)),
        };
      }, HOSTILE.slice(0, 8));
      assert.equal(found.owned, null, "nothing ran");
      assert.equal(found.scripts, 2, "the data and the page's own");
      assert.equal(found.images, 0);
      assert.equal(found.links, 2, "the icon and the style");
      assert.equal(found.headings, 1);
      assert.deepEqual(found.handlers, []);
      assert.ok(found.loud);
      assert.deepEqual(found.unseen, [], "control bytes and direction marks are shown as what they are");
      assert.deepEqual(found.known, found.known.map(() => true), "the values themselves can be read");
    }));
  }

  test("a cell of thousands of characters does not widen a phone's page", () => on("hostile", { width: 360, phone: true }, async page => {
    await page.eval(() => { for (const open of document.querySelectorAll("#rows .open")) open.click(); });
    assert.ok(await page.eval("document.documentElement.scrollWidth") <= 360);
  }));
});

describe("a story", () => {
  const total = 53;

  test("the brush filters everything else", () => on("pool", {}, async page => {
    assert.equal(await shown(page), total);
    await page.drag("#plot", 0.02, 0.3);
    const span = await page.eval(() => document.getElementById("range").textContent);
    const [, from, to] = span.match(/(\d\d:\d\d:\d\d) – (\d\d:\d\d:\d\d) UTC/);
    const rows = await times(page);
    assert.ok(rows.length > 0 && rows.length < total, `${rows.length} rows between ${from} and ${to}`);
    assert.ok(rows.every(t => t.slice(11) >= from && t.slice(11) < to), "every row lies in the chosen time");
    const by = await page.eval(() => ({
      cause: Number(document.querySelector("[data-count='pool-exhausted']").textContent),
      colo: [...document.querySelectorAll("[data-dimension=colo] [data-n]")].reduce((sum, e) => sum + Number(e.textContent), 0),
      state: document.getElementById("chosen").textContent, cards: document.querySelectorAll(".card:not([hidden])").length,
    }));
    assert.equal(by.cause, rows.length, "the causes count the same time");
    assert.equal(by.colo, rows.length, "the breakdowns count the same time");
    assert.ok(by.state.includes(from));
    assert.equal(by.cards, 1);
    // A time after the last 520: nothing is left, and the page says so.
    await page.drag("#plot", 0.7, 0.95);
    assert.equal(await shown(page), 0);
    assert.equal(await page.eval(() => document.getElementById("no-episode").hidden), false);
    await page.click("#state .clear");
    assert.equal(await shown(page), total);
  }));

  test("the chart can be drawn over a part of the time, and adds up", () => on("day", {}, async page => {
    const total = await shown(page);
    const sum = () => page.eval(() => [...document.querySelectorAll("[data-count]")].reduce((sum, e) => sum + Number(e.textContent.replaceAll(",", "")), 0));
    const all = await sum();
    await page.drag("#plot", 0.001, 0.2);
    const [part, counted] = [await shown(page), await sum()];
    assert.ok(part > 0 && part < total);
    const bars = await page.eval("document.getElementById('from').max");
    await page.click("#zoom");
    assert.notEqual(await page.eval("document.getElementById('from').max"), bars, "other bars");
    assert.equal(await shown(page), part, "the same time");
    assert.equal(await sum(), counted);
    assert.ok(await page.eval("document.querySelectorAll('#plot .bars rect').length") > 0);
    await page.click("#unzoom");
    assert.equal(await shown(page), total);
    assert.equal(await sum(), all);
  }));

  test("text, cause and episode filter; headings sort", () => on("pool", {}, async page => {
    await page.click("#find");
    await page.type("/cart");
    await page.until(total => !document.getElementById("shown").textContent.startsWith(total + " "), total);
    const found = await page.eval(() => [...document.querySelectorAll("#rows tbody tr")].map(tr => tr.textContent));
    assert.ok(found.length > 0 && found.length < total);
    await page.eval(() => { const find = document.getElementById("find"); find.value = "no such thing <b>"; find.dispatchEvent(new Event("input")); });
    await page.until(() => document.querySelector("#rows .nothing"));
    await page.click(".tools .clear");
    await page.click("th[data-sort=client] button");
    const clients = () => page.eval(() => [...document.querySelectorAll("#rows td.client")].map(e => e.textContent));
    const up = await clients();
    assert.deepEqual(up, [...up].sort(), "up");
    assert.equal(await page.eval(() => document.querySelector("th[data-sort=client]").getAttribute("aria-sort")), "ascending");
    await page.click("th[data-sort=client] button");
    const down = await clients();
    assert.deepEqual(down, [...up].sort().reverse(), "down");
    await page.click(".only");
    assert.equal(await shown(page), total, "the only cause");
    await page.eval(() => document.querySelector(".only-episode").click());
    assert.equal(await shown(page), total, "the only episode");
  }));

  test("a row opens to the joint timeline", () => on("pool", {}, async page => {
    await page.click("#rows tbody tr:nth-child(3) .open");
    const story = await page.eval(() => [...document.querySelectorAll(".story li")].map(li => ({
      side: li.className, time: li.querySelector("time").textContent, head: li.querySelector(".head").textContent,
      place: li.querySelector(".place")?.textContent ?? "", text: li.querySelector(".raw")?.textContent ?? "",
    })));
    const clock = story.map(s => s.time.match(/\d\d:\d\d:\d\d\.\d{3}/)?.[0]);
    assert.ok(clock.every(Boolean));
    assert.deepEqual(clock, [...clock].sort(), "in order of time");
    assert.match(story[0].head, /Cloudflare .* receives the request/);
    assert.match(story[0].place, /http_requests\.log\.gz:\d+$/);
    assert.ok(story.some(s => s.side === "edge" && /asks the origin 192\.0\.2\.\d+/.test(s.head)), "origin connect");
    assert.ok(story.some(s => /Cloudflare answers 520/.test(s.head)), "edge end");
    const tied = story.filter(s => /tied by ray/.test(s.head));
    assert.ok(tied.length > 0, "a line tied by ray");
    const ray = await page.eval(() => document.querySelector("#rows tbody tr:nth-child(3) .ray").textContent);
    for (const line of tied) {
      assert.match(line.place, /\.log:\d+$/);
      assert.ok(line.text.includes(ray), "the raw line holds the ray");
      // File and line number lead to that very line.
      const [, path, number] = line.place.match(/^(.*):(\d+)$/);
      const raw = readFileSync(join(import.meta.dirname, "..", path), "utf8").split("\n")[Number(number) - 1];
      assert.equal(raw.slice(0, line.text.length - 1), line.text.slice(0, -1));
    }
    await page.click("#rows tbody tr:nth-child(3) .open");
    assert.equal(await page.eval("document.querySelectorAll('.story').length"), 0);
  }));

  test("the keyboard does it all", () => on("pool", {}, async page => {
    const focused = () => page.eval(() => { const e = document.activeElement; return e.id || e.className || e.tagName; });
    const tab = async wanted => {
      for (let i = 0; i < 80; i++) {
        await page.key("Tab");
        if (await focused() === wanted) return;
      }
      assert.fail(`Tab never reaches ${wanted}`);
    };
    await page.key("Tab");
    assert.equal(await focused(), "skip", "the first stop leads past the summary");
    await tab("from");
    for (let i = 0; i < 6; i++) await page.key("ArrowRight");
    const part = await shown(page);
    assert.ok(part > 0 && part < total, `${part}`);
    await page.key("Home");
    assert.equal(await shown(page), total);
    await tab("js only");
    await page.key(" ");
    assert.equal(await page.eval("document.querySelector('.only').checked"), true);
    await tab("find");
    await page.type("GRU");
    await page.until(total => !document.getElementById("shown").textContent.startsWith(total + " "), total);
    await tab("open");
    await page.key("Enter");
    assert.equal(await page.eval("document.activeElement.getAttribute('aria-expanded')"), "true");
    assert.equal(await page.eval("document.querySelectorAll('.story').length"), 1);
    await page.key(" ");
    assert.equal(await page.eval("document.querySelectorAll('.story').length"), 0);
  }));

  test("it reads without script", () => on("pool", { script: false }, async page => {
    const rows = await page.eval(() => [...document.querySelectorAll("#rows tbody tr")].map(tr => tr.textContent));
    assert.equal(rows.length, 50);
    assert.match(rows[0], /error\.log:\d+: /, "with its evidence");
    assert.equal(await page.eval("[...document.querySelectorAll('.js')].filter(e => e.offsetParent).length"), 0, "no dead controls");
    assert.ok(await page.eval("document.querySelectorAll('#plot rect').length") > 5, "with its chart");
  }));

  test("it prints", () => on("pool", {}, async page => {
    const { data } = await page.send("Page.printToPDF", { printBackground: false });
    assert.ok(Buffer.from(data, "base64").toString("latin1").startsWith("%PDF"));
    await page.send("Emulation.setEmulatedMedia", { media: "print" });
    assert.equal(await page.eval("[...document.querySelectorAll('.tools, .range, #more')].filter(e => e.offsetParent).length"), 0);
  }));
});

describe("sizes", () => {
  for (const width of [360, 768, 1600]) {
    for (const name of ["pool", "all", "empty", "day", "storm"]) {
      test(`${name} fits ${width} pixels`, () => on(name, { width, phone: width < 500 }, async page => {
        assert.ok(await page.eval("document.documentElement.scrollWidth") <= width);
      }));
    }
  }

  test("10,000 incidents: under 3 MB, all rows, interactive", async () => {
    const size = statSync(file("storm")).size;
    assert.ok(size < 3_000_000, `${size} bytes`);
    const cpu = async () => (await browser.send("SystemInfo.getProcessInfo")).processInfo.filter(p => p.type === "renderer").reduce((sum, p) => sum + p.cpuTime, 0);
    const before = await cpu();
    await on("storm", {}, async page => {
      const used = await cpu() - before;
      assert.equal(await shown(page), 10_000);
      const ready = await page.eval("performance.getEntriesByName('ready')[0].startTime");
      const started = Date.now();
      await page.drag("#plot", 0.3, 0.6);
      await page.until(() => !document.getElementById("state").hidden);
      const brushed = Date.now() - started;
      // Measured, not held: a busy machine is no fault of the page. CPU time tells how much of it was the page's.
      console.log(`    10,000 incidents: ${(size / 1e6).toFixed(2)} MB, interactive after ${Math.round(ready)} ms (wanted: 1,000) with ${Math.round(used * 1000)} ms of CPU, brushed in ${brushed} ms`);
    });
  });

  test("50,000 incidents: 10,000 rows, every episode and count", () => on("storm50k", {}, async page => {
    assert.ok(statSync(file("storm50k")).size < 3_000_000);
    assert.equal(await shown(page), 10_000);
    assert.ok(await page.eval("document.body.textContent.includes('The table holds 10,000 of 50,000 rows')"));
    const sum = () => page.eval(() => [...document.querySelectorAll("[data-count]")].reduce((sum, e) => sum + Number(e.textContent.replaceAll(",", "")), 0));
    assert.equal(await sum(), 50_000);
    const choose = (id, bar) => page.eval((id, bar) => { const e = document.getElementById(id); e.value = bar; e.dispatchEvent(new Event("input")); }, id, bar);
    const middle = Math.floor(await page.eval("Number(document.getElementById('to').max)") / 2);
    await choose("to", middle);
    const first = await sum();
    assert.ok(first > 0 && first < 50_000);
    await page.click("#state .clear");
    await choose("from", middle);
    assert.equal(first + await sum(), 50_000, "the two halves, rows that are not in the page included");
  }));
});

describe("axe finds no error", () => {
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const cases = [
    ["pool", "light", {}], ["pool", "dark", { dark: true }], ["pool", "phone", { width: 360, phone: true }], ["pool", "dark phone", { width: 360, phone: true, dark: true }],
    ["empty", "light", {}], ["empty", "dark", { dark: true }], ["empty", "phone", { width: 360, phone: true }],
    ["all", "light", {}], ["all", "dark", { dark: true }], ["hostile", "light", {}], ["day", "light", {}],
  ];
  for (const [name, look, options] of cases) {
    test(`${name}, ${look}`, () => on(name, options, async page => {
      if (name !== "empty") {
        // With something chosen, something folded out and a row open.
        await page.eval(() => {
          for (const details of document.querySelectorAll("main > section > ul details, .card details")) details.open = true;
          document.querySelector("#rows .open")?.click();
          const from = document.getElementById("from");
          if (from) { from.value = 1; from.dispatchEvent(new Event("input")); }
          document.querySelector("#rows .open")?.click();
        });
      }
      await page.eval(axe + ";0");
      const found = await page.eval(async () => {
        const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
        return violations.map(v => `${v.id} (${v.impact}): ${v.help}; ${v.nodes.slice(0, 3).map(n => n.target.join(" ") + " " + (n.any[0]?.message ?? "")).join("; ")}`);
      });
      assert.deepEqual(found, []);
    }));
  }
});
