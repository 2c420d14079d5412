// What this tab knows of the server and of itself: token, rights, chosen gallery.

import { store, stored } from "./storage.js";

const TOKEN = "omnireid-token";
const GALLERY = "omnireid-gallery";

/** `info`: the answer of /v1/info, null until it came. `changes`: how often this tab changed the gallery. */
export const session = { info: null, changes: 0 };

let token = stored(TOKEN, "sessionStorage");
let gallery = stored(GALLERY, "sessionStorage");

export const getToken = () => token;

/** The header that a token goes into.
 * @returns {Record<string, string>} */
export const authorisation = () => (token ? { Authorization: `Bearer ${token}` } : {});

let whenTokenChanges = () => {};

/** Set what is called when a token takes the place of another, or is taken away. */
export function onTokenChange(run) {
  whenTokenChanges = run;
}

export function setToken(value) {
  if (token && token !== value) whenTokenChanges();
  token = value;
  store(TOKEN, value, "sessionStorage");
}

/** The chosen gallery, as long as the server has it; else its first. */
export function galleryName() {
  const names = session.info?.galleries ?? [];
  return names.includes(gallery) ? gallery : names[0];
}

export function chooseGallery(name) {
  gallery = name;
  store(GALLERY, name, "sessionStorage");
}

/** Whether this token may "read", "write" or "admin"; the server decides anew at every request. */
export const may = (scope) => session.info?.scopes.includes(scope) ?? false;
