/**
 * Times in headless Chromium, of the page that `look.mjs` has left in dev/shots. The fixture must
 * have been made with --big.
 *
 *     node dev/measure.mjs
 */
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const url = pathToFileURL(fileURLToPath(new URL("shots/page.html", import.meta.url))).href;
const options = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
};
const SCRUB = 3;
const SWAP = 4;
const BIG = 5;

async function opened(browser, hash) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(url + hash);
  await page.waitForTimeout(1500);
  return page;
}

const scrub = (page, frames) =>
  page.evaluate(async (n) => {
    const input = document.querySelector("[data-testid=step]");
    const times = [];
    let last = performance.now();
    for (let k = 0; k < n; k++) {
      input.value = String((Number(input.value) + 1) % (Number(input.max) + 1));
      input.dispatchEvent(new Event("input", { bubbles: true }));
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    times.sort((a, b) => a - b);
    const mean = times.reduce((a, b) => a + b) / n;
    return {
      fps: Math.round(1000 / mean),
      worst: Math.round(times[n - 1]),
      p95: Math.round(times[Math.floor(0.95 * n)]),
    };
  }, frames);

const starts = [];
for (let k = 0; k < 5; k++) {
  const browser = await chromium.launch(options);
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(url);
  await page.waitForSelector("[data-ready]", { state: "attached" });
  starts.push(await page.evaluate(() => performance.getEntriesByName("first-view")[0].startTime));
  await browser.close();
}
console.log("first view, ms:", starts.map(Math.round).join(" "));

const browser = await chromium.launch(options);
for (const view of ["cell", "time"]) {
  const page = await opened(browser, `#view=${view}&model=${SCRUB}&unit=5&step=100`);
  console.log(`scrub 128 x 500, ${view}:`, await scrub(page, 240));
  await page.close();
}
{
  const page = await opened(browser, `#view=swap&model=${SWAP}&unit=5&step=100`);
  const times = [];
  for (const name of ["identity", "", "relu", "", "softsign", "", "hard_tanh", ""]) {
    times.push(
      await page.evaluate(async (value) => {
        const changed = document.querySelector("[data-testid=readout-change]");
        const select = document.querySelector("[data-testid=swap-cell_output]");
        const canvas = document.querySelector("[data-testid=heatmap-difference] canvas");
        const began = performance.now();
        const seen = (node, what) =>
          new Promise((done) => new MutationObserver(done).observe(node, what));
        const all = Promise.all([
          seen(changed, { attributes: true }),
          seen(canvas, { attributes: true, attributeFilter: ["width"] }),
        ]);
        select.value = value;
        select.dispatchEvent(new Event("change", { bubbles: true }));
        await all;
        await new Promise(requestAnimationFrame);
        return performance.now() - began;
      }, name),
    );
  }
  console.log("swap at H 64, T 500 on screen, ms:", times.map(Math.round).join(" "));
  await page.close();
}
{
  const page = await opened(browser, "#view=train");
  await page.getByTestId("train-run").click();
  await page.waitForTimeout(3000);
  const rate = await page.getByTestId("train-rate").getAttribute("data-value");
  const frames = await page.evaluate(async () => {
    const began = performance.now();
    for (let k = 0; k < 60; k++) await new Promise(requestAnimationFrame);
    return Math.round(60000 / (performance.now() - began));
  });
  console.log(`training: ${Math.round(rate)} steps/s, page at ${frames} frames/s`);
  await page.close();
}
for (const view of ["cell", "time", "swap", "gradient"]) {
  const began = performance.now();
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(`${url}#view=${view}&model=${BIG}&unit=5&step=5000`);
  await page.waitForSelector("main h2");
  const shown = Math.round(performance.now() - began);
  await page.waitForTimeout(4000);
  console.log(`10,000 x 256, ${view}: shown after ${shown} ms, scrub`, await scrub(page, 60));
  await page.close();
}
await browser.close();
