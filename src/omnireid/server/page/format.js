// Numbers, times and names as people read them.

import { number, text } from "./text.js";

/** 0.974 → "97 %"; close to 0 and 1 with more digits, and never 0 % or 100 %, which nobody can know. */
export function percent(share) {
  const value = share * 100;
  if (value > 99.9 && value < 100) return "> 99.9 %";
  if (value > 0 && value < 0.1) return "< 0.1 %";
  const digits = value > 99 || value < 10 ? 1 : 0;
  return `${number(Number(value.toFixed(digits)))} %`;
}

/** A wanted rate, exactly: 0.001 → "0.1 %". */
export const rate = (share) => `${number(Number((share * 100).toPrecision(3)))} %`;

/** 0.001 → [1000, 1]: of how many, how many, in whole numbers. */
export function amongMany(share) {
  let all = 100;
  while (all * share < 0.999 && all < 1e9) all *= 10;
  return [all, Math.round(all * share)];
}

/** 0.0008 → "0.8": of a thousand, to two digits. */
export const thousandths = (share) => number(Number((1000 * share).toPrecision(2)));

/** 0.001 → "1 in 1,000". */
export const oneIn = (share) => text.oneIn(Math.round(1 / share));

/** true, 7, red; text in quotes, where it could be taken for something else. */
export function valueWords(value) {
  const isPlain = typeof value !== "string" || !/^(true|false|-?\d+(\.\d+)?|)$/.test(value);
  return isPlain ? String(value) : JSON.stringify(value);
}

export const attributeWords = ([name, value]) => `${name} = ${valueWords(value)}`;

export const score = (value) => value.toFixed(3);

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 10 ? value.toFixed(1) : number(Math.round(value))} ${UNITS[unit]}`;
}

// One style for all times: day, month by name, year, 24 hours; the zone where times are read one by one.
/** @type {Intl.DateTimeFormatOptions} */
const DAY = { day: "numeric", month: "short", year: "numeric" };
/** @type {Intl.DateTimeFormatOptions} */
const MINUTE = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
/** @type {Intl.DateTimeFormatOptions} */
const CLOCK = { ...MINUTE, second: "2-digit" };

/** "UTC+1" of the reader's clock at a time; by default now. */
export function zone(/** @type {string | Date} */ time = new Date()) {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "shortOffset" }).formatToParts(new Date(time));
  return parts.find(({ type }) => type === "timeZoneName").value.replace("GMT", "UTC").replace("+0", "");
}

/** "2 Mar 2026, 08:05:22 UTC+1". */
export const when = (iso) => (iso ? `${new Date(iso).toLocaleString("en-GB", { ...DAY, ...CLOCK })} ${zone(iso)}` : text.noTime);

/** "2 Mar 2026, 08:05", for narrow places; in the reader's zone, which stands elsewhere. */
export const whenShort = (iso) => (iso ? new Date(iso).toLocaleString("en-GB", { ...DAY, ...MINUTE }) : text.noTime);

/** "20 – 22 Nov 2026", "30 Oct – 2 Nov 2026": from the first day to the last. */
export function days(first, last) {
  const [from, to] = [new Date(first), new Date(last)];
  return new Intl.DateTimeFormat("en-GB", DAY).formatRange(from, to);
}

export const day = (iso) => (iso ? new Date(iso).toLocaleDateString("en-GB", DAY) : text.noTime);

export const clock = (iso) => new Date(iso).toLocaleTimeString("en-GB", CLOCK);

/** "08:05:22", or from start to end on one day: "08:05:22 – 08:05:40". */
export const clocks = (start, end) => (!end || end === start ? clock(start) : `${clock(start)} – ${clock(end)}`);

/** From start to end, naming the day and the zone once where they are the same. */
export function span(start, end) {
  if (!start) return text.noTime;
  if (!end || start === end) return when(start);
  const isSameDay = new Date(start).toDateString() === new Date(end).toDateString();
  return isSameDay ? `${day(start)}, ${clock(start)} – ${clock(end)} ${zone(end)}` : `${when(start)} – ${when(end)}`;
}

/** @type {[number, string][]} */
const DURATIONS = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

/** 172800 → "2 days", by the largest unit that divides it well enough to read. */
export function duration(seconds) {
  const [size, unit] = DURATIONS.find(([size]) => seconds >= size) ?? DURATIONS.at(-1);
  const count = Number((seconds / size).toFixed(1));
  return `${number(count)} ${unit}${count === 1 ? "" : "s"}`;
}

/** A moment without a zone, in the reader's zone, as RFC 3339 in UTC; undefined where empty. */
export const fromLocal = (value) => (value ? new Date(value).toISOString() : undefined);

/** The other way round, to the second. */
export function toLocal(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
}

/** The day of a time, as a date control has it. */
export const dateOf = (time) => toLocal(new Date(time)).slice(0, 10);

/** The last second of such a day as RFC 3339, but no later than `latest`. */
export const endOf = (date, latest = Infinity) => new Date(Math.min(new Date(`${date}T23:59:59`).getTime(), latest)).toISOString();

/** What `fromLocal` takes, in words: "2 Mar 2026, 08:05"; "" for nothing. */
export const momentWords = (value) => (value ? new Date(value).toLocaleString("en-GB", { ...DAY, ...(/:\d\d:(?!00)/.test(value) ? CLOCK : MINUTE) }) : "");

export const personName = (person) => person.name || text.unnamed(person.id);
export const cameraName = (camera) => camera || text.noCamera;
