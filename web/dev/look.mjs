/**
 * Looks at a page in headless Chromium: pictures of every view, accessibility checked by axe-core,
 * the console, the network.
 *
 *     node dev/look.mjs [PAGE.html] [--views cell,time] [--widths 1280,390] [--themes light,dark]
 *                       [--hash "#view=cell"] [--no-axe]
 */
import { mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: given, positionals: pages } = parseArgs({
  allowPositionals: true,
  options: {
    views: { type: "string", default: "cell,time,gradient,swap,forecast,lab,train" },
    widths: { type: "string", default: "1280,390" },
    themes: { type: "string", default: "light,dark" },
    hash: { type: "string", default: "" },
    "no-axe": { type: "boolean", default: false },
  },
});

const OUT = here("shots/");
mkdirSync(OUT, { recursive: true });
const url = pathToFileURL(pages[0] ?? here("../../docs/index.html")).href;
const axe = readFileSync(here("../node_modules/axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
let faults = 0;
const fault = (text) => {
  faults++;
  console.log(text);
};
for (const theme of given.themes.split(",")) {
  for (const width of given.widths.split(",").map(Number)) {
    for (const view of given.views.split(",")) {
      const name = `${view}-${width}-${theme}`;
      // axe runs inside the page, which the policy forbids: for it alone it is put aside.
      const context = await browser.newContext({
        viewport: { width, height: 900 },
        colorScheme: theme,
        bypassCSP: !given["no-axe"],
      });
      const page = await context.newPage();
      page.on("console", (m) => /error|warning/.test(m.type()) && fault(`${name}: ${m.text()}`));
      page.on("pageerror", (e) => fault(`${name}: ${e.stack ?? e.message}`));
      page.on("request", (r) => /^(file|blob|data)/.test(r.url()) || fault(`${name}: ${r.url()}`));
      await page.goto(url + (given.hash || `#view=${view}`));
      await page.waitForTimeout(view === "train" ? 2500 : 1300);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      if (wide > width) fault(`${name}: ${wide} pixels wide`);
      if (!given["no-axe"]) {
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run());
        for (const v of violations) {
          fault(
            `${name}: axe ${v.id}: ${v.nodes.length}: ${v.nodes[0].html.slice(0, 160)} ${v.nodes[0].failureSummary.slice(0, 300)}`,
          );
        }
      }
      await page.screenshot({ path: `${OUT}${name}.png`, fullPage: true });
      if (view === "cell") {
        const first = await page.evaluate(
          () => performance.getEntriesByName("first-view")[0]?.startTime,
        );
        console.log(`${name}: first view after ${Math.round(first ?? NaN)} ms`);
      }
      await context.close();
    }
  }
}
await browser.close();
console.log(faults ? `${faults} faults` : "no faults");
