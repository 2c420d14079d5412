// What this tab knows of the server and of itself: token, rights, chosen gallery.

const TOKEN = "omnireid-token";
const GALLERY = "omnireid-gallery";

/** `info`: the answer of /v1/info, null until it came. `changes`: how often this tab changed the gallery. */
export const session = { info: null, changes: 0 };

function stored(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

function store(name, value) {
  try {
    if (value) sessionStorage.setItem(name, value);
    else sessionStorage.removeItem(name);
  } catch {
    // Forbidden storage: it lasts until the page is closed or loaded anew.
  }
}

let token = stored(TOKEN);
let gallery = stored(GALLERY);

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
  store(TOKEN, value);
}

/** The chosen gallery, as long as the server has it; else its first. */
export function galleryName() {
  const names = session.info?.galleries ?? [];
  return names.includes(gallery) ? gallery : names[0];
}

export function chooseGallery(name) {
  gallery = name;
  store(GALLERY, name);
}

/** Whether this token may "read", "write" or "admin"; the server decides anew at every request. */
export const may = (scope) => session.info?.scopes.includes(scope) ?? false;
