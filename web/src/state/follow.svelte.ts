/** What goes on beside the views: the address, the run that is asked for, the voice, the playing. */
import { untrack } from "svelte";
import { digits } from "../draw/format";
import type { Page } from "./page.svelte";
import { choosesUnit, decode } from "./url";

const STEPS_PER_SECOND = 12;
export const WORDS = {
  i: "input gate",
  f: "forget gate",
  g: "candidate",
  o: "output gate",
  c: "cell state",
  h: "hidden state",
} as const;

export function follow(page: Page) {
  begin(page);
  address(page);

  $effect(() => {
    if (!page.ready || !page.shown) return;
    const { run, plainRun, changed, client } = page;
    page.summary.ask(() => client.ask("run", run));
    if (changed) page.plain.ask(() => client.ask("run", plainRun));
  });

  $effect(() => {
    if (!page.ready || !page.shown) return;
    const what = { run: page.run, layer: page.layer, t: page.t };
    page.stepNow.ask(() => page.client.ask("step", what));
  });

  $effect(() => {
    const now = page.stepNow.value;
    const { t, unit, saying } = page;
    if (!now || !saying || now.t !== t) return;
    untrack(() => {
      page.spoken =
        `${WORDS[saying]} of unit ${page.unitName(unit)} at step ${page.timeName(t)}: ` +
        digits(now[saying][unit]);
    });
  });

  $effect(() => {
    if (!page.playing) return;
    let last = performance.now();
    let frame = requestAnimationFrame(function turn(now) {
      if (now - last > 1000 / STEPS_PER_SECOND) {
        last = now;
        page.state.step = page.t + 1 < page.T ? page.t + 1 : 0;
      }
      frame = requestAnimationFrame(turn);
    });
    return () => cancelAnimationFrame(frame);
  });
}

function begin(page: Page) {
  page.client.onTraining = (state) => (page.training = state);
  const asked = location.hash;
  page.readFragment(asked);
  page.started.then(
    async () => {
      if (!page.data?.models.length && !asked && page.views.includes("train")) {
        page.state.view = "train";
      }
      await page.restoreTraining();
      if (page.shown && !choosesUnit(asked)) await page.chooseForNewcomers();
      page.ready = true;
    },
    (error: Error) => (page.failed = error.message),
  );
}

function address(page: Page) {
  let view = page.state.view;
  let timer = 0;
  $effect(() => {
    const fragment = page.fragment;
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      if (fragment === location.hash) return;
      // A view of its own is a step that the browser's "back" undoes; a moved cursor is none.
      const state = decode(fragment);
      try {
        if (state.view === view) history.replaceState(null, "", fragment);
        else history.pushState(null, "", fragment);
      } catch {
        // Inside another page, as in a notebook, this one has no address of its own.
      }
      view = state.view;
    }, 120);
  });
  $effect(() => {
    const restore = () => {
      page.readFragment(location.hash);
      view = page.state.view;
      void page.restoreTraining();
    };
    addEventListener("popstate", restore);
    addEventListener("hashchange", restore);
    return () => {
      removeEventListener("popstate", restore);
      removeEventListener("hashchange", restore);
    };
  });
}
