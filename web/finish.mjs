/**
 * One file out of the parts that Vite has built: the page's script and style, the places for the
 * core's module and for the data, which `gatewise.explorer.page` fills, and a policy that lets
 * exactly this script run and nothing be fetched.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const here = (path) => new URL(path, import.meta.url);
const STATIC = here("../src/gatewise/explorer/static/");
const LIMIT_KB = 250;

// A script ends at the first "</script", wherever that stands; "<!--" opens another state.
const script = readFileSync(here("dist/page.js"), "utf8")
  .replaceAll(/<\/(script)/gi, "<\\/$1")
  .replaceAll("<!--", "<\\!--");
const style = readFileSync(here("dist/page.css"), "utf8").replaceAll("</style", "<\\/style");

const hash = createHash("sha256").update(script, "utf8").digest("base64");
const policy = [
  "default-src 'none'",
  `script-src 'sha256-${hash}' 'wasm-unsafe-eval'`,
  "worker-src blob:",
  "style-src 'unsafe-inline'",
  "img-src data:",
  "connect-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>gatewise explorer</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<div id="page"></div>
<noscript>This page computes what it shows: it needs JavaScript.</noscript>
<script type="application/json" id="gatewise-data">null</script>
<script type="application/octet-stream" id="gatewise-module"></script>
<script>${script}</script>
</body>
</html>
`;

mkdirSync(STATIC, { recursive: true });
writeFileSync(new URL("page.html", STATIC), page);

const code = gzipSync(script + style, { level: 9 }).length / 1000;
console.log(`page code ${code.toFixed(1)} kB gzipped`);
if (code > LIMIT_KB) throw new Error(`The page's code may have ${LIMIT_KB} kB gzipped.`);
