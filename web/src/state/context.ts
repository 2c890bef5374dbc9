/** The page and its theme, for every component below. */
import { getContext, setContext } from "svelte";
import type { Page } from "./page.svelte";
import type { Theme } from "./theme.svelte";

interface Held {
  page: Page;
  theme: Theme;
}

export const hold = (held: Held) => setContext("gatewise", held);
export const held = () => getContext<Held>("gatewise");
