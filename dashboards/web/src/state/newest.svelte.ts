// The newest sample of what is on the page: the as-of stamp in the header reads it, the pages set it.

import { address, read } from "../api/client";
import { follow } from "../api/live.svelte";
import type { WorkUnit } from "../api/types";

type Newest = NonNullable<WorkUnit["newest_sample"]>;

class NewestSample {
  sample = $state.raw<Newest | null>(null);
  readAt = $state(0);

  /** Keeps asking for a site on pages that do not read its work units themselves; returns the stop. */
  watch(site: string): () => void {
    const ask = async (): Promise<void> => {
      try {
        this.take(await read<WorkUnit[]>(address(["sites", site, "work-units"])), performance.now());
      } catch {
        // The stamp then keeps its last sample and grows old before the reader's eyes, which is the truth.
      }
    };
    void ask();
    return follow(() => void ask(), 10_000, 20_000);
  }

  /** Takes what an answer about many sites says of itself: its newest instant, and when it was made. */
  tell(time: string | null, asOf: string, readAt: number): void {
    const age_ms = time === null ? 0 : Math.max(0, Date.parse(asOf) - Date.parse(time));
    this.sample = time === null ? null : { time, age_ms, received_time: asOf, lag_ms: 0 };
    this.readAt = readAt;
  }

  /** Takes the newest among work units that were read at `readAt` on the page's clock. */
  take(units: WorkUnit[], readAt: number): void {
    let best: Newest | null = null;
    for (const { newest_sample: n } of units) if (n && (best === null || n.age_ms < best.age_ms)) best = n;
    this.sample = best;
    this.readAt = readAt;
  }
}

export const newest = new NewestSample();
