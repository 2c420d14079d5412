// A dense grid of very many tiles: only what is near the window is in the document, more is asked for while scrolling.

import { arrowKeys, fill, h, uniqueId } from "./dom.js";
import { failed, loading } from "./states.js";
import { store, stored } from "./storage.js";
import { text } from "./text.js";

const SIZES = ["small", "middle", "large"];
const KEY = "omnireid-grid-size";
const CHUNK = 60; // tiles that come and go together, about
const NEAR = "600px";
const AHEAD = "1500px"; // nearer to the end than this, the next page is asked for

const storedSize = () => (SIZES.includes(stored(KEY)) ? stored(KEY) : "middle");

/** Three radio buttons; `onchange(size)`. The choice is kept in this browser. */
function sizeChoice(onchange) {
  const name = uniqueId("size");
  const choice = (size) =>
    h("label.mode", { title: text.grid.sizes[size] }, h("input", {
      type: "radio", name, value: size, checked: size === storedSize(), "aria-label": text.grid.sizes[size],
      onchange: () => {
        store(KEY, size);
        onchange(size);
      },
    }), h(`span.size-mark.${size}`, { "aria-hidden": "true" }));
  return h("div.modes", { role: "radiogroup", "aria-label": text.grid.size }, SIZES.map(choice));
}

/**
 * { element, load(), entries(), tools }: `ask(after, signal)` gives { entries, next }, `tile(entry, index)` an element
 * with the class "tile", in which `focus` takes the focus; `nothing()` what stands where there is none. `load` begins anew. `entries()`: those that
 * were loaded. `tools`: the choice of size.
 */
export function virtualGrid({ ask, tile, focus, nothing }) {
  const grid = h("div.browse");
  const foot = h("div.row.centred", { role: "status" });
  const end = h("div.grid-end", { "aria-hidden": "true" });
  let all = [];
  let chunks = []; // { element, from, to, height }
  let next = null;
  let running = null;
  let columns = 0;
  let size = storedSize();
  grid.classList.add(size);

  const near = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      const chunk = chunks.find(({ element }) => element === target);
      if (chunk) (isIntersecting ? show : hide)(chunk);
    }
  }, { rootMargin: `${NEAR} 0px` });
  const atEnd = new IntersectionObserver((changes) => changes.at(-1).isIntersecting && more(), { rootMargin: `${AHEAD} 0px` });
  atEnd.observe(end);

  function show(chunk) {
    if (chunk.element.childElementCount === chunk.to - chunk.from) return;
    chunk.element.style.height = "";
    fill(chunk.element, all.slice(chunk.from, chunk.to).map((entry, index) => tile(entry, chunk.from + index)));
  }

  /** Out of the document; its place stays as high as it was, and who has the focus stays too. */
  function hide(chunk) {
    if (!chunk.element.childElementCount || chunk.element.contains(document.activeElement)) return;
    chunk.height = chunk.element.offsetHeight;
    fill(chunk.element);
    chunk.element.style.height = `${chunk.height}px`;
  }

  const wide = () => Math.max(1, getComputedStyle(chunks[0]?.element ?? grid).gridTemplateColumns.split(" ").length);

  /** Whole rows in each chunk, so that none but the last is ragged. */
  function lay() {
    near.disconnect();
    const probe = h("div.browse-grid");
    fill(grid, probe);
    columns = Math.max(1, getComputedStyle(probe).gridTemplateColumns.split(" ").length);
    probe.remove();
    chunks = [];
    append();
  }

  function append() {
    const each = Math.max(1, Math.round(CHUNK / columns)) * columns;
    const last = chunks.at(-1);
    if (last && last.to - last.from < each && last.to < all.length) {
      last.to = Math.min(all.length, last.from + each);
      if (last.element.childElementCount) show(last);
      else last.element.style.height = `${guess(last)}px`;
    }
    for (let from = chunks.at(-1)?.to ?? 0; from < all.length; from += each) {
      const chunk = { element: h("div.browse-grid"), from, to: Math.min(all.length, from + each) };
      chunk.element.style.height = `${guess(chunk)}px`;
      chunks.push(chunk);
      grid.append(chunk.element);
      near.observe(chunk.element);
    }
  }

  /** Of a chunk that was never shown: as high as its rows are elsewhere. */
  function guess({ from, to }) {
    const shown = chunks.find(({ element }) => element.childElementCount);
    const row = shown ? shown.element.offsetHeight / Math.ceil((shown.to - shown.from) / columns) : 240;
    return Math.ceil((to - from) / columns) * row;
  }

  async function page(after) {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    fill(foot, loading());
    try {
      const found = await ask(after, signal);
      signal.throwIfAborted();
      all = after ? [...all, ...found.entries] : found.entries;
      next = found.next;
      running = null;
      if (!after) lay();
      else append();
      fill(foot, all.length ? h("span.hint", next ? text.browse.shown(all.length) : text.grid.all(all.length)) : nothing());
      // The end may be in view still: then nothing will tell.
      if (next) {
        atEnd.unobserve(end);
        atEnd.observe(end);
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      running = null;
      fill(foot, failed(error, () => page(after)));
    }
  }

  const more = () => next && !running && page(next);

  new ResizeObserver(() => {
    if (chunks.length && grid.clientWidth && wide() !== columns) lay();
  }).observe(grid);
  arrowKeys(grid, focus);
  // By keys a picture is chosen with X, and with Shift+X all from the one before.
  grid.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "x" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.target.closest(".tile")?.querySelector(".pick")?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: event.shiftKey }));
  });
  const tools = sizeChoice((wanted) => {
    grid.classList.replace(size, wanted);
    size = wanted;
    lay();
  });
  return { element: h("div", grid, end, foot), load: () => page(), entries: () => all, tools };
}

