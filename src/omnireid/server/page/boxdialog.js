// The large view of a picture, in a dialog: zoom, move, and draw a box around a person, or around several.

import { api } from "./api.js";
import { boxEditor, lay } from "./box.js";
import { ask } from "./dialogs.js";
import { fill, h, icon, uniqueId } from "./dom.js";
import { percent } from "./format.js";
import { may, session } from "./session.js";
import { complaint } from "./states.js";
import { asRequest } from "./subject.js";
import { text } from "./text.js";
import { zoomable } from "./zoom.js";

/**
 * Draw, change or take away the region of a picture (subject.js), in a view as large as the screen.
 *
 * `mayBeSeveral`: people may be searched for at once; then it resolves to their regions where there are two or more.
 * Otherwise the picture has its region, or the one it had before where the dialog was left; it resolves to null.
 */
export async function askBox(picture, { mayBeSeveral = false } = {}) {
  const before = picture.region;
  const answer = await ask(text.subject.box, (close) => largeView(picture, close, mayBeSeveral));
  if (!answer) picture.region = before;
  return Array.isArray(answer) ? answer : null;
}

function largeView(picture, close, mayBeSeveral) {
  // Chosen beside the box that is being drawn: { region, score }, the score of what was found by itself.
  let kept = [];
  let found = [];
  let isDrawing = true;
  let isMade = false;
  const editor = boxEditor(picture, changed, { mayDraw: () => isDrawing });
  const layer = h("div.suggestions");
  editor.element.append(layer);
  editor.element.classList.add("large");
  const view = zoomable(editor.element, picture, { label: text.frame.window, moves: () => !isDrawing, interrupt: editor.interrupt });
  const switcher = h("button", { type: "button" });
  const another = h("button", { type: "button", hidden: !mayBeSeveral, onclick: keepAnother }, icon("plus"), text.frame.another);
  const save = h("button.primary", { type: "button", onclick: finish });
  const said = h("p.hint.grow", { role: "status" });
  const problems = h("div", { role: "status" });
  const modes = modeChoice((mode) => {
    isDrawing = mode === "draw";
    view.element.classList.toggle("is-drawing", isDrawing);
  });
  view.element.classList.add("is-drawing");
  switcher.onclick = () => (picture.region ? editor.remove() : editor.start(view.visible()));

  const chosen = () => [...kept.map(({ region }) => region), ...(picture.region ? [picture.region] : [])];

  function changed(region) {
    if (!isMade) return;
    fill(switcher, icon(region ? "close" : "box"), region ? text.frame.noBox : text.subject.draw);
    if (region && !editor.isPulled()) view.reveal(region); // the picture stays under a pointer
    another.disabled = !region;
    const count = chosen().length;
    fill(save, count > 1 ? [icon("search"), text.frame.searchSeveral(count)] : text.save);
    const words = count > 1 ? text.frame.chosen(count) : mayBeSeveral ? text.frame.hintSeveral : text.frame.hint;
    if (said.textContent !== words) said.textContent = words; // said once, not at each move of a box
  }

  function keepAnother() {
    kept.push({ region: picture.region });
    editor.remove();
    showFound();
    (layer.lastElementChild ?? view.element).focus({ preventScroll: true });
  }

  /** Boxes that were found or kept, each a button that chooses it or leaves it out. */
  function showFound() {
    const all = [...found, ...kept.filter((one) => !found.includes(one))];
    fill(layer, all.map((one, index) => {
      const isChosen = kept.includes(one);
      const words = one.score === undefined ? text.frame.person(index + 1) : text.frame.foundPerson(index + 1, percent(one.score));
      const button = h("button.suggestion", { type: "button", title: words, "aria-label": words, "aria-pressed": String(isChosen), onclick: () => choose(one, index) }, h("span.suggestion-number", { "aria-hidden": "true" }, String(index + 1)));
      lay(button, one.region, picture);
      return button;
    }));
    changed(picture.region);
  }

  function choose(one, index) {
    if (mayBeSeveral) {
      kept = kept.includes(one) ? kept.filter((other) => other !== one) : [...kept, one];
      showFound();
      (layer.children[index] ?? view.element).focus({ preventScroll: true });
    } else {
      editor.place(one.region);
    }
  }

  async function detect() {
    fill(problems, h("p.hint", h("span.spinner", { "aria-hidden": "true" }), text.frame.finding));
    try {
      const { boxes } = await api.detect(await asRequest({ ...picture, region: null }));
      found = boxes.map(({ x, y, width, height, score }) => ({ region: { x, y, width, height }, score }));
      fill(problems, h("p.hint", found.length ? text.frame.found(found.length) : text.frame.nobodyFound));
      showFound();
    } catch (error) {
      fill(problems, complaint(error.message));
    }
  }

  function finish() {
    const regions = chosen();
    if (regions.length === 1) editor.place(regions[0]);
    close(regions.length > 1 ? regions.map(whole) : true);
  }

  const whole = ({ x, y, width, height }) => ({ x: Math.round(x), y: Math.round(y), width: Math.max(1, Math.round(width)), height: Math.max(1, Math.round(height)) });

  isMade = true;
  changed(picture.region);
  const canDetect = session.info?.features?.includes("detect") && may("read");
  if (canDetect) detect();
  return h(
    "div.large-view",
    h("div.large-tools", switcher, another, modes, view.buttons),
    problems,
    view.element,
    h("div.row.end", said, save),
  );
}

/** What a drag on the picture does: two radio buttons that look like one switch. */
function modeChoice(onchange) {
  const name = uniqueId("mode");
  const mode = (value, symbol, words, checked) =>
    h("label.mode", { title: words }, h("input", { type: "radio", name, value, checked, onchange: () => onchange(value) }), icon(symbol), h("span", words));
  return h("div.modes", { role: "radiogroup", "aria-label": text.frame.drag }, mode("draw", "box", text.frame.drawing, true), mode("move", "hand", text.frame.moving, false));
}
