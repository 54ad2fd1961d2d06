// Writes numbers, moments and sizes as the reader's language has them.

import { language, t } from "./words.js";

const place = navigator.language.startsWith(language) ? navigator.language : language; // en-GB dates are not en-US ones

export const many = (number) => number.toLocaleString(place);
/** Writes a moment, or a day, where the reader lives. */
export const moment = (text) => new Date(text).toLocaleString(place, { dateStyle: "medium", timeStyle: "short" });
export const day = (text) => new Date(text).toLocaleDateString(place, { dateStyle: "medium" });
/** Writes a number of bytes. */
export function size(bytes) {
  const power = Math.min(4, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** power).toLocaleString(place, { maximumFractionDigits: power ? 1 : 0 })} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}
/** Writes a time that is left, in seconds, or in minutes from two of them on. */
export function duration(seconds) {
  const [unit, count] = seconds < 120 ? ["second", Math.round(seconds)] : ["minute", Math.round(seconds / 60)];
  return count.toLocaleString(place, { style: "unit", unit, unitDisplay: "long" });
}

const RATES = ["per", "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days"];
/** Writes a limit, as `5 per minute`, in the reader's language. */
export const rate = (text) => text.replace(/[a-z]+/g, (word) => t(word));
/** The limit that somebody wrote so, as the service has it. */
export const readRate = (text) => text.replace(/\p{L}+/gu, (word) => RATES.find((one) => t(one).toLowerCase() === word.toLowerCase()) ?? word);
