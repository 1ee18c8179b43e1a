// The mini timelines of the overview: one request per work unit, asked again at most every 30 s, old strips kept.

import { address, read } from "../api/client";
import type { Timeline, WorkUnit } from "../api/types";

const EVERY_MS = 30_000;

export class Strips {
  all = $state.raw<Record<string, Timeline>>({});
  #asked = new Map<string, { key: string; at: number }>();

  /** Asks for the strips of these work units that are missing, of another window, or old. */
  refresh(site: string, units: WorkUnit[]): void {
    for (const unit of units) {
      const { start, end } = unit.shift?.window ?? unit.window;
      const key = `${site} ${unit.id} ${start}`;
      const before = this.#asked.get(unit.id);
      if (before && before.key === key && performance.now() - before.at < EVERY_MS) continue;
      this.#asked.set(unit.id, { key, at: performance.now() });
      void this.#one(site, unit.id, start, end);
    }
  }

  async #one(site: string, unit: string, from: string, to: string): Promise<void> {
    try {
      const strip = await read<Timeline>(address(["sites", site, "work-units", unit, "timeline"], { from, to }));
      this.all = { ...this.all, [`${site} ${unit}`]: strip };
    } catch {
      // The row itself tells when its figures cannot be read; a strip that fails is asked again with the next round.
      this.#asked.delete(unit);
    }
  }
}
