// Files that the browser saves.

import { h } from "./dom.js";
import { galleryName } from "./session.js";

const KEPT_MS = 60_000; // until the browser has surely taken it

/** Save a Blob as a file of this name. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}

/** Save a Blob as "audit-doors-2026-03-02.csv": what it is, of which gallery, and today. */
export function download(blob, what, ending) {
  const gallery = galleryName().replace(/[^\p{L}\p{N}._-]+/gu, "_");
  save(blob, `${what}-${gallery}-${new Date().toISOString().slice(0, 10)}.${ending}`);
}
