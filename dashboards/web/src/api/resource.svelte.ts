// A resource on a page: keeps the old data while the new is on its way, says when it was read, and remembers trouble
// beside the data instead of wiping it.

import { Trouble, read, readPage, type Page } from "./client";

type Reader<T> = (url: string, signal: AbortSignal) => Promise<T>;

export class Resource<T> {
  data = $state.raw<T | null>(null);
  trouble = $state.raw<Trouble | null>(null);
  loading = $state(false);
  /** performance.now() of the last good answer; null before it. */
  readAt = $state<number | null>(null);
  #url = "";
  #abort: AbortController | null = null;
  #reader: Reader<T>;

  constructor(reader: Reader<T>) {
    this.#reader = reader;
  }

  /** Loads an address. Another subject (`keep` false) clears what is shown; a reload keeps it. */
  async load(url: string, keep = url === this.#url): Promise<void> {
    if (!keep) {
      this.data = null;
      this.trouble = null;
      this.readAt = null;
    }
    this.#url = url;
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.loading = true;
    try {
      const data = await this.#reader(url, abort.signal);
      if (abort.signal.aborted) return;
      this.data = data;
      this.trouble = null;
      this.readAt = performance.now();
    } catch (cause) {
      if (abort.signal.aborted) return;
      this.trouble = cause instanceof Trouble ? cause : new Trouble("E-WEB-3", { zh: String(cause), en: String(cause) }, null, 0);
    } finally {
      if (this.#abort === abort) this.loading = false;
    }
  }

  /** Asks again for the same thing, unless a request is still under way. */
  async again(): Promise<void> {
    if (this.#url && !this.loading) await this.load(this.#url, true);
  }

  stop(): void {
    this.#abort?.abort();
  }
}

export function resource<T>(): Resource<T> {
  return new Resource<T>((url, signal) => read<T>(url, signal));
}

export function pagedResource<T>(): Resource<Page<T>> {
  return new Resource<Page<T>>((url, signal) => readPage<T>(url, signal));
}
