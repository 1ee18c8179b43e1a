// Liveness: the server's events, a fallback poll when they are not heard, the server's clock, and a second hand.
// The browser's own wall clock is never read: ages grow by performance.now() from what the server said.

import { untrack } from "svelte";

/** The server's events as the page sees them. */
class Live {
  /** true while the event stream is open. */
  connected = $state(false);
  /** Grows with every `sample` event: a page that shows data reads it to know when to ask again. */
  beat = $state(0);
  /** Share done of the demo's history, per agent; gone when it reaches 1. */
  progress = $state<Record<string, { site: string; done: number }>>({});
  #source: EventSource | null = null;

  start(): void {
    if (this.#source || typeof EventSource === "undefined") return;
    const source = new EventSource("api/v1/events");
    this.#source = source;
    source.onopen = () => (this.connected = true);
    source.onerror = () => (this.connected = false);
    source.addEventListener("hello", (e) => {
      this.connected = true;
      const hello = parse<{ now?: string }>(e);
      if (hello?.now) serverClock.set(hello.now);
    });
    source.addEventListener("sample", () => (this.beat += 1));
    source.addEventListener("progress", (e) => {
      const p = parse<{ site: string; agent: string; done: number }>(e);
      if (!p) return;
      const { [p.agent]: _, ...rest } = this.progress;
      this.progress = p.done >= 1 ? rest : { ...rest, [p.agent]: { site: p.site, done: p.done } };
    });
  }
}

function parse<T>(event: Event): T | null {
  try {
    return JSON.parse((event as MessageEvent<string>).data) as T;
  } catch {
    return null;
  }
}

/** The server's clock, carried on by the page's monotonic clock between answers. */
class ServerClock {
  #at = $state<{ server: number; page: number } | null>(null);

  set(now: string): void {
    const server = Date.parse(now);
    if (Number.isFinite(server)) this.#at = { server, page: performance.now() };
  }

  /** Milliseconds since 1970 by the server, or null before the first answer. Moves with the second hand. */
  get now(): number | null {
    return this.#at === null ? null : this.#at.server + Math.max(0, hand.now - this.#at.page);
  }
}

/** One second hand for every age on the page. */
class Hand {
  now = $state(typeof performance === "undefined" ? 0 : performance.now());
  start(): void {
    setInterval(() => (this.now = performance.now()), 1000);
  }
}

export const live = new Live();
export const serverClock = new ServerClock();
export const hand = new Hand();

/** How soon a failed answer is asked for again; the notice of a failure tells the reader so. */
const RETRY_MS = 15_000;

/** Calls `ask` when the server reports news, at most every `min` ms, and every `max` ms in any case; while the last
    answer failed, every 15 s. Returns the stop. */
export function follow(ask: () => void, min = 5_000, max = 15_000, failed: () => boolean = () => false): () => void {
  let last = performance.now();
  // Untracked: an effect that follows must not run anew, and clear its page, with every event.
  let heard = untrack(() => live.beat);
  const timer = setInterval(() => {
    if (document.visibilityState === "hidden") return;
    const waited = performance.now() - last;
    const news = live.beat !== heard;
    if ((news && waited >= min) || waited >= (untrack(failed) ? Math.min(max, RETRY_MS) : max)) {
      last = performance.now();
      heard = live.beat;
      ask();
    }
  }, 500);
  return () => clearInterval(timer);
}
