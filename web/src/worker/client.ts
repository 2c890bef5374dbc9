/** The page's side of the worker: a promise for each question. */
import type { TrainingState } from "../train/session";
import type { Answer, Ask, Asks } from "./protocol";

export class Client {
  private worker: Worker;
  private next = 0;
  private waiting = new Map<number, { done: (found: never) => void; failed: (e: Error) => void }>();
  /** Called with each state of the training that the worker tells on its own. */
  onTraining: (state: TrainingState) => void = () => {};

  constructor(text: string) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.heard(data);
    this.worker.onerror = (event) => {
      for (const { failed } of this.waiting.values()) failed(new Error(event.message));
      this.waiting.clear();
    };
  }

  ask<K extends Ask>(ask: K, what: Asks[K][0], transfer: Transferable[] = []): Promise<Asks[K][1]> {
    const id = this.next++;
    return new Promise((done, failed) => {
      this.waiting.set(id, { done, failed });
      this.worker.postMessage({ id, ask, what }, transfer);
    });
  }

  /** Whether all questions have been answered. */
  get idle(): boolean {
    return this.waiting.size === 0;
  }

  private heard(answer: Answer) {
    if ("training" in answer) return this.onTraining(answer.training);
    const one = this.waiting.get(answer.id);
    this.waiting.delete(answer.id);
    if ("error" in answer) one?.failed(new Error(answer.error));
    else one?.done(answer.found as never);
  }
}
