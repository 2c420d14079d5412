// A place for one picture: dropped, pasted, chosen from disk or taken from the gallery.

import { boxEditor } from "./box.js";
import { chooseItem } from "./dialogs.js";
import { fill, h, icon } from "./dom.js";
import { cameraName, when } from "./format.js";
import { complaint } from "./states.js";
import { filesOf, fromItem, PictureError, readPicture } from "./subject.js";
import { text } from "./text.js";
import { thumbnail } from "./thumbnails.js";

/**
 * { element, take(files) }. `subject` is what lies in it (subject.js) or null; `onchange(subject)` is called when
 * another picture, or another box, lies in it.
 */
export function pictureSlot(label, subject, onchange) {
  const input = h("input", { type: "file", accept: "image/*", hidden: true, onchange: () => take(filesOf(input)) });
  const element = h("div.slot", { role: "group", "aria-label": label });

  async function take([file]) {
    if (!file) return;
    try {
      set(await readPicture(file));
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      show(subject, error.message);
    } finally {
      input.value = "";
    }
  }

  async function pick() {
    const item = await chooseItem();
    if (item) set(fromItem(item));
  }

  function set(next) {
    const hadFocus = element.contains(document.activeElement);
    subject = next;
    show(subject);
    onchange(subject);
    if (hadFocus) element.querySelector("button").focus();
  }

  const sources = (isFirst) => [
    h(isFirst ? "button.primary" : "button", { type: "button", onclick: () => input.click() }, icon("upload"), isFirst ? text.subject.choose : text.subject.other),
    h("button", { type: "button", onclick: pick }, icon("pictures"), isFirst ? text.subject.pick : text.subject.fromGalleryShort),
  ];

  function show(current, problem) {
    const content = !current ? blank() : current.kind === "file" ? file(current) : item(current.item);
    fill(element, content, problem ? complaint(problem) : null, input);
  }

  const blank = () =>
    h("div.blank", {}, icon("person"), h("p.state-title", {}, text.subject.drop), h("p.hint", {}, text.subject.dropHint), h("div.row.centred", {}, sources(true)));

  function file(current) {
    const drawn = h("button", { type: "button" });
    const label = () => fill(drawn, icon(current.region ? "close" : "box"), current.region ? text.subject.whole : text.subject.draw);
    let isReady = false;
    const editor = boxEditor(current, () => {
      label();
      if (isReady) onchange(current);
    });
    isReady = true;
    drawn.onclick = () => (current.region ? editor.remove() : editor.start());
    return [
      editor.element,
      h("p.hint", {}, `${current.name} · ${text.subject.size(current.width, current.height)}. ${text.subject.drawHint}`),
      h("div.row", {}, drawn, sources(false)),
    ];
  }

  const item = (current) => [
    h(
      "div.slot-item",
      {},
      thumbnail(current, "big"),
      h("div", {}, h("p.overline", {}, text.subject.fromGallery), h("p.strong", {}, cameraName(current.camera)), h("p.hint", {}, when(current.time)), current.name ? h("p", {}, current.name) : null),
    ),
    h("div.row", {}, sources(false)),
  ];

  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("is-over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("is-over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("is-over");
    take(filesOf(event.dataTransfer));
  });
  show(subject);
  return { element, take };
}
