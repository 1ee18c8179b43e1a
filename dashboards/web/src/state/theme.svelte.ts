// Light, dark or as the system says; the choice is remembered and set as data-theme on the root element.

import { recall, remember } from "./memory";

export type Theme = "auto" | "light" | "dark";
const ORDER: Theme[] = ["auto", "light", "dark"];

class Look {
  theme = $state<Theme>("auto");

  start(): void {
    const kept = recall("theme");
    this.set(ORDER.find((t) => t === kept) ?? "auto");
  }

  set(theme: Theme): void {
    this.theme = theme;
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    remember("theme", theme);
  }

  next(): void {
    this.set(ORDER[(ORDER.indexOf(this.theme) + 1) % ORDER.length] ?? "auto");
  }
}

export const look = new Look();
