// What the browser keeps between visits: language and theme. A browser that refuses storage loses only that.

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`plumbline.${key}`);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`plumbline.${key}`, value);
  } catch {
    // Private browsing may refuse; the choice then lives until the page is closed.
  }
}
