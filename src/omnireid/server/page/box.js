// A picture with a box that is drawn and adjusted by mouse, touch and keyboard.

import { h } from "./dom.js";
import { text } from "./text.js";
import { ARROWS, clamp } from "./zoom.js";

const LEAST = 8; // pixels of the picture
const DRAGGED = 6; // pixels of the screen
const EDGES = ["n", "e", "s", "w", "ne", "se", "sw", "nw"];

// A finger on the picture scrolls the page; it adjusts the box that the button makes.
const byMouse = (event) => event.pointerType !== "touch";

/**
 * { element, start(around), place(region), remove(), interrupt(), isPulled() }: `start` makes a box in the middle, of the whole
 * picture or of a part of it, and focuses it; `interrupt` takes back what a pointer is just doing.
 *
 * `picture` has url, name, width, height and region, which is kept up to date: whole pixels inside the picture,
 * or null. `onchange` is called after each change. `mayDraw(event)`: whether this pointer draws a new box. The
 * handles lie outside of the box, so that they hide nobody, however small the person is.
 */
export function boxEditor(picture, onchange, { mayDraw = byMouse } = {}) {
  const image = h("img", { src: picture.url, alt: text.subject.alt(picture.name), draggable: false });
  const shade = h("div.shade", { hidden: true });
  const announcement = h("span.sr-only", { "aria-live": "polite" });
  const box = h(
    "div.box",
    { tabIndex: 0, role: "application", "aria-roledescription": text.subject.box, "aria-label": text.subject.boxHelp, hidden: true },
    EDGES.map((edge) => h(`span.handle.${edge}`, { dataset: { edge }, "aria-hidden": "true" })),
  );
  const stage = h("div.stage", h("div.stage-clip", image, shade), box, announcement);
  stage.style.setProperty("--ratio", picture.width / picture.height);
  let timer = 0;
  let tracking = null;

  function place(region) {
    picture.region = region && inside(region);
    box.hidden = shade.hidden = !picture.region;
    stage.classList.toggle("has-box", Boolean(picture.region));
    if (picture.region) [box, shade].forEach((element) => lay(element, picture.region, picture));
    clearTimeout(timer);
    timer = setTimeout(() => {
      announcement.textContent = picture.region ? text.subject.boxIs(picture.region) : text.subject.boxGone;
    }, 500);
    onchange?.(picture.region);
  }

  function inside({ x, y, width, height }) {
    const w = clamp(Math.round(width), Math.min(LEAST, picture.width), picture.width);
    const t = clamp(Math.round(height), Math.min(LEAST, picture.height), picture.height);
    return { x: clamp(Math.round(x), 0, picture.width - w), y: clamp(Math.round(y), 0, picture.height - t), width: w, height: t };
  }

  function pointOf(event) {
    const frame = image.getBoundingClientRect();
    return [((event.clientX - frame.left) * picture.width) / frame.width, ((event.clientY - frame.top) * picture.height) / frame.height];
  }

  /** Follow the pointer until it is lifted: `follow` makes a region of where it is. */
  function track(event, follow) {
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    const before = picture.region;
    const move = (next) => next.pointerId === event.pointerId && place(follow(pointOf(next)));
    const drop = (last) => {
      move(last); // a quick pointer is lifted where no event of moving told of
      end();
    };
    const end = () => {
      tracking = null;
      stage.removeEventListener("pointermove", move);
      stage.removeEventListener("pointerup", drop);
      stage.removeEventListener("pointercancel", end);
      if (picture.region) box.focus({ preventScroll: true });
    };
    stage.addEventListener("pointermove", move);
    stage.addEventListener("pointerup", drop);
    stage.addEventListener("pointercancel", end);
    tracking = () => {
      place(before);
      end();
    };
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const [startX, startY] = pointOf(event);
    const before = picture.region;
    const { edge } = event.target.dataset;
    if (edge) {
      // A handle is taken beside the edge that it pulls.
      const [edgeX, edgeY] = [edge.includes("w") ? before.x : before.x + before.width, edge.includes("n") ? before.y : before.y + before.height];
      track(event, ([x, y]) => pulled(before, edge, clamp(edgeX + x - startX, 0, picture.width), clamp(edgeY + y - startY, 0, picture.height)));
    } else if (box.contains(event.target)) {
      track(event, ([x, y]) => ({ ...before, x: before.x + x - startX, y: before.y + y - startY }));
    } else if (mayDraw(event)) {
      const within = (x, y) => [clamp(x, 0, picture.width), clamp(y, 0, picture.height)];
      const draw = () => track(event, ([x, y]) => between(...within(startX, startY), ...within(x, y)) ?? before);
      if (event.target.closest("button")) onceDragged(event, draw);
      else draw();
    }
  });

  /** What was found by itself can be pressed, and drawn over. */
  function onceDragged(event, begin) {
    const look = (next) => {
      if (next.type === "pointermove" && Math.hypot(next.clientX - event.clientX, next.clientY - event.clientY) < DRAGGED) return;
      for (const name of ["pointermove", "pointerup", "pointercancel"]) stage.removeEventListener(name, look);
      if (next.type === "pointermove") begin();
    };
    for (const name of ["pointermove", "pointerup", "pointercancel"]) stage.addEventListener(name, look);
  }

  box.addEventListener("keydown", (event) => {
    if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      place(null);
      return;
    }
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const step = event.ctrlKey ? 1 : Math.max(1, Math.round(Math.max(picture.width, picture.height) / 100));
    const [dx, dy] = arrow.map((direction) => direction * step);
    const { x, y, width, height } = picture.region;
    place(
      event.shiftKey
        ? { x, y, width: Math.min(width + dx, picture.width - x), height: Math.min(height + dy, picture.height - y) }
        : { x: x + dx, y: y + dy, width, height },
    );
  });

  place(picture.region);
  return {
    element: stage,
    start({ x, y, width, height } = { x: 0, y: 0, width: picture.width, height: picture.height }) {
      // Upright, as people are.
      const tall = height * 0.7;
      const wide = Math.min(width * 0.7, tall / 2);
      place({ x: x + (width - wide) / 2, y: y + (height - tall) / 2, width: wide, height: tall });
      box.focus({ preventScroll: true });
    },
    place,
    remove: () => place(null),
    interrupt: () => tracking?.(),
    isPulled: () => Boolean(tracking),
  };
}

/** Put an element over a region of its picture, at whatever size that is shown. */
export function lay(element, { x, y, width, height }, picture) {
  element.style.left = `${(100 * x) / picture.width}%`;
  element.style.top = `${(100 * y) / picture.height}%`;
  element.style.width = `${(100 * width) / picture.width}%`;
  element.style.height = `${(100 * height) / picture.height}%`;
}

/** The box between two corners; null where it is too small to be meant. */
function between(x1, y1, x2, y2) {
  const [width, height] = [Math.abs(x2 - x1), Math.abs(y2 - y1)];
  if (width < LEAST || height < LEAST) return null;
  return { x: Math.min(x1, x2), y: Math.min(y1, y2), width, height };
}

/** The box with the edges named by compass letters moved to (x, y). */
function pulled({ x, y, width, height }, edge, toX, toY) {
  let [left, top, right, bottom] = [x, y, x + width, y + height];
  if (edge.includes("w")) left = Math.min(toX, right - LEAST);
  if (edge.includes("e")) right = Math.max(toX, left + LEAST);
  if (edge.includes("n")) top = Math.min(toY, bottom - LEAST);
  if (edge.includes("s")) bottom = Math.max(toY, top + LEAST);
  return { x: left, y: top, width: right - left, height: bottom - top };
}
