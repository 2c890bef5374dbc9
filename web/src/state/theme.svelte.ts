/** Light or dark: the system's choice until the reader makes another. */

const KEY = "gatewise-theme";

export class Theme {
  dark = $state(false);

  constructor() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const kept = remembered();
    this.set(kept ? kept === "dark" : system.matches);
    system.addEventListener("change", () => {
      if (!remembered()) this.set(system.matches);
    });
  }

  toggle() {
    this.set(!this.dark);
    try {
      localStorage.setItem(KEY, this.dark ? "dark" : "light");
    } catch {
      // Some browsers give a page that is opened from a file no storage; the choice is not kept then.
    }
  }

  private set(dark: boolean) {
    this.dark = dark;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  }
}

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
