// What the search view holds, and ways into it from anywhere on the page.

import { noConditions } from "./conditions.js";
import { go } from "./router.js";
import { copyOf } from "./subject.js";

// Kept while other views are shown, so that coming back finds everything as it was. `subject` and `chosen` are what
// the form holds; `shown` is the answer with its own question (question.js), null where there is none. `said`: what
// the address says, which is what was searched last, not what is being changed.
export const nothing = () => ({ subject: null, chosen: noConditions(), shown: null, said: "", runNow: false });
export const state = nothing();

/** Put a subject into the search and run it, with these conditions or those that are chosen. */
export function searchWith(subject, conditions) {
  Object.assign(state, { subject: copyOf(subject), shown: null, runNow: true });
  if (conditions) state.chosen = { ...noConditions(), ...conditions };
  go("search");
}

/** Search for items with this attribute; what is searched with stays. */
export function onlyWith(name, value) {
  state.chosen.attributes = [...state.chosen.attributes.filter(([other]) => other !== name), [name, value]];
  state.runNow = Boolean(state.subject);
  go("search");
}
