// Building elements. Data only ever becomes text or an attribute, never markup.

import { text } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * h("button.primary", {onclick: save}, "Save"): an element with classes, properties and children; where it has no
 * properties, h("p", "Words"). Names with a dash and `role` become attributes, everything else a property; undefined is
 * left out.
 */
export function h(tag, ...parts) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  const [first, ...rest] = parts;
  const [props, children] = first?.constructor === Object ? [first, rest] : [{}, parts];
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key === "dataset") Object.assign(element.dataset, value);
    else if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  fill(element, ...children);
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const CONTROLS = "a[href], button, input, select, textarea, [tabindex]";
const wordsOf = (control) => [control.tagName, control.getAttribute("aria-label") ?? control.labels?.[0]?.textContent ?? control.textContent, control.closest("[data-seq]")?.dataset.seq].join("\n");

/** Put the focus on what takes none by itself, such as a row that was just added: reading goes on there. */
export function focusOn(element) {
  if (!element?.matches(CONTROLS)) element?.setAttribute("tabindex", "-1");
  element?.focus({ preventScroll: true });
}

/** `change()` what `place` holds; the focus in it goes to the control of the same words afterwards, else to `place`. */
export function keepFocus(place, change) {
  const before = place.contains(document.activeElement) ? document.activeElement : null;
  const words = before && wordsOf(before);
  change();
  if (before === null || (before.isConnected && before.checkVisibility())) return;
  focusOn([...place.querySelectorAll(CONTROLS)].find((control) => wordsOf(control) === words && control.checkVisibility()) ?? place);
}

/** An element of SVG with attributes and children. */
export function draw(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A picture from our sprite; decorative, so whatever it says must also be in words. */
export const icon = (name) => draw("svg", { class: "icon", "aria-hidden": "true" }, draw("use", { href: `assets/icons.svg#${name}` }));

/** A button with a picture and words. `style`: its classes; `more`: further properties. */
export const action = (style, symbol, words, onclick, more = {}) => h(`button${style}`, { type: "button", onclick, ...more }, icon(symbol), words);

/** A button that is a picture alone; its words are its name, and are shown when it is pointed at. */
export const iconButton = (symbol, words, onclick, more = {}) => h("button.icon-button", { type: "button", title: words, "aria-label": words, onclick, ...more }, icon(symbol));

/** Files of a drop, a paste or a file dialog that may be pictures. */
export const filesOf = (transfer) => [...(transfer?.files ?? [])];

/** Where files are chosen from disk, for a button that clicks it; `take(files)`. */
export function fileInput(take, more = {}) {
  const onchange = () => {
    const files = filesOf(input);
    input.value = ""; // the same file may be chosen again
    take(files);
  };
  const input = h("input", { type: "file", accept: "image/*", hidden: true, onchange, ...more });
  return input;
}

/** Let files be dropped on an element, for itself alone: elsewhere a picture is one to search with. */
export function takesDrops(element, take) {
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    take(filesOf(event.dataTransfer));
  });
  return element;
}

let last = 0;

/** An id that nothing else on the page has, for labels. */
export function uniqueId(prefix) {
  last += 1;
  return `${prefix}-${last}`;
}

/** A label with its control and an optional hint below. Of several parts of a control, `labelled` has the label. */
export function field(label, control, hint) {
  const { labelled = control } = control;
  labelled.id ||= uniqueId("field");
  const note = hint ? h("p.hint", { id: `${labelled.id}-hint` }, hint) : null;
  if (note) labelled.setAttribute("aria-describedby", note.id);
  return h("div.field", h("label", { htmlFor: labelled.id }, label), control, note);
}

/** Names and values below each other: [name, value] each. */
export const facts = (rows) => h("dl.facts", rows.map(([name, value]) => [h("dt", name), h("dd", value)]));

/** A view: what it is called, what it is for, and what it holds. */
export const titled = (title, lead, ...content) => h("div", h("h1", title), h("p.lead", lead), content);

/** What was typed, as the server takes texts: without space around it, and in Unicode's composed form. */
export const typedText = ({ value }) => value.trim().normalize();

/** A checkbox and its words. */
export function checkbox(label, checked, onchange) {
  const box = h("input", { type: "checkbox", checked, onchange: () => onchange?.(box.checked) });
  return h("label.check", box, h("span", label));
}

/** Words with a button that takes them away. */
export const removable = (words, remove) =>
  h("span.chip.is-on", h("span", words), h("button.chip-remove", { type: "button", "aria-label": text.remove(words), onclick: remove }, icon("close")));

/** A choice among [value, words] pairs. */
export function select(options, value, onchange) {
  const element = h(
    "select",
    { onchange: () => onchange?.(element.value) },
    options.map(([key, words]) => h("option", { value: key }, words)),
  );
  element.value = value;
  return element;
}

/**
 * Move the focus among `items` of a list or grid with the arrow keys; one of them is in the tab order, or with `parts`
 * one in each of these parts.
 */
export function arrowKeys(container, selector, parts = null) {
  const items = () => [...container.querySelectorAll(selector)];
  const enter = (item) => {
    const part = (parts && item.closest(parts)) ?? container;
    for (const other of part.querySelectorAll(selector)) other.tabIndex = other === item ? 0 : -1;
  };
  const places = parts ? [...container.querySelectorAll(parts)] : [container];
  for (const place of places) {
    const first = place.querySelector(selector);
    if (first) enter(first);
  }
  container.addEventListener("focusin", (event) => {
    const item = event.target.closest(selector);
    if (item) enter(item);
  });
  container.addEventListener("keydown", (event) => {
    const item = event.target.closest?.(selector);
    if (!item || event.altKey || event.ctrlKey || event.metaKey) return;
    const next = neighbour(items(), item, event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

function neighbour(all, item, key) {
  const index = all.indexOf(item);
  if (key === "ArrowRight") return all[index + 1];
  if (key === "ArrowLeft") return all[index - 1];
  if (key === "Home") return all[0];
  if (key === "End") return all.at(-1);
  if (key !== "ArrowDown" && key !== "ArrowUp") return undefined;
  // The nearest one in the next row, whatever the layout.
  const here = item.getBoundingClientRect();
  const down = key === "ArrowDown";
  const rows = all.filter((other) => {
    const there = other.getBoundingClientRect();
    return down ? there.top >= here.bottom - 1 : there.bottom <= here.top + 1;
  });
  const distance = (other) => {
    const there = other.getBoundingClientRect();
    return Math.abs(there.top - here.top) * 1000 + Math.abs(there.left - here.left);
  };
  return rows.sort((a, b) => distance(a) - distance(b))[0];
}
