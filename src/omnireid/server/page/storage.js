// What this browser, or this tab, keeps for the page. Where storage is forbidden, it lasts until the page is left.

/** What was kept under a name; null where nothing was. */
export function stored(name, where = "localStorage") {
  try {
    return /** @type {Storage} */ (window[where]).getItem(name);
  } catch {
    return null;
  }
}

/** Keep a text under a name; an empty one, or null, takes away what was kept. */
export function store(name, value, where = "localStorage") {
  try {
    const kept = /** @type {Storage} */ (window[where]);
    if (value) kept.setItem(name, value);
    else kept.removeItem(name);
  } catch {
    // Then it is not kept.
  }
}
