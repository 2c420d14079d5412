// The site's floor plan with a pin for each camera: shown, arranged, and with somebody's way on it.

import { api } from "./api.js";
import { ask } from "./dialogs.js";
import { action, draw, fill, h, icon } from "./dom.js";
import { cameraName, whenShort } from "./format.js";
import { text } from "./text.js";
import { ARROWS, clamp, zoomable } from "./zoom.js";

const STEP = 0.01;
const MANY = 12; // more pins say their names only when they are pointed at
const MOST_STEPS = 20;

const within = (value) => clamp(value, 0, 1);

/** { width, height, pins, url } of the gallery's plan; null where it has none. */
export async function loadPlan() {
  const plan = await api.floorPlan();
  return plan && { ...plan, url: await pictureUrl(plan) };
}

let last = { sha256: "", url: "" };

/** In memory, as long as it is the same picture. */
async function pictureUrl({ sha256 }) {
  if (last.sha256 !== sha256) {
    const url = URL.createObjectURL(await api.floorPlanPicture());
    if (last.url) URL.revokeObjectURL(last.url);
    last = { sha256, url };
  }
  return last.url;
}

function sheet(plan, ...content) {
  const element = h("div.plan", h("img", { src: plan.url, alt: text.plan.alt, draggable: false }), content);
  element.style.setProperty("--ratio", plan.width / plan.height);
  element.classList.toggle("is-crowded", Object.keys(plan.pins).length > MANY);
  return element;
}

function put(element, { x, y }) {
  element.style.left = `${100 * x}%`;
  element.style.top = `${100 * y}%`;
  element.classList.toggle("is-right", x > 0.75);
  return element;
}

const pin = (camera, mark = null) => [h("span.pin-dot", mark ?? icon("camera")), h("span.pin-name", cameraName(camera))];

/** The plan with all its cameras. */
export function planView(plan) {
  const pins = Object.entries(plan.pins).map(([camera, place]) => put(h("li.pin", { tabIndex: 0, title: camera }, pin(camera)), place));
  return sheet(plan, h("ul", { "aria-label": text.plan.cameras }, pins));
}

/**
 * Somebody's way: cameras in the order of time, numbered, with lines between. `lanes`: as the API's timeline;
 * `onchoose(sighting)`. Null where no camera of theirs has a pin.
 */
export function wayOn(plan, lanes, onchoose) {
  const seen = lanes.flatMap(({ camera, sightings }) => sightings.filter(({ start }) => start).map((sighting) => ({ camera, sighting })));
  seen.sort((a, b) => Date.parse(a.sighting.start) - Date.parse(b.sighting.start));
  const all = seen.filter(({ camera }) => plan.pins[camera]);
  const steps = all.slice(-MOST_STEPS);
  if (!steps.length) return null;
  const numbers = new Map();
  steps.forEach(({ camera }, index) => numbers.set(camera, [...(numbers.get(camera) ?? []), index + 1]));
  const others = Object.entries(plan.pins).filter(([camera]) => !numbers.has(camera)).map(([camera, place]) => put(h("span.pin.is-other", { title: camera, "aria-hidden": "true" }, pin(camera)), place));
  const pins = [...numbers].map(([camera, turns]) => {
    const words = text.plan.turns(cameraName(camera), turns);
    const go = () => onchoose(steps[turns.at(-1) - 1].sighting);
    return put(h("button.pin.is-on", { type: "button", title: words, "aria-label": words, onclick: go }, pin(camera, turns.length > 3 ? `${turns[0]}–${turns.at(-1)}` : turns.join(", "))), plan.pins[camera]);
  });
  const missing = seen.length - all.length;
  return [
    sheet(plan, line(steps.map(({ camera }) => plan.pins[camera])), others, pins),
    h("ol.way", steps.map(({ camera, sighting }) => h("li", h("button.quiet.inline", { type: "button", onclick: () => onchoose(sighting) }, cameraName(camera)), h("span.hint", whenShort(sighting.start))))),
    all.length > steps.length ? h("p.hint", text.plan.latest(steps.length, all.length)) : null,
    missing ? h("p.hint", text.plan.elsewhere(missing)) : null,
  ];
}

/** Through the places, stretched over the whole plan. */
function line(places) {
  const points = places.map(({ x, y }) => `${100 * x},${100 * y}`).join(" ");
  const way = draw("polyline", { points, "vector-effect": "non-scaling-stroke" });
  return draw("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", class: "way-line", "aria-hidden": "true" }, way);
}

/** Drag pins, or move them by arrow keys; resolves to all pins, or null where the dialog was left. */
export function askPins(plan, cameras) {
  return ask(text.plan.arrange, (close) => {
    const pins = structuredClone(plan.pins);
    const layer = h("div.pins");
    const content = sheet({ ...plan, pins }, layer);
    const view = zoomable(content, plan, { label: text.plan.window, moves: () => true });
    const waiting = h("div.pins-waiting");
    const said = h("p.sr-only", { role: "status" });

    function show(focused) {
      fill(layer, Object.keys(pins).map(movable));
      const left = cameras.filter((camera) => camera && !pins[camera]);
      fill(waiting, left.length ? h("p.hint", text.plan.waiting(left.length)) : h("p.hint", text.plan.allPlaced), h("div.chips", left.map((camera) => action("", "plus", camera, () => add(camera)))));
      if (focused) [...layer.children].find(({ dataset }) => dataset.camera === focused)?.focus({ preventScroll: true });
    }

    function add(camera) {
      const { x, y, width, height } = view.visible();
      pins[camera] = { x: within((x + width / 2) / plan.width), y: within((y + height / 2) / plan.height) };
      show(camera);
    }

    function movable(camera) {
      const element = put(h("button.pin.is-movable", { type: "button", dataset: { camera }, title: text.plan.pinHelp(camera), "aria-label": text.plan.pinHelp(camera) }, pin(camera)), pins[camera]);
      const move = (x, y) => {
        pins[camera] = { x: within(x), y: within(y) };
        put(element, pins[camera]);
        said.textContent = text.plan.pinIs(camera, Math.round(100 * pins[camera].x), Math.round(100 * pins[camera].y));
      };
      element.addEventListener("keydown", (event) => {
        const arrow = ARROWS[event.key];
        if (event.key === "Delete" || event.key === "Backspace") {
          delete pins[camera];
          show();
          view.element.focus();
          said.textContent = text.plan.pinGone(camera);
        } else if (arrow && !event.altKey && !event.ctrlKey) {
          const step = event.shiftKey ? 5 * STEP : STEP;
          move(pins[camera].x + arrow[0] * step, pins[camera].y + arrow[1] * step);
          view.reveal({ x: pins[camera].x * plan.width, y: pins[camera].y * plan.height, width: 1, height: 1 });
        } else {
          return;
        }
        event.preventDefault();
      });
      element.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        element.setPointerCapture(event.pointerId);
        const start = pins[camera];
        const follow = (next) => {
          const frame = content.getBoundingClientRect();
          move(start.x + (next.clientX - event.clientX) / frame.width, start.y + (next.clientY - event.clientY) / frame.height);
        };
        element.addEventListener("pointermove", follow);
        element.addEventListener("lostpointercapture", () => element.removeEventListener("pointermove", follow), { once: true });
      });
      return element;
    }

    show();
    return h(
      "div.large-view",
      h("div.large-tools", h("p.hint.grow", text.plan.hint), view.buttons),
      waiting,
      view.element,
      h("div.row.end", said, h("button", { type: "button", onclick: () => close(null) }, text.cancel), h("button.primary", { type: "button", onclick: () => close(pins) }, text.save)),
    );
  });
}
