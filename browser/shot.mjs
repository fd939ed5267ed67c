// Takes a picture of a report: node shot.mjs PAGE.html OUT.png [width=1600] [top=0] [height=N] [dark] [phone] [open=N] [find=TEXT]
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { launch } from "./cdp.mjs";

const [file, out, ...words] = process.argv.slice(2);
if (!file || !out) {
  console.error("usage: node shot.mjs PAGE.html OUT.png [width=1600] [top=0|SELECTOR] [height=N] [dark] [phone] [open=N]");
  process.exit(2);
}
const options = Object.fromEntries(words.map(word => word.includes("=") ? [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)] : [word, true]));
const browser = await launch();
try {
  const page = await browser.page({ width: Number(options.width ?? (options.phone ? 360 : 1600)), height: 900, dark: Boolean(options.dark), phone: Boolean(options.phone) });
  await page.open(resolve(file), { ready: false });
  await page.until("document.documentElement.classList.contains('ready') || !document.getElementById('rows')");
  if (options.open) await page.eval(n => document.querySelectorAll(".open")[n].click(), Number(options.open) - 1);
  const top = isNaN(Number(options.top ?? 0))
    ? await page.eval(s => document.querySelector(s).getBoundingClientRect().top + scrollY - 16, options.top) : Number(options.top ?? 0);
  writeFileSync(out, await page.shot({ top, height: options.height && Number(options.height) }));
  console.log(out, await page.eval("document.documentElement.scrollWidth + ' x ' + document.documentElement.scrollHeight"));
} finally {
  await browser.close();
}
