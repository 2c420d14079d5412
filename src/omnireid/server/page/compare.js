// Two pictures side by side: one person or two, and what the network looks at.

import { api } from "./api.js";
import { badge, likeness, meaningOf, ofPairs, rateChoice } from "./decisions.js";
import { checkbox, field, fill, h, icon, titled } from "./dom.js";
import { percent } from "./format.js";
import { qualityOf } from "./quality.js";
import { pictureSlot } from "./slot.js";
import { failed, loading } from "./states.js";
import { asRequest, copyOf } from "./subject.js";
import { text } from "./text.js";

const nothing = () => ({ subjects: [null, null], withMaps: true, rate: "", hasRun: false });
const state = nothing();
let shown = null;

const PRIOR = 0.5; // of two pictures that somebody chose, not of one among a whole gallery
const NEEDED_FOR_MAPS = ["activations", "a.item", "b.item"];

/** Put one or two subjects into the view; the second stays empty where there is one. */
export function setSlots([first, second = null]) {
  state.subjects = [first, second];
  state.hasRun = Boolean(second);
}

export const compare = {
  // Dropped or pasted beside the two places: two into both, one into the first that is empty, else into the second.
  take: ([first, second]) => {
    if (second) shown?.slots.forEach((slot, index) => slot.take([[first, second][index]]));
    else shown?.slots[state.subjects[0] ? 1 : 0].take([first]);
  },
  submit: () => shown?.run(),
  reset: () => Object.assign(state, nothing()),
};

export async function compareView() {
  const output = h("section.compared", { "aria-live": "polite", "aria-label": text.compare.title });
  const button = h("button.primary", { type: "button", onclick: () => run() }, icon("compare"), text.compare.run);
  const isReady = () => state.subjects.every(Boolean);
  const changed = () => {
    button.disabled = !isReady();
  };
  const slots = [text.compare.first, text.compare.second].map((label, index) =>
    pictureSlot(label, state.subjects[index], (subject) => {
      state.subjects[index] = subject;
      changed();
      clear();
    }),
  );
  let latest = 0; // an answer that comes after its question was changed is not shown

  /** Another question: what was said of the one before is gone. */
  function clear() {
    latest += 1;
    fill(output);
    state.hasRun = false;
  }

  async function run() {
    if (!isReady()) return;
    latest += 1;
    const mine = latest;
    state.hasRun = true;
    fill(output, loading(text.compare.running));
    let content;
    try {
      const { subjects, rate, withMaps } = state;
      const asked = subjects.map(copyOf);
      const [answer, ...quality] = await Promise.all([verify(asked, rate, withMaps), ...asked.map(qualityOf)]);
      content = compared(answer, rate, quality);
    } catch (error) {
      content = failed(error, run);
    }
    if (mine === latest) fill(output, content);
  }
  shown = { slots, run };
  changed();
  if (state.hasRun && isReady()) run();
  return titled(
    text.compare.title,
    text.compare.lead,
    h("div.pair.slots", slots.map(({ element }, index) => h("section.card", h("h2.overline", index ? text.compare.second : text.compare.first), element))),
    h(
      "div.row.bar-row",
      button,
      checkbox(text.compare.mapsSwitch, state.withMaps, (isOn) => {
        state.withMaps = isOn;
      }),
      ofPairs().rates.length
        ? field(text.falseAlarmRate, rateChoice(state.rate, (value) => {
            state.rate = value;
            clear();
          }, ofPairs()))
        : null,
    ),
    output,
  );
}

async function verify(subjects, rate, withMaps) {
  const [a, b] = await Promise.all(subjects.map(asRequest));
  const body = { a, b, activations: withMaps, ...(ofPairs().rates.length ? { prior: PRIOR } : {}), ...(rate ? { false_alarm_rate: Number(rate) } : {}) };
  try {
    return await api.verify(body);
  } catch (error) {
    // Not every model, and no item without a picture, gives maps; the comparison itself does not need them.
    if (!withMaps || !error.fields?.some((field) => NEEDED_FOR_MAPS.includes(field))) throw error;
    const answer = await api.verify({ ...body, activations: false });
    return { ...answer, note: [answer.note, text.compare.noMaps(error.message)].filter(Boolean).join(" ") };
  }
}

function compared(answer, rate, quality) {
  // From a picture that shows too little, neither can be said.
  const decision = answer.decision && quality.some(({ isPoor }) => isPoor) ? "unsure" : answer.decision;
  const kind = answer.calibrated ? decision : "none";
  const warnings = quality.flatMap(({ words }, index) => words.map((one) => `${index ? text.compare.second : text.compare.first}: ${one}`));
  const note = answer.note || (answer.calibrated ? "" : text.search.verdict.noneHint);
  const stated = answer.decision ? [meaningOf(Number(rate) || ofPairs().usual, text.compare.stated), text.compare.prior(percent(PRIOR))] : [];
  return [
    h("div.card.outcome", badge(decision), warnings.map((words) => h("p.caution", icon("alert"), h("span", words))), likeness({ ...answer, decision: kind }), h("p.hint", [note, ...stated].filter(Boolean).join(" "))),
    answer.activations ? maps(answer.activations) : null,
  ];
}

const maps = ({ a, b }) =>
  h(
    "section.card",
    h("h2", text.compare.maps),
    h("p.hint", text.compare.mapsHint),
    h("div.maps", [a, b].map((png, index) =>
      h("img", { src: `data:image/png;base64,${png}`, alt: text.compare.mapAlt((index ? text.compare.second : text.compare.first).toLowerCase()) }))),
  );
