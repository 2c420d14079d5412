// The site on the gallery's page: groups of cameras, and the floor plan.

import { api } from "./api.js";
import { cameraChoice } from "./cameras.js";
import { askConfirm, askForm } from "./dialogs.js";
import { action, field, fileInput, h, iconButton, typedText } from "./dom.js";
import { cameraName } from "./format.js";
import { askPins, loadPlan, planView } from "./floorplan.js";
import { may } from "./session.js";
import { asRequest, readPicture } from "./subject.js";
import { cameras as cameraCount, text } from "./text.js";
import { change } from "./toasts.js";

/** Two sections, for a gallery's state (api.galleryState). */
export async function siteSections(state) {
  const [{ groups }, plan] = await Promise.all([api.cameraGroups(), loadPlan()]);
  return [h("section.card", groupList(groups, state.cameras)), h("section.card", floorPlan(plan, state.cameras))];
}

function groupList(groups, cameras) {
  const names = Object.keys(groups);
  const row = (name) =>
    h(
      "li.entry",
      h("div.grow", h("p.strong", name), h("p.hint", `${cameraCount(groups[name].length)}: ${groups[name].map(cameraName).join(", ")}`)),
      may("write")
        ? [
            action(".quiet", "edit", text.state.edit, () => editGroup(groups, cameras, name), { "aria-label": text.groups.change(name) }),
            iconButton("close", text.groups.remove(name), () => removeGroup(groups, name)),
          ]
        : null,
    );
  return [
    h("h2", text.groups.title),
    h("p.hint", text.groups.hint),
    names.length ? h("ul.entries", names.map(row)) : null,
    may("write") ? h("div.row", action("", "plus", text.groups.add, () => editGroup(groups, cameras, ""))) : null,
  ];
}

async function editGroup(groups, cameras, before) {
  const chosen = [...(groups[before] ?? [])];
  const name = h("input", { type: "text", value: before, maxLength: 200, autocomplete: "off", dataset: { first: "" } });
  // The form looks at what is put in whether it may be sent; a camera that is taken away again is put into nothing.
  const changed = () => name.dispatchEvent(new Event("input", { bubbles: true }));
  const answer = await askForm(before || text.groups.add, [field(text.groups.name, name), cameraChoice(cameras, {}, chosen, changed)], {
    confirm: text.save,
    isReady: () => chosen.length > 0 && typedText(name) !== "",
    submit: () => typedText(name),
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
  const input = fileInput(([file]) => upload(file));
  const arrange = async () => {
    const pins = await askPins(plan, cameras);
    if (pins) await change(() => api.setPins(pins), text.plan.saved);
  };
  const remove = async () => {
    if (await askConfirm(text.plan.remove, [text.plan.removeHint], text.plan.remove, { danger: true })) await change(api.deletePlan, text.plan.removed);
  };
  return [
    h("h2", text.plan.title),
    h("p.hint", text.plan.about),
    plan ? planView(plan) : null,
    may("write")
      ? h(
          "div.row",
          plan ? action("", "edit", text.plan.arrange, arrange) : null,
          action("", "upload", plan ? text.plan.another : text.plan.choose, () => input.click()),
          plan ? action(".danger-quiet", "forget", text.plan.remove, remove) : null,
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
