// What is searched with, compared or enrolled: a picture of the user's, perhaps a box in it, or an item.

import { api } from "./api.js";
import { base64 } from "./base64.js";
import { h } from "./dom.js";
import { bytes } from "./format.js";
import { session } from "./session.js";
import { text } from "./text.js";

const MILLION = 1_000_000;
const SHARE = 0.74; // of a request: base64 takes a third more, the rest of the request a little

/** What the browser refuses, in words. */
export class PictureError extends Error {}

/**
 * Read a file of the user's.
 *
 * Returns { kind: "file", name, blob, url, width, height, region: null }; sizes as the eye sees it, turned as
 * its EXIF says, which is how the server counts pixels too.
 */
export async function readPicture(file) {
  const name = file.name || "The picture";
  const limits = session.info?.limits ?? {};
  if (file.size === 0) throw new PictureError(text.errors.empty(name));
  const most = Math.floor((limits.max_bytes ?? Infinity) * SHARE);
  if (file.size > most) throw new PictureError(text.errors.tooLarge(name, bytes(file.size), bytes(most)));
  const url = URL.createObjectURL(file);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(url);
    throw new PictureError(text.errors.notPicture(name));
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  if (limits.max_pixels && width * height > limits.max_pixels) {
    URL.revokeObjectURL(url);
    throw new PictureError(text.errors.tooManyPixels(name, width, height, Math.floor(limits.max_pixels / MILLION)));
  }
  return { kind: "file", name, blob: file, url, width, height, region: null };
}

export const fromItem = (item) => ({ kind: "item", item });

/** Pictures of the gallery that are one person's; one alone is itself. */
export const fromItems = (items) => (items.length > 1 ? { kind: "items", items } : fromItem(items[0]));

/** One person's pictures: one is itself, several are a tracklet; null where there are none. */
export const together = (pictures) => (pictures.length > 1 ? { kind: "tracklet", pictures } : (pictures[0] ?? null));

/** The user's pictures in a subject; none where it is an item. */
export const picturesOf = (subject) => ({ file: [subject], tracklet: subject?.pictures })[subject?.kind] ?? [];

/** What stands for the subject where one picture is shown, or compared. */
export const faceOf = (subject) => {
  if (subject.kind === "tracklet") return subject.pictures[0];
  return subject.kind === "items" ? fromItem(subject.items[0]) : subject;
};

/** The pictures of the gallery in a subject. */
export const itemsOf = (subject) => ({ item: [subject?.item], items: subject?.items })[subject?.kind] ?? [];

/** { id, name } of the one person that all pictures of the gallery in it belong to, else null. */
export function ownerOf(subject) {
  const [first, ...others] = itemsOf(subject);
  return first?.identity && others.every(({ identity }) => identity === first.identity) ? { id: first.identity, name: first.name } : null;
}

export const countOf = (subject) => picturesOf(subject).length + itemsOf(subject).length;

/** A copy that stays what it is when the original is given another box. */
export function copyOf(subject) {
  if (!subject) return null;
  if (subject.kind === "tracklet") return { ...subject, pictures: subject.pictures.map(copyOf) };
  return subject.kind === "file" ? { ...subject, region: subject.region && { ...subject.region } } : { ...subject };
}

const numbers = new WeakMap();
let lastNumber = 0;

/** A number that this page alone knows a file by. */
export function numberOf(blob) {
  if (!numbers.has(blob)) numbers.set(blob, (lastNumber += 1));
  return numbers.get(blob);
}

/** A text that is the same for the same pictures with the same boxes, and another for all others; "" for none. */
export function keyOf(subject) {
  const files = picturesOf(subject).map(({ blob, region }) => [numberOf(blob), region && [region.x, region.y, region.width, region.height]]);
  const ids = itemsOf(subject).map(({ id }) => id);
  return subject ? JSON.stringify([...files, ...ids]) : "";
}

/** Refuse what does not fit into one request, before it is sent. */
export function checkTogether(pictures) {
  const limits = session.info?.limits ?? {};
  if (pictures.length > (limits.max_items ?? Infinity)) throw new PictureError(text.errors.tooMany(pictures.length, limits.max_items));
  const size = pictures.reduce((sum, { blob }) => sum + blob.size, 0);
  const most = Math.floor((limits.max_bytes ?? Infinity) * SHARE);
  if (size > most) throw new PictureError(text.errors.tooLargeTogether(pictures.length, bytes(size), bytes(most)));
}

/** The picture, or the part in its box, as an element. */
export function regionImage({ url, name, width, height, region }) {
  const image = h("img", { src: url, alt: text.subject.alt(name) });
  if (!region) return image;
  // The whole picture, moved and enlarged behind a frame of the box's shape.
  const frame = h("span.cutout", image);
  frame.style.aspectRatio = `${region.width} / ${region.height}`;
  image.style.width = `${(100 * width) / region.width}%`;
  image.style.translate = `${(-100 * region.x) / width}% ${(-100 * region.y) / height}%`;
  return frame;
}

/** The part of a picture in its box, cut out by the browser: a request with several pictures has no regions. */
async function cutOut({ url, region: { x, y, width, height } }) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = h("canvas", { width, height });
  canvas.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve)); // PNG: nothing is lost
}

/** The subject as the API takes it: { item }, { image, region? } or { images }. */
export async function asRequest(subject) {
  if (subject.kind === "item") return { item: subject.item.id };
  if (subject.kind === "items") return { images: await Promise.all(subject.items.map(async ({ id }) => content(await api.thumbnail(id)))) };
  if (subject.kind === "tracklet") {
    const parts = await Promise.all(subject.pictures.map((one) => (one.region ? cutOut(one) : one.blob)));
    return { images: await Promise.all(parts.map(base64)) };
  }
  const image = await content(subject.blob);
  return subject.region ? { image, region: subject.region } : { image };
}

const content = (blob) => base64(blob).catch((error) => { throw new PictureError(error.message); });
