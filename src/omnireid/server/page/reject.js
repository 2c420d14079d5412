// "Not this person": what an operator saw is kept by the server, and lowers later answers.

import { api } from "./api.js";
import { h, icon } from "./dom.js";
import { refresh } from "./router.js";
import { galleryName, may, session } from "./session.js";
import { asRequest, keyOf } from "./subject.js";
import { text } from "./text.js";
import { complain, toast } from "./toasts.js";

/** What this tab has said, by gallery, pictures and person: the id that takes it back. */
const said = new Map();

/** A button for one person of an answer; null where the server, or this token, cannot. */
export function rejectButton(subject, identity) {
  if (!identity || !may("write") || !session.info.features?.includes("reject")) return null;
  const key = JSON.stringify([galleryName(), keyOf(subject), identity]);
  const attempt = (run) => async () => {
    try {
      await run();
    } catch (error) {
      complain(error);
    }
    refresh();
  };
  const takeBack = attempt(async () => {
    await api.takeBackRejection(said.get(key));
    said.delete(key);
    toast(text.reject.tookBack);
  });
  const reject = attempt(async () => {
    said.set(key, (await api.reject({ identity, ...(await asRequest(subject)) })).id);
    toast(text.reject.done, { action: { label: text.history.undo, run: takeBack } });
  });
  const isSaid = said.has(key);
  return h("button.quiet", { type: "button", onclick: isSaid ? takeBack : reject }, icon(isSaid ? "undo" : "close"), isSaid ? text.reject.takeBack : text.reject.say);
}
