// A window onto something larger: zoomed by wheel, fingers, keys and buttons, moved by dragging and arrow keys.

import { fill, h, iconButton } from "./dom.js";
import { text } from "./text.js";

const EDGE = 28; // pixels of the screen around what is shown, for handles that lie outside
const MOST = 8;
const STEP = 1.25;
const ARROW = 60;

/** Which way an arrow key leads: right and down are more. */
export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * { element, buttons, visible(), reveal(region), isAt() }: `content` in a window that shows a part of it.
 *
 * `size`: { width, height } of the content in its own pixels. `moves(event)`: whether this pointer, with nothing
 * else held, moves the content; the middle button and the space bar always do, two fingers always zoom.
 * `interrupt()` is called when a second finger turns what the first one does into a zoom.
 */
export function zoomable(content, size, { label, moves, interrupt = undefined }) {
  const element = h("div.window", { tabIndex: 0, role: "application", "aria-label": label }); // arrow keys are for it, not for reading on
  const said = h("output.zoom-said", { "aria-live": "polite" });
  let [scale, left, top] = [1, 0, 0];
  let isFitted = true;
  let isHeld = false; // the space bar
  const fingers = new Map();
  content.classList.add("zoomed");
  element.append(content);

  const fitting = () => Math.max(0.01, Math.min((element.clientWidth - 2 * EDGE) / size.width, (element.clientHeight - 2 * EDGE) / size.height));
  const least = () => Math.min(fitting(), 1);
  const most = () => Math.max(MOST, fitting());

  // The middle of the window always shows some of the content; so no zoom towards a point is ever pushed aside.
  const lie = (place, all, shown) => clamp(place, shown / 2 - all, shown / 2);

  function show() {
    const [width, height] = [size.width * scale, size.height * scale];
    left = lie(left, width, element.clientWidth);
    top = lie(top, height, element.clientHeight);
    content.style.width = `${width}px`;
    content.style.height = `${height}px`;
    content.style.transform = `translate(${left}px, ${top}px)`;
    content.classList.toggle("is-pixelled", scale >= 3);
    said.textContent = text.frame.zoomIs(Math.round(scale * 100));
  }

  /** Zoom so that what lies under a point of the window stays there; by default its middle. */
  function zoomTo(wanted, x = element.clientWidth / 2, y = element.clientHeight / 2) {
    const next = clamp(wanted, least(), most());
    left = x - ((x - left) * next) / scale;
    top = y - ((y - top) * next) / scale;
    scale = next;
    isFitted = false;
    show();
  }

  function fit() {
    scale = fitting();
    left = (element.clientWidth - size.width * scale) / 2;
    top = (element.clientHeight - size.height * scale) / 2;
    show();
    isFitted = true;
  }

  function move(dx, dy) {
    left += dx;
    top += dy;
    show();
  }

  const pointOf = (event) => {
    const frame = element.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };

  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    zoomTo(scale * Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), ...pointOf(event));
  }, { passive: false });

  // Before the content hears of it: it may be for the window.
  element.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") {
      fingers.set(event.pointerId, pointOf(event));
      if (fingers.size === 2) {
        interrupt?.();
        event.stopPropagation();
        return;
      }
    }
    const isOnContent = event.target.closest("button, .box");
    const isForced = event.button === 1 || isHeld;
    if (fingers.size > 2 || !(isForced || (event.button === 0 && moves(event) && !isOnContent))) return;
    event.preventDefault();
    event.stopPropagation();
    element.focus({ preventScroll: true });
    element.setPointerCapture(event.pointerId);
    element.classList.add("is-moving");
    let [x, y] = pointOf(event);
    const follow = (next) => {
      if (next.pointerId !== event.pointerId || fingers.size > 1) return;
      const [toX, toY] = pointOf(next);
      move(toX - x, toY - y);
      [x, y] = [toX, toY];
      isFitted = false;
    };
    const end = (last) => {
      if (last.pointerId !== event.pointerId) return;
      element.classList.remove("is-moving");
      for (const name of ["pointerup", "pointercancel"]) element.removeEventListener(name, end);
      element.removeEventListener("pointermove", follow);
    };
    for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, end);
    element.addEventListener("pointermove", follow);
  }, { capture: true });

  element.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, pointOf(event));
    if (fingers.size !== 2) return;
    event.stopPropagation();
    const after = [...fingers.values()];
    const middle = (points, axis) => (points[0][axis] + points[1][axis]) / 2;
    const apart = (/** @type {any} */ [a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    const [x, y] = [middle(after, 0), middle(after, 1)];
    move(x - middle(before, 0), y - middle(before, 1));
    zoomTo((scale * apart(after)) / Math.max(1, apart(before)), x, y);
  }, { capture: true });
  for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, (/** @type {any} */ { pointerId }) => fingers.delete(pointerId));

  const keys = {
    "+": () => zoomTo(scale * STEP), "=": () => zoomTo(scale * STEP), "-": () => zoomTo(scale / STEP), _: () => zoomTo(scale / STEP), 0: fit, 1: () => zoomTo(1),
  };
  element.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && !event.target.closest("button")) {
      isHeld = true;
      element.classList.add("is-held");
    } else if (keys[event.key]) {
      keys[event.key]();
    } else if (ARROWS[event.key]) {
      move(...ARROWS[event.key].map((way) => -way * ARROW));
      isFitted = false;
    } else {
      return;
    }
    event.preventDefault();
  });
  const release = () => {
    isHeld = false;
    element.classList.remove("is-held");
  };
  element.addEventListener("keyup", (event) => event.key === " " && release());
  element.addEventListener("blur", release, true);
  new ResizeObserver(() => (isFitted ? fit() : show())).observe(element);

  const buttons = h(
    "div.zoom-buttons",
    { role: "group", "aria-label": text.frame.zoom },
    iconButton("minus", text.frame.out, () => zoomTo(scale / STEP)),
    said,
    iconButton("plus", text.frame.in, () => zoomTo(scale * STEP)),
    iconButton("fit", text.frame.fit, fit),
    fill(iconButton("fit", text.frame.actual, () => zoomTo(1)), "1:1"),
  );

  return {
    element,
    buttons,
    /** The part of the content that is shown, in its own pixels. */
    visible() {
      const from = [Math.max(0, -left / scale), Math.max(0, -top / scale)];
      const to = [Math.min(size.width, (element.clientWidth - left) / scale), Math.min(size.height, (element.clientHeight - top) / scale)];
      return { x: from[0], y: from[1], width: to[0] - from[0], height: to[1] - from[1] };
    },
    /** Move so that a region is not outside. */
    reveal({ x, y, width, height }) {
      const outside = (low, high, shown) => (low < EDGE ? Math.min(EDGE - low, Math.max(0, shown - EDGE - high)) : high > shown - EDGE ? Math.max(shown - EDGE - high, Math.min(0, EDGE - low)) : 0);
      const dx = outside(left + x * scale, left + (x + width) * scale, element.clientWidth);
      const dy = outside(top + y * scale, top + (y + height) * scale, element.clientHeight);
      if (dx || dy) move(dx, dy);
    },
    scale: () => scale,
  };
}
