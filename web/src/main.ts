/** Reads what the page carries, starts the worker, and mounts the page. */
import { mount } from "svelte";
import workerText from "virtual:worker";
import "./app.css";
import App from "./App.svelte";
import type { PageData } from "./data";
import { Page } from "./state/page.svelte";
import { Client } from "./worker/client";

function carried(): PageData | null {
  const data = JSON.parse(document.getElementById("gatewise-data")?.textContent ?? "null");
  if (data !== null && data.format !== 1) {
    throw new Error(`This page cannot read data of format ${data.format}: write it anew.`);
  }
  return data;
}

/** The core as it was put into the page: gzipped, in base64. */
function core(): ArrayBuffer {
  const text = atob(document.getElementById("gatewise-module")?.textContent?.trim() ?? "");
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  return bytes.buffer;
}

const target = document.getElementById("page")!;
try {
  const data = carried();
  if (data) document.title = data.title;
  const client = new Client(workerText);
  const page = new Page(client, data);
  const module = core();
  page.started = client
    .ask("start", { module, models: data?.models ?? [] }, [module])
    .then(() => {});
  mount(App, { target, props: { page } });
} catch (error) {
  target.textContent = error instanceof Error ? error.message : String(error);
}
