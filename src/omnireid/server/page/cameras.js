// The cameras of the gallery and their groups: for filters, suggestions, and in words.

import { api } from "./api.js";
import { checkbox, fill, h, icon, removable, typedText } from "./dom.js";
import { cameraName } from "./format.js";
import { galleryName } from "./session.js";
import { text } from "./text.js";

const FEW = 8; // so many are shown without a field to find one
let known = { of: "", groups: {} };

/**
 * Fill `place` with what `build(state)` makes of the gallery's state, when it is known: counting a large gallery
 * takes a moment, and nothing else on the view needs to wait for it. `state.groups`: cameras by name of the group.
 */
export async function whenStateIsKnown(place, build) {
  try {
    const [state, { groups }] = await Promise.all([api.galleryState(), api.cameraGroups()]);
    known = { of: galleryName(), groups };
    fill(place, build({ ...state, groups }));
  } catch {
    // The view goes on without; what the server has to say comes with the view's own request.
  }
}

/** Chosen cameras in words: a group that is chosen whole by its name, the others one by one. */
export function cameraWords(chosen, groups = known.of === galleryName() ? known.groups : {}) {
  const { whole, rest } = grouped(chosen, groups);
  return [...whole.map((name) => text.cameras.group(name, groups[name].length)), ...rest.map(cameraName)];
}

/** The groups whose cameras are all chosen, and the cameras that are in none of these. */
function grouped(chosen, groups) {
  const whole = Object.keys(groups).filter((name) => groups[name].every((camera) => chosen.includes(camera)));
  const covered = new Set(whole.flatMap((name) => groups[name]));
  return { whole, rest: chosen.filter((camera) => !covered.has(camera)) };
}

/**
 * A choice of cameras that stays short however many there are: what is chosen, a field to find one, and a list
 * with the groups first. `names`: all cameras; `groups`: cameras by name; `chosen`: an array that is kept up to
 * date; `onchange` after each change.
 */
export function cameraChoice(names, groups, chosen, onchange) {
  const on = h("div.chips");
  const list = h("div.camera-list", { role: "group", "aria-label": text.search.cameras });
  const nothing = h("p.hint", { role: "status", hidden: true }, text.cameras.none);
  const find = h("input", { type: "search", autocomplete: "off", spellcheck: false, placeholder: text.cameras.find, "aria-label": text.cameras.find, oninput: narrow });
  find.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  const all = [...new Set([...names, ...chosen])]; // one of the address may be gone from the gallery; it still holds
  const rows = [
    ...Object.keys(groups).map((name) => row(text.cameras.group(name, groups[name].length), groups[name], [name, ...groups[name]])),
    ...all.map((name) => row(cameraName(name), [name], [name])),
  ];

  function row(words, cameras, found) {
    const element = checkbox(words, false, (isOn) => set(cameras, isOn));
    if (cameras.length > 1) element.title = cameras.map(cameraName).join(", ");
    return { element, box: element.querySelector("input"), cameras, found: found.join("\n").toLocaleLowerCase() };
  }

  function set(cameras, isOn) {
    const left = chosen.filter((camera) => !cameras.includes(camera));
    chosen.splice(0, chosen.length, ...left, ...(isOn ? cameras : []));
    show();
    onchange();
  }

  function show() {
    const { whole, rest } = grouped(chosen, groups);
    const chips = [...whole.map((name) => [text.cameras.group(name, groups[name].length), groups[name]]), ...rest.map((camera) => [cameraName(camera), [camera]])];
    fill(on, isFew ? [] : chips.map(([words, cameras]) => removable(words, () => {
      set(cameras, false);
      find.focus();
    })));
    on.hidden = !on.childElementCount;
    for (const { box, cameras } of rows) {
      const count = cameras.filter((camera) => chosen.includes(camera)).length;
      box.checked = count === cameras.length;
      box.indeterminate = count > 0 && count < cameras.length;
    }
  }

  function narrow() {
    const wanted = typedText(find).toLocaleLowerCase();
    for (const { element, found } of rows) element.hidden = !found.includes(wanted);
    nothing.hidden = rows.some(({ element }) => !element.hidden);
  }

  const isFew = rows.length <= FEW;
  list.append(...rows.map(({ element }) => element), nothing);
  if (isFew) {
    list.classList.replace("camera-list", "chips");
    for (const { element } of rows) element.className = "chip";
  }
  show();
  return h("fieldset", h("legend", text.search.cameras), on, isFew ? null : find, list, chosen.length || !isFew ? null : h("p.hint", text.search.camerasHint));
}

/** The same behind a button that says what is chosen, for a toolbar. `chosen` is kept up to date. */
export function cameraPicker(chosen, onchange) {
  const label = h("span.grow", text.browse.anyCamera);
  const body = h("div.picker-body");
  const element = h("details.drop", h("summary", { "aria-label": text.browse.camera }, icon("camera"), label), body);
  const say = (groups) => {
    const words = cameraWords(chosen, groups);
    label.textContent = words.length ? words.join(text.search.or) : text.browse.anyCamera;
    label.title = label.textContent;
  };
  say();
  whenStateIsKnown(body, ({ cameras, groups }) => {
    say(groups);
    return cameraChoice(cameras, groups, chosen, () => {
      say(groups);
      onchange(chosen);
    });
  });
  closesOutside(element);
  return h("div.field", h("span.label", { "aria-hidden": "true" }, text.browse.camera), element);
}

/** Escape and a press elsewhere close what hangs open. */
function closesOutside(element) {
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !element.open) return;
    event.preventDefault();
    element.open = false;
    element.querySelector("summary").focus();
  });
  element.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !element.contains(event.relatedTarget)) element.open = false;
  });
  const away = (event) => {
    if (!element.isConnected) document.removeEventListener("pointerdown", away);
    else if (!element.contains(event.target)) element.open = false;
  };
  element.addEventListener("toggle", () => {
    if (element.open) document.addEventListener("pointerdown", away);
    else document.removeEventListener("pointerdown", away);
  });
}

/** A choice of one camera, or "" for all of them. */
export function cameraSelect(chosen, onchange) {
  const element = h("select", { onchange: () => onchange?.(element.value) }, h("option", { value: "" }, text.browse.anyCamera));
  whenStateIsKnown(element, ({ cameras, groups }) => {
    const option = (name) => h("option", { value: name, selected: name === chosen }, name);
    const named = cameras.filter(Boolean);
    const inGroups = new Set(Object.values(groups).flat());
    return [
      h("option", { value: "" }, text.browse.anyCamera),
      ...named.filter((name) => !inGroups.has(name)).map(option),
      ...Object.entries(groups).map(([group, members]) => h("optgroup", { label: group }, members.filter((name) => named.includes(name)).map(option))),
    ];
  });
  return element;
}
