// The words. English stands where it is used, German in german.js, which is loaded where it is wanted.

export const language = navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
const GERMAN = language === "de" ? (await import("./german.js")).default : {};

/** Gives a text in the language of the browser, with its places {0}, {1} filled. */
export const t = (text, ...values) =>
  (GERMAN[text] ?? text).replace(/\{(\d)\}/g, (_, place) => values[place]);

export const PERCENT = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
/** Writes a probability. Never 100 %, for nothing is that sure. */
export const percent = (value) => (value > 0.9994 ? `> ${PERCENT.format(0.999)}` : PERCENT.format(value));

/** Puts the language of the browser into what stands in the page. */
export function translate(root) {
  document.documentElement.lang = language;
  if (language === "en") return;
  document.title = t(document.title);
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, text = node.data.replace(/\s+/g, " ").trim();
    if (text) node.data = node.data.replace(node.data.trim(), t(text));
  }
  for (const name of ["aria-label", "title"]) {
    for (const element of root.querySelectorAll(`[${name}]`)) element.setAttribute(name, t(element.getAttribute(name)));
  }
}

const NOTICED = {
  "inverted": "The ink was darker than its ground and was made the lighter.",
  "low-contrast": "The ink hardly stands out: write with a darker pen, or in more light.",
  "touches-border": "The ink reaches the edge: a part may be missing.",
  "small": "The digit is very small: come nearer, or write larger.",
};
export const noticed = (name) => (NOTICED[name] ? t(NOTICED[name]) : name);

const TROUBLE = {
  "offline": "The service cannot be reached. Try again when the network is back.",
  "no-digit-found": "Nothing here looks like a digit. Write larger or darker, or photograph it from nearer.",
  "unsupported-image": "This file is no picture that can be read here. A PNG or JPEG can be.",
  "invalid-image": "This picture is damaged. Save or photograph it again.",
  "missing-image": "This file is empty. Choose another.",
  "too-large": "This is larger than the service takes. Send a smaller picture, or fewer at once.",
  "invalid-request": "The request was not understood.",
  "unauthorized": "A key is needed here. Try again to enter one.",
  "forbidden": "This is not allowed here.",
  "not-found": "That is not there any more: it may have been erased.",
  "rate-limited": "That was often. Wait {0} seconds, then try again.",
  "model-unavailable": "No model can answer at the moment. Try again in a minute.",
  "store-unavailable": "Nothing can be kept at the moment. Try again in a minute.",
  "overloaded": "Too many ask at the moment. Try again in a minute.",
  "internal-error": "Something went wrong in the service. Its log has it under {0}.",
};
/** Says what went wrong and what to do. */
export const trouble = (problem) =>
  t(TROUBLE[problem.kind] || TROUBLE["internal-error"], problem.kind === "rate-limited" ? problem.wait : problem.id);
/** Kinds of which the service's own words, in English, say more. */
export const saysMore = (kind) => ["too-large", "invalid-request", "forbidden", "unsupported-image"].includes(kind);
