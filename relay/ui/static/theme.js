// Before anything is drawn: the remembered choice of light or dark. Nothing is remembered: as the system.
"use strict";
(() => {
  const root = document.documentElement;
  const names = { light: "Light", dark: "Dark", system: "System" };
  const order = ["system", "dark", "light"];
  let chosen = "system";
  try {
    chosen = localStorage.getItem("theme") || "system";
  } catch {
    // no storage: as the system
  }
  const apply = () => {
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
    else delete root.dataset.theme;
    const button = document.getElementById("theme");
    if (button) {
      const name = names[chosen] || names.system;
      button.textContent = `◐ ${name}`;
      button.setAttribute("aria-label", `Theme: ${name}`);
    }
  };
  apply();
  globalThis.nextTheme = () => {
    chosen = order[(order.indexOf(chosen) + 1) % order.length];
    try {
      localStorage.setItem("theme", chosen);
    } catch {
      // it holds for this page
    }
    apply();
  };
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    button.hidden = false;
    button.addEventListener("click", globalThis.nextTheme);
    apply();
  });
})();
