// What the cameras see now: the latest picture of each, with a box and a name for everybody in it.

import { api } from "./api.js";
import { bytesOf } from "./base64.js";
import { mark } from "./decisions.js";
import { fill, h, icon, keepFocus, titled } from "./dom.js";
import { cameraName, clock, percent, personName, when } from "./format.js";
import { link } from "./router.js";
import { empty } from "./states.js";
import { people as peopleCount, text } from "./text.js";
import { complain } from "./toasts.js";

const LOOK_MS = 1000;
const LATER_MS = 5000; // after an error

export async function liveView({ isCurrent }) {
  const state = await api.cameras();
  const panels = new Map(state.cameras.map(({ name }) => [name, panel(name)]));
  const note = h("div", { "aria-live": "polite" });
  const view = titled(
    text.live.title,
    [text.live.lead, " ", h("a", { href: "assets/responsible-use.html#live" }, text.live.responsible)],
    h("p.row", h("a.button", { href: link("map") }, icon("map"), text.views.map), h("a.button", { href: link("timeline") }, icon("clock"), text.views.timeline)),
    note,
    panels.size ? h("div.live", [...panels.values()].map(({ element }) => element)) : empty("camera", text.live.none, text.live.noneHint),
  );
  const show = (now) => {
    const words = [now.failure, now.waiting > 5 ? text.live.waiting(now.waiting) : "", now.lost ? text.live.lost(now.lost) : ""].filter(Boolean);
    if (note.textContent !== words.join(" ")) fill(note, words.length ? h("p.warning", icon("alert"), h("span", words.join(" "))) : null);
    for (const camera of now.cameras) panels.get(camera.name)?.show(camera);
  };
  if (panels.size) {
    show(state);
    keepAsking(isCurrent, api.cameras, show);
  }
  return view;
}

/** `show` what `ask` gives, again and again as long as the view is there; only asked while somebody looks at the page. */
export function keepAsking(isCurrent, ask, show) {
  const look = async () => {
    if (!isCurrent()) return;
    let pause = LOOK_MS;
    try {
      if (document.visibilityState === "visible") show(await ask());
    } catch (error) {
      pause = LATER_MS;
      complain(error);
    }
    setTimeout(look, pause);
  };
  setTimeout(look, LOOK_MS);
}

/** One camera: { element, show(state) }. */
function panel(name) {
  const picture = h("img", { alt: "", hidden: true });
  const boxes = h("div.live-boxes", { "aria-hidden": "true" });
  const said = h("p.live-state");
  const list = h("ul.live-people", { "aria-label": text.live.inView(cameraName(name)) });
  const element = h("section.card.live-camera", { "aria-label": cameraName(name) }, h("div.row.live-head", h("h2.grow", cameraName(name)), said), h("div.live-stage", picture, boxes), list);
  const known = { state: "", people: "", number: -1 };
  let isAsking = false;

  function showState(camera) {
    const words = [camera.state, camera.failure, camera.people].join("\n");
    if (words === known.state) return;
    known.state = words;
    element.dataset.state = camera.state;
    const isLive = camera.state === "live";
    fill(said, h("span.live-dot", { "aria-hidden": "true" }), text.live.states[camera.state], isLive ? `, ${camera.people ? peopleCount(camera.people) : text.live.nobody}` : null, h("span.hint", isLive ? "" : ` ${text.live.since(when(camera.since))}${camera.failure ? `: ${camera.failure}` : ""}`));
  }

  function showFrame(frame) {
    if (frame.number === known.number) return;
    known.number = frame.number;
    const before = picture.src;
    picture.src = URL.createObjectURL(new Blob([bytesOf(frame.image)], { type: "image/jpeg" }));
    picture.hidden = false;
    picture.alt = text.live.picture(cameraName(name), clock(frame.time), frame.people.length);
    if (before) URL.revokeObjectURL(before);
    fill(boxes, frame.people.map((person) => boxOf(person, frame)));
    const words = JSON.stringify(frame.people.map((person) => ({ ...person, box: null })));
    if (words === known.people) return;
    known.people = words;
    keepFocus(list, () => fill(list, frame.people.map(rowOf)));
  }

  async function show(camera) {
    showState(camera);
    if (isAsking || camera.last_frame === null) return;
    isAsking = true; // a slow server is asked once
    try {
      showFrame(await api.cameraFrame(name));
    } catch (error) {
      if (error.status !== 404) complain(error);
    } finally {
      isAsking = false;
    }
  }
  return { element, show };
}

export const whoIs = ({ identity, name, decision }) => (identity ? personName({ id: identity, name }) : text.live.who[decision ?? "early"]);

function boxOf(person, { width, height }) {
  const { box, decision } = person;
  const element = h(`span.live-box.${decision ?? "none"}`, h("span.live-name", whoIs(person)));
  const share = (value, all) => `${(100 * value) / all}%`;
  Object.assign(element.style, { left: share(box.x, width), top: share(box.y, height), width: share(box.width, width), height: share(box.height, height) });
  return element;
}

export function rowOf(person) {
  const { identity, decision, probability } = person;
  return h(
    "li.live-person",
    mark(decision, text.live.decisions[decision]),
    identity ? h("a", { href: link("person", identity) }, whoIs(person)) : h("span", whoIs(person)),
    decision === "same" && probability !== null ? h("span.hint", percent(probability)) : null,
  );
}
