// The current route, kept in step with the address bar; a new page starts at its top with the focus on its content.

import { parseRoute, type Route } from "./route";

class Router {
  route = $state.raw<Route>({ page: "overview", site: null });

  start(): void {
    this.route = parseRoute(location.hash);
    window.addEventListener("hashchange", () => {
      const before = this.route;
      this.route = parseRoute(location.hash);
      if (subject(before) === subject(this.route)) return;
      window.scrollTo(0, 0);
      document.getElementById("content")?.focus({ preventScroll: true });
    });
  }

  go(hash: string): void {
    location.hash = hash;
  }
}

function subject(route: Route): string {
  if (route.page === "unit") return `unit ${route.site} ${route.unit}`;
  if (route.page === "region") return "region";
  return JSON.stringify(route);
}

export const router = new Router();
