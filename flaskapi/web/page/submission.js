// A submission, as the service tells of it: what was answered, and its pictures.

import { h } from "./answer.js";
import { ask, send } from "./ask.js";
import { t } from "./words.js";

export const isNumber = (one) => "number" in one;
export const answerOf = (one) => String(isNumber(one) ? one.number : one.digit);
/** An address below this page, wherever the service is mounted. */
export const below = (address) => address && address.replace(/^.*?\/(?=(submissions|models|retrainings|keys)\b)/, "");
export const placeOf = (one) => `submissions/${one.id}`;
export const picturedAs = (one) => t("A picture that was read as {0}", answerOf(one));

/** A picture that only bearers of a key may see, as an address of this tab. */
export const fetchPicture = async (path) => URL.createObjectURL(await (await send(path)).blob());

/** Fetches what there is to see of one: its picture, what the network saw, and of a number its digits. */
export async function fetchPictures(one) {
  const [image, seen, detail] = await Promise.all([
    fetchPicture(below(one.image)),
    one.normalized ? fetchPicture(below(one.normalized)) : null,
    isNumber(one) ? ask(placeOf(one)) : null,
  ]);
  return { image, seen, digits: detail?.digits ?? [] };
}
export const forget = (shown) => [shown.image, shown.seen].forEach((url) => url && URL.revokeObjectURL(url));

/** Lays a box over each digit of a picture that is loaded; `sheet` gets its shape. */
export function showBoxes(sheet, picture, boxes, digits) {
  const { naturalWidth: width, naturalHeight: height } = picture;
  sheet.style.setProperty("--ratio", width / height);
  picture.classList.toggle("tiny", Math.max(width, height) < 120);
  boxes.replaceChildren(...digits.map(({ box, uncertain }) => {
    const element = h("div", { className: `box ${uncertain ? "unsure" : "sure"}` });
    const place = { left: box.x / width, top: box.y / height, width: box.width / width, height: box.height / height };
    for (const [side, share] of Object.entries(place)) element.style[side] = `${100 * share}%`;
    return element;
  }));
}

/** What stands below a small picture: the answer, and the label where there is one. */
function captionOf(one) {
  const answer = answerOf(one);
  if (one.shadow) return `${answer} ⇄ ${one.shadow.digit}`;
  if (one.label === null) return answer;
  return one.label === answer ? `${answer} ✓` : `${answer} → ${one.label === "none" ? t("none") : one.label}`;
}

/** A small picture that opens: a button in a figure. `update` writes the caption anew. */
export function makeTile(one, percent, open) {
  const image = h("img", { alt: picturedAs(one), className: one.normalized ? "" : "whole" });
  fetchPicture(below(one.normalized ?? one.image)).then((url) => {
    image.onload = image.onerror = () => URL.revokeObjectURL(url);
    image.src = url;
  }, () => {});
  const caption = h("figcaption"), button = h("button", { type: "button", className: "tile", onclick: open }, image);
  const figure = h("figure", { title: one.received_at }, button, caption);
  figure.update = () => {
    caption.replaceChildren(captionOf(one), h("br"), percent(one.confidence));
    figure.classList.toggle("wrong", Boolean(one.shadow) || (one.label !== null && one.label !== answerOf(one)));
  };
  figure.update();
  return figure;
}
