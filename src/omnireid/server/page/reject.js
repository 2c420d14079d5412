// "Not this person": what an operator saw is kept by the server, and lowers later answers.

import { api } from "./api.js";
import { action } from "./dom.js";
import { galleryName, may, session } from "./session.js";
import { asRequest, keyOf } from "./subject.js";
import { text } from "./text.js";
import { change, toast } from "./toasts.js";

/** What this tab has said, by gallery, pictures and person: the id that takes it back. */
const said = new Map();

/** A button for one person of an answer; null where the server, or this token, cannot. */
export function rejectButton(subject, identity) {
  if (!identity || !may("write") || !session.info.features?.includes("reject")) return null;
  const key = JSON.stringify([galleryName(), keyOf(subject), identity]);
  const takeBack = () => change(async () => {
    await api.takeBackRejection(said.get(key));
    said.delete(key);
  }, text.reject.tookBack);
  const reject = () => change(async () => {
    said.set(key, (await api.reject({ identity, ...(await asRequest(subject)) })).id);
    toast(text.reject.done, { takeBack });
  });
  return said.has(key) ? action(".quiet", "undo", text.reject.takeBack, takeBack) : action(".quiet", "close", text.reject.say, reject);
}
