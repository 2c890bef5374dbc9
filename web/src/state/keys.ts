/** Keys that work wherever no field has the focus: steps, units, play. */
import type { Page } from "./page.svelte";

export function watchKeys(page: Page): () => void {
  const pressed = (event: KeyboardEvent) => {
    const on = event.target as HTMLElement;
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    if (on.closest("input, select, textarea, summary, [role=application]")) return;
    const free = !on.closest("button, a");
    const far = event.shiftKey ? 10 : 1;
    if (event.key === "ArrowRight") page.selectStep(page.t + far);
    else if (event.key === "ArrowLeft") page.selectStep(page.t - far);
    else if (event.key === "]") page.selectUnit(page.unit + 1);
    else if (event.key === "[") page.selectUnit(page.unit - 1);
    else if (event.key === " " && free) page.playing = !page.playing;
    else return;
    event.preventDefault();
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}
