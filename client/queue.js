// SPDX-License-Identifier: MIT
// Hands things to the application one at a time, in order. One that it fails to take is given again, after a pause, and
// nothing that came later is given before it.

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

export class Queue {
  #waiting = [];
  #give;
  #failed;
  #clock;
  #working = null; // promise of the work under way
  #life = 0; // counts clear(): what was under way then is over
  #wake = null; // ends a pause

  /** `give(thing)` may promise; `failed(error)` hears why it did not. */
  constructor(give, failed, clock) {
    this.#give = give;
    this.#failed = failed;
    this.#clock = clock;
  }

  get length() {
    return this.#waiting.length;
  }

  push(thing) {
    this.#waiting.push(thing);
    this.#working ??= this.#work();
  }

  /** Forgets what waits. What the application is doing at this moment it may finish: idle() tells. */
  clear() {
    this.#life++;
    this.#waiting = [];
    this.#wake?.();
  }

  /** When nothing is under way and nothing waits. */
  async idle() {
    while (this.#working) await this.#working;
  }

  async #work() {
    await null; // not within the push
    for (let failures = 0; this.#waiting.length > 0; ) {
      const life = this.#life;
      try {
        await this.#give(this.#waiting[0]);
        failures = 0;
      } catch (error) {
        if (life !== this.#life) continue;
        this.#failed(error);
        await this.#pause(failures++);
        continue;
      }
      if (life === this.#life) this.#waiting.shift();
    }
    this.#working = null;
  }

  #pause(failures) {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(resolve, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures));
      this.#wake = () => {
        this.#clock.clearTimeout(timer);
        resolve();
      };
    });
  }
}
