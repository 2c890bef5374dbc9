/** A value that follows its question: one question is on its way at a time, and the newest wins. */

export class Latest<T> {
  value = $state.raw<T>();
  error = $state("");
  private busy = false;
  private next: (() => Promise<T>) | null = null;

  ask(question: () => Promise<T>) {
    if (this.busy) this.next = question;
    else void this.go(question);
  }

  private async go(question: () => Promise<T>) {
    this.busy = true;
    try {
      this.value = await question();
      this.error = "";
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
    }
    this.busy = false;
    const next = this.next;
    this.next = null;
    if (next) void this.go(next);
  }
}

/**
 * Asks again whenever what the question reads has changed; null asks nothing. Call it while a
 * component is made.
 */
export function latest<T>(question: () => (() => Promise<T>) | null): Latest<T> {
  const held = new Latest<T>();
  $effect(() => {
    const ask = question();
    if (ask) held.ask(ask);
  });
  return held;
}
