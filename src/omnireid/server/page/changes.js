// What an operator changes: names, merges, splits, assignments, forgetting. Each asks, does and says what it did.

import { api } from "./api.js";
import { askConfirm, askForget, askText, choosePerson } from "./dialogs.js";
import { personName } from "./format.js";
import { refresh } from "./router.js";
import { itemsOf, ownerOf } from "./subject.js";
import { cameras as cameraCount, people as peopleCount, text } from "./text.js";
import { dropAllThumbnails, dropThumbnails } from "./thumbnails.js";
import { attempt, operate, toast } from "./toasts.js";

const MOST_AT_ONCE = 2000; // of one request

export async function rename(person) {
  const name = await askText(text.person.renameTitle, text.person.nameLabel, { value: person.name ?? "" });
  if (name && (await operate(() => api.nameIdentity(person.id, name)))) refresh();
}

/** Returns the person that is left, or null. */
export async function mergeInto(person) {
  const into = await choosePerson(text.person.mergeTitle(personName(person)), { except: [person.id], hint: text.person.mergeHint });
  if (!into) return null;
  return (await operate(() => api.merge(into.id, [person.id]))) ? into : null;
}

/** Make a person of items that belong to nobody, or to somebody else. Returns its id, or null. */
export async function splitOff(items, title = text.person.splitTitle) {
  const name = await askText(title, text.person.splitName, { hint: text.person.splitHint, confirm: text.person.split, isOptional: true });
  if (name === null) return null;
  const operation = await operate(() => api.split(items.map(({ id }) => id), name));
  return operation?.identity ?? null;
}

export async function assign(items) {
  const person = await choosePerson(text.item.assign, { allowNew: true });
  if (!person) return false;
  const ids = items.map(({ id }) => id);
  return Boolean(await operate(() => (person.isNew ? api.split(ids, person.name) : api.assign(ids, person.id))));
}

/**
 * What one press says: who was searched for is this person. Null where there is nothing to say.
 *
 * `subject`: what was searched with; `who`: { identity, name } of the found `items`, which all are theirs. Returns
 * { words, run }; `run` resolves to whether it was done. Pictures of the user's are enrolled instead (enrol.js).
 */
export function samePerson(subject, { identity, name }, items) {
  const mine = itemsOf(subject);
  if (!mine.length) return null;
  const join = (some, person) => operate(() => api.assign(some.map(({ id }) => id), person.id)).then(Boolean);
  const found = { id: identity, name };
  const own = ownerOf(subject);
  if (identity && mine.every((one) => one.identity === identity)) return null;
  if (own && identity) return { words: text.same.merge(personName(own)), run: () => mergeTwo(found, own) };
  if (own) return { words: text.same.join(items.length, personName(own)), run: () => join(items, own) };
  if (identity) return { words: text.same.joins(mine.length, personName(found)), run: () => join(mine, found) };
  return { words: text.same.nobodyYet(mine.length + items.length), run: () => splitOff([...mine, ...items], text.search.name).then(Boolean) };
}

/**
 * People, or groups of an answer, are one person: known people are merged into the first that has a name, pictures of nobody join
 * them, or make a person where nobody is known. Resolves to whether it was done.
 */
export async function joinGroups(groups) {
  const known = groups.filter(({ identity }) => identity);
  const loose = groups.filter(({ identity }) => !identity).flatMap(({ candidates }) => candidates.map(({ item }) => item));
  if (!known.length) return Boolean(await splitOff(loose, text.search.name));
  const into = known.find(({ name }) => name) ?? known[0];
  const others = known.filter((one) => one !== into);
  const nameOf = ({ identity, name }) => personName({ id: identity, name });
  const lines = [others.length ? text.join.merged(others.map(nameOf).join(", "), nameOf(into)) : "", loose.length ? text.join.assigned(loose.length, nameOf(into)) : "", text.join.undo];
  if (!(await askConfirm(text.join.title(groups.length), lines.filter(Boolean), text.join.run))) return false;
  const merged = !others.length || (await operate(() => api.merge(into.identity, others.map(({ identity }) => identity))));
  if (!merged) return false;
  if (loose.length) await operate(() => api.assign(loose.map(({ id }) => id), into.identity));
  return true;
}

/** Both are known as two people: that is asked about before. */
async function mergeTwo(from, into) {
  const isSure = await askConfirm(text.same.mergeTitle(personName(from), personName(into)), [text.person.mergeHint], text.same.mergeConfirm);
  return Boolean(isSure && (await operate(() => api.merge(into.id, [from.id]))));
}

export async function forgetItems(items) {
  const isSure = await askForget(text.forget.titleItems(items.length), [text.forget.lostItems(items.length), text.forget.lostUndo]);
  if (!isSure) return false;
  const ids = items.map(({ id }) => id);
  for (let from = 0; from < ids.length; from += MOST_AT_ONCE) {
    const some = ids.slice(from, from + MOST_AT_ONCE);
    if (!(await attempt(() => api.forgetItems(some)))) {
      if (from) toast(text.forget.done(from));
      return from > 0;
    }
    dropThumbnails(some);
  }
  toast(text.forget.done(items.length));
  return true;
}

/** `people` as /v1/identities gives them: for one the name is typed, for several how many they are. */
export async function forgetPeople(people) {
  const [words, typed] = people.length === 1 ? [personName(people[0]), personName(people[0])] : [peopleCount(people.length), String(people.length)];
  const all = (of) => people.flatMap(of);
  const lost = [text.forget.lostPictures(all(({ items }) => items).reduce((sum, count) => sum + count, 0), cameraCount(new Set(all(({ cameras }) => cameras)).size))];
  const names = all(({ name }) => name || []);
  const merged = all((person) => person.merged);
  if (names.length) lost.push(text.forget.lostNames(names));
  if (merged.length) lost.push(text.person.aliases(merged.length));
  lost.push(text.forget.lostUndo);
  if (!(await askForget(text.forget.title(words), lost, { type: typed }))) return false;
  let forgotten = 0;
  for (const person of people) {
    if (!(await attempt(() => api.forgetIdentity(person.id)))) break;
    forgotten += person.items;
  }
  dropAllThumbnails();
  if (forgotten) toast(text.forget.done(forgotten));
  return forgotten > 0;
}
