// What every page shares: the sites, the overview of the collector, and which site is being looked at.

import { follow, serverClock } from "../api/live.svelte";
import { resource } from "../api/resource.svelte";
import { nameOf } from "../i18n/index.svelte";
import type { Overview, Site } from "../api/types";

class Sites {
  overview = resource<Overview>();
  list = resource<Site[]>();
  /** The site that was last looked at; the first one before that. */
  last = $state<string | null>(null);

  start(): () => void {
    const ask = async (): Promise<void> => {
      await Promise.all([this.overview.load("api/v1/overview"), this.list.load("api/v1/sites")]);
      const now = this.overview.data?.now;
      if (now && !this.overview.trouble) serverClock.set(now);
    };
    void ask();
    return follow(() => void ask(), 10_000);
  }

  get(id: string | null): Site | null {
    const all = this.list.data ?? [];
    return all.find((s) => s.id === id) ?? (id === null ? (all.find((s) => s.id === this.last) ?? all[0] ?? null) : null);
  }

  /** The site's name in the reader's language, its id before the list is read. */
  name(id: string): string {
    const site = this.list.data?.find((s) => s.id === id);
    return site ? nameOf(site) : id;
  }

  zone(id: string): string {
    return this.list.data?.find((s) => s.id === id)?.time_zone ?? "UTC";
  }
}

export const sites = new Sites();
