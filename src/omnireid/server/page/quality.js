// Whether a picture shows enough of a person to say anything about them.

import { api } from "./api.js";
import { h } from "./dom.js";
import { itemsOf, picturesOf } from "./subject.js";
import { text } from "./text.js";

const LEAST_HEIGHT = 48; // pixels of the person; below, clothes are a few blocks of colour
const LEAST_WIDTH = 16;
const LEAST_SPREAD = 6; // standard deviation of the liveliest colour, of 255
const [WIDE, HIGH] = [16, 32];

/** { isPoor, words }: `isPoor` where no picture of the subject shows enough; `words` say what is wrong. */
export async function qualityOf(subject) {
  const files = picturesOf(subject).map(({ blob, region, width, height }) => look(blob, region ?? { x: 0, y: 0, width, height }));
  const items = itemsOf(subject).map(lookAtItem);
  const faults = await Promise.all([...files, ...items]);
  const poor = faults.filter(Boolean);
  if (!poor.length) return { isPoor: false, words: [] };
  const words = faults.length > 1 ? [text.quality.some(poor.length, faults.length)] : poor;
  return { isPoor: poor.length === faults.length, words };
}

function tooSmall({ width, height }) {
  if (height < LEAST_HEIGHT) return text.quality.low(Math.round(height));
  return width < LEAST_WIDTH ? text.quality.narrow(Math.round(width)) : "";
}

/** What is wrong with a part of a picture; "" where nothing. */
async function look(blob, region) {
  const small = tooSmall(region);
  if (small) return small;
  const bitmap = await createImageBitmap(blob, Math.round(region.x), Math.round(region.y), Math.round(region.width), Math.round(region.height)).catch(() => null);
  return bitmap && isFlat(bitmap) ? text.quality.flat : "";
}

/** Its thumbnail is never larger than it was, but may be smaller: then the box that it was cut from counts. */
async function lookAtItem({ id, box, has_thumbnail: hasThumbnail }) {
  if (box && tooSmall(box)) return tooSmall(box);
  if (!hasThumbnail) return "";
  try {
    const bitmap = await createImageBitmap(await api.thumbnail(id));
    return (box ? "" : tooSmall(bitmap)) || (isFlat(bitmap) ? text.quality.flat : "");
  } catch {
    return ""; // the search itself says what is wrong
  }
}

function isFlat(bitmap) {
  const context = h("canvas", { width: WIDE, height: HIGH }).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, WIDE, HIGH);
  const { data } = context.getImageData(0, 0, WIDE, HIGH);
  const spreads = [0, 1, 2].map((channel) => {
    const values = data.filter((_, index) => index % 4 === channel);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  });
  return Math.max(...spreads) < LEAST_SPREAD;
}
