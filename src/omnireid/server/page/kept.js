// The user's own pictures over a reload of this tab: in sessionStorage, which the browser deletes with the tab, and
// nowhere else. Another gallery or another token deletes them at once.

import { base64, bytesOf } from "./base64.js";
import { galleryName, onTokenChange } from "./session.js";
import { numberOf, picturesOf, readPicture, together } from "./subject.js";

const INDEX = "omnireid-pictures";
const FILE = "omnireid-picture-";

/** { gallery, subjects: [[number, [{ file, name, type, region }]]…], chosen }: the latest last. */
const nothing = () => ({ gallery: "", subjects: [], chosen: "" });
let index = nothing();
const saved = new Map(); // by the file's number here, the name of its entry

/** Run `write`; where the space is used up, without the oldest pictures. False where even then it does not fit. */
function fitting(write) {
  for (;;) {
    try {
      write();
      return true;
    } catch {
      if (!index.subjects.length) return false;
      drop(index.subjects[0][0]);
    }
  }
}

function drop(number) {
  index.subjects = index.subjects.filter(([other]) => other !== number);
  const needed = new Set(index.subjects.flatMap(([, files]) => files.map(({ file }) => file)));
  for (const [blob, file] of saved) {
    if (needed.has(file)) continue;
    sessionStorage.removeItem(FILE + file);
    saved.delete(blob);
  }
}

/** Keep a subject under its number, and which one the form holds. What is too large to be kept is left out. */
export async function keep(number, subject, { isChosen = false } = {}) {
  const gallery = galleryName();
  try {
    const files = [];
    for (const { blob, name, region } of picturesOf(subject)) {
      const key = numberOf(blob);
      const content = saved.has(key) ? null : await base64(blob);
      if (gallery !== galleryName()) return;
      if (content !== null && !saved.has(key)) {
        const file = `${Date.now()}-${key}`;
        if (!fitting(() => sessionStorage.setItem(FILE + file, content))) return;
        saved.set(key, file);
      }
      files.push({ file: saved.get(key), name, type: blob.type, region });
    }
    index.subjects = [...index.subjects.filter(([other]) => other !== number), [number, files]];
    if (isChosen) index.chosen = number;
    index.gallery = gallery;
    fitting(() => sessionStorage.setItem(INDEX, JSON.stringify(index)));
  } catch {
    // Storage that is forbidden: a reload forgets, as before.
  }
}

/** What the form holds is not one of these. */
export function choseOther() {
  index.chosen = "";
  if (index.subjects.length) fitting(() => sessionStorage.setItem(INDEX, JSON.stringify(index)));
}

/** Delete all of it. */
export function dropKept() {
  index = nothing();
  saved.clear();
  try {
    for (const name of Object.keys(sessionStorage)) if (name === INDEX || name.startsWith(FILE)) sessionStorage.removeItem(name);
  } catch {
    // Nothing was kept either.
  }
}

onTokenChange(dropKept);

/** { subjects: Map of number to subject, chosen } of this tab before it was loaded anew; of this gallery only. */
export async function restored() {
  const subjects = new Map();
  try {
    index = { ...nothing(), ...JSON.parse(sessionStorage.getItem(INDEX) ?? "{}") };
    if (index.gallery !== galleryName()) dropKept();
    const read = new Map();
    for (const [number, files] of index.subjects) {
      const pictures = [];
      for (const { file, name, type, region } of files) {
        if (!read.has(file)) read.set(file, await readAgain(file, name, type));
        const picture = read.get(file);
        if (picture) pictures.push({ ...picture, region });
      }
      if (pictures.length === files.length) subjects.set(number, together(pictures));
    }
  } catch {
    dropKept(); // not what this version writes
  }
  return { subjects, chosen: index.chosen };
}

async function readAgain(file, name, type) {
  const content = sessionStorage.getItem(FILE + file);
  if (content === null) return null;
  const picture = await readPicture(new File([bytesOf(content)], name, { type }));
  saved.set(numberOf(picture.blob), file);
  return picture;
}
