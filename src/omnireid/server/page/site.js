// The site on the gallery's page: groups of cameras, and the floor plan.

import { api } from "./api.js";
import { cameraChoice } from "./cameras.js";
import { ask, askConfirm } from "./dialogs.js";
import { field, h, icon, typedText } from "./dom.js";
import { cameraName } from "./format.js";
import { askPins, loadPlan, planView } from "./floorplan.js";
import { refresh } from "./router.js";
import { may } from "./session.js";
import { asRequest, filesOf, readPicture } from "./subject.js";
import { cameras as cameraCount, text } from "./text.js";
import { complain, toast } from "./toasts.js";

async function change(run, done) {
  try {
    await run();
    toast(done);
  } catch (error) {
    complain(error);
  }
  refresh();
}

/** Two sections, for a gallery's state (api.galleryState). */
export async function siteSections(state) {
  const [{ groups }, plan] = await Promise.all([api.cameraGroups(), loadPlan()]);
  return [h("section.card", {}, groupList(groups, state.cameras)), h("section.card", {}, floorPlan(plan, state.cameras))];
}

function groupList(groups, cameras) {
  const names = Object.keys(groups);
  const row = (name) =>
    h(
      "li.entry",
      {},
      h("div.grow", {}, h("p.strong", {}, name), h("p.hint", {}, `${cameraCount(groups[name].length)}: ${groups[name].map(cameraName).join(", ")}`)),
      may("write")
        ? [
            h("button.quiet", { type: "button", "aria-label": text.groups.change(name), onclick: () => editGroup(groups, cameras, name) }, icon("edit"), text.state.edit),
            h("button.icon-button", { type: "button", title: text.groups.remove(name), "aria-label": text.groups.remove(name), onclick: () => removeGroup(groups, name) }, icon("close")),
          ]
        : null,
    );
  return [
    h("h2", {}, text.groups.title),
    h("p.hint", {}, text.groups.hint),
    names.length ? h("ul.entries", {}, names.map(row)) : null,
    may("write") ? h("div.row", {}, h("button", { type: "button", onclick: () => editGroup(groups, cameras, "") }, icon("plus"), text.groups.add)) : null,
  ];
}

async function editGroup(groups, cameras, before) {
  const chosen = [...(groups[before] ?? [])];
  const name = h("input", { type: "text", value: before, maxLength: 200, autocomplete: "off", dataset: { first: "" } });
  const answer = await ask(before || text.groups.add, (close) => {
    const save = h("button.primary", { type: "submit" }, text.save);
    const check = () => { save.disabled = !chosen.length || !typedText(name); };
    name.addEventListener("input", check);
    check();
    return h(
      "form",
      { onsubmit: (event) => { event.preventDefault(); if (!save.disabled) close(typedText(name)); } },
      field(text.groups.name, name),
      cameraChoice(cameras, {}, chosen, check),
      h("div.row.end", {}, h("button", { type: "button", onclick: () => close(null) }, text.cancel), save),
    );
  });
  if (!answer) return;
  const others = Object.entries(groups).filter(([one]) => one !== before && one !== answer);
  await change(() => api.setCameraGroups({ ...Object.fromEntries(others), [answer]: chosen }), text.groups.saved);
}

async function removeGroup(groups, name) {
  const isSure = await askConfirm(text.groups.remove(name), [text.groups.removeHint], text.groups.confirm);
  const left = Object.entries(groups).filter(([one]) => one !== name);
  if (isSure) await change(() => api.setCameraGroups(Object.fromEntries(left)), text.groups.saved);
}

function floorPlan(plan, cameras) {
  const input = h("input", { type: "file", accept: "image/*", hidden: true, onchange: () => upload(filesOf(input)[0]) });
  const choose = (words) => h("button", { type: "button", onclick: () => input.click() }, icon("upload"), words);
  const arrange = async () => {
    const pins = await askPins(plan, cameras);
    if (pins) await change(() => api.setPins(pins), text.plan.saved);
  };
  const remove = async () => {
    if (await askConfirm(text.plan.remove, [text.plan.removeHint], text.plan.remove, { danger: true })) await change(api.deletePlan, text.plan.removed);
  };
  return [
    h("h2", {}, text.plan.title),
    h("p.hint", {}, text.plan.about),
    plan ? planView(plan) : null,
    may("write")
      ? h(
          "div.row",
          {},
          plan ? h("button", { type: "button", onclick: arrange }, icon("edit"), text.plan.arrange) : null,
          choose(plan ? text.plan.another : text.plan.choose),
          plan ? h("button.danger-quiet", { type: "button", onclick: remove }, icon("forget"), text.plan.remove) : null,
          input,
        )
      : null,
  ];
}

async function upload(file) {
  if (!file) return;
  await change(async () => {
    const picture = await readPicture(file);
    await api.setFloorPlan(await asRequest(picture));
    URL.revokeObjectURL(picture.url);
  }, text.plan.kept);
}
