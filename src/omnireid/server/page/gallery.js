// What the gallery holds, its index, and how long pictures are kept.

import { api } from "./api.js";
import { askConfirm, askForm } from "./dialogs.js";
import { action, facts, field, h, icon, select, titled } from "./dom.js";
import { bytes, cameraName, duration } from "./format.js";
import { link, place, refresh } from "./router.js";
import { may, session } from "./session.js";
import { siteSections } from "./site.js";
import { number, text } from "./text.js";
import { change, toast } from "./toasts.js";

const DAY_S = 86_400;
const LOOK_AGAIN_MS = 2000;

export async function galleryView() {
  const state = await api.galleryState();
  const site = await siteSections(state);
  if (state.index.status === "building") setTimeout(() => place().name === "gallery" && refresh(), LOOK_AGAIN_MS);
  return titled(
    [text.state.title, session.info.galleries.length > 1 ? h("span.hint", state.name) : null],
    text.state.lead,
    h("dl.figures", figures(state)),
    h("div.pair.overview", h("section.card", model(state)), h("section.card", index(state.index))),
    h("section.card", retention(state)),
    site,
    h(
      "p.row.foot",
      may("admin") ? h("a", { href: link("audit") }, icon("audit"), text.views.audit) : null,
      h("a", { href: link("history") }, icon("history"), text.views.history),
      h("span.hint", text.state.version(session.info.version)),
    ),
  );
}

const figures = ({ items, identities, cameras, disk_bytes: disk }) =>
  [
    [text.state.items, number(items)],
    [text.state.people, number(identities)],
    [text.state.cameras, number(cameras.length)],
    [text.state.disk, disk === null || disk === undefined ? text.state.diskUnknown : bytes(disk)],
  ].map(([name, value]) => h("div.figure", h("dt", name), h("dd", value)));

function model({ models, precision }) {
  const { calibrated } = session.info;
  return [
    h("h2", text.state.model),
    facts([
      ...models.map(({ name, sha256, state }) => [text.state.models[state] ?? state, [name, " ", h("code", { title: sha256 }, sha256.slice(0, 12))]]),
      [text.state.calibrated, calibrated ? text.state.isCalibrated : text.state.notCalibrated],
      [text.state.precision, precision],
    ]),
    calibrated ? null : h("p.note", text.search.verdict.noneHint),
  ];
}

function index({ status, indexed, unindexed }) {
  const build = () => change(api.buildIndex, text.state.building);
  return [
    h("h2", text.state.index),
    h("p", { role: "status" }, status === "building" ? h("span.spinner", { "aria-hidden": "true" }) : null, text.state.indexStates[status]),
    status === "none" ? null : h("p.hint", text.state.indexed(indexed, unindexed)),
    may("admin") ? h("div.row", h("button", { type: "button", disabled: status === "building", onclick: build }, text.state.build)) : null,
  ];
}

const kept = (seconds) => (seconds ? text.state.keptFor(duration(seconds)) : text.state.forever);

function retention(state) {
  const { default_s: byDefault, cameras } = state.retention;
  const own = Object.entries(cameras);
  return [
    h("h2", text.state.retention),
    h("p.hint", text.state.retentionHint),
    facts([
      ...own.map(([camera, seconds]) => [cameraName(camera), kept(seconds)]),
      [own.length ? text.state.default : text.browse.anyCamera, kept(byDefault)],
    ]),
    may("admin")
      ? h(
          "div.row",
          action("", "edit", text.state.edit, () => editRetention(state)),
          action(".danger-quiet", "clock", text.state.run, runRetention),
        )
      : null,
  ];
}

async function editRetention({ cameras, retention: { default_s: byDefault, cameras: own } }) {
  const common = keepingControl(byDefault, false);
  const controls = [...new Set([...cameras, ...Object.keys(own)])].map((camera) => [camera, keepingControl(own[camera], true)]);
  const content = [
    common.element(text.state.default),
    controls.map(([camera, control]) => control.element(cameraName(camera))),
    h("p.warning", icon("alert"), h("span", text.state.shorter)),
  ];
  const chosen = () => controls.map(([camera, control]) => [camera, control.seconds()]).filter(([, value]) => value !== undefined);
  const submit = () => ({ default_s: common.seconds(), cameras: Object.fromEntries(chosen()) });
  const body = await askForm(text.state.editTitle, content, { confirm: text.save, submit });
  if (body) await change(() => api.setRetention(body), text.state.saved);
}

/** How long one camera's pictures stay: `seconds()` is null for ever, undefined where it is as all others. */
function keepingControl(seconds, mayFollow) {
  const kinds = [["forever", text.state.unlimited], ["days", text.state.someDays]];
  if (mayFollow) kinds.unshift(["default", text.state.byDefault]);
  const kind = seconds ? "days" : seconds === null || !mayFollow ? "forever" : "default";
  const days = h("input", { type: "number", min: 0.01, step: "any", required: true, value: seconds ? String(seconds / DAY_S) : "" });
  const show = (chosen) => {
    days.hidden = days.disabled = chosen !== "days";
  };
  const choice = select(kinds, kind, show);
  show(kind);
  return {
    seconds: () => ({ days: Math.round(Number(days.value) * DAY_S), forever: null })[choice.value],
    element(name) {
      days.setAttribute("aria-label", `${name}: ${text.state.days}`);
      return h("div.with-button", field(name, choice), days);
    },
  };
}

async function runRetention() {
  const isSure = await askConfirm(text.state.runTitle, [text.state.retentionHint, text.forget.final], text.forget.confirm, { danger: true });
  if (isSure) await change(async () => toast(text.state.ran((await api.runRetention()).forgotten)));
}
