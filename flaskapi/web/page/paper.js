// The paper: strokes by mouse, pen or finger, drawn as they come and kept so that they can be undone.

import { encode } from "./pictures.js";

export const WIDTH = 720; // of the picture that is sent
export const HEIGHT = 480;

export class Paper {
  #canvas; #changed; #strokes = []; #past = []; #stroke = null; #pointer = null; #pen = 14; #penSeen = false;

  /** @param changed called after each stroke, undo and clear */
  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  get isEmpty() { return this.#strokes.length === 0; }
  get canUndo() { return this.#past.length > 0; }
  get isDrawing() { return this.#stroke !== null; }
  /** The stroke's width is the paper's height through this. */
  set pen(value) { this.#pen = value; }

  undo() {
    if (!this.canUndo) return;
    this.#strokes = this.#past.pop();
    this.draw();
    this.#changed();
  }

  clear() {
    if (this.isEmpty) return;
    this.#keep([]);
    this.draw();
    this.#changed();
  }

  /** Draws everything anew, at the resolution of the screen. */
  draw() {
    const canvas = this.#canvas, scale = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (!width) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const ink = getComputedStyle(canvas).color;
    for (const stroke of [...this.#strokes, ...(this.#stroke ? [this.#stroke] : [])]) paint(context, stroke, width, ink);
  }

  /** The picture to send: black ink on opaque white paper, whatever the screen's colours are. */
  export() {
    const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, WIDTH, HEIGHT);
    for (const stroke of this.#strokes) paint(context, stroke, WIDTH, "#000");
    return encode(canvas, "image/png");
  }

  #keep(strokes) {
    this.#past.push(this.#strokes);
    this.#strokes = strokes;
  }

  #down(event) {
    if (event.button !== 0 || this.#pointer !== null) return;
    if (event.pointerType === "pen") this.#penSeen = true;
    if (event.pointerType === "touch" && this.#penSeen) return; // the hand that holds the pen
    event.preventDefault();
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#stroke = { width: HEIGHT / WIDTH / this.#pen, points: [this.#place(event)] };
    this.draw();
  }

  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.#stroke.points.push(this.#place(one));
    this.draw();
  }

  #up(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#keep([...this.#strokes, this.#stroke]);
    this.#stroke = null;
    this.draw();
    this.#changed();
  }

  #place(event) {
    const area = this.#canvas.getBoundingClientRect();
    return [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.width];
  }
}

/** Paints one stroke, rounded: each point is the handle of a curve from the middle before it to that after it. */
function paint(context, { width, points }, scale, ink) {
  context.strokeStyle = ink;
  context.lineWidth = width * scale;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  const [first, ...rest] = points.map(([x, y]) => [x * scale, y * scale]);
  context.moveTo(...first);
  let last = first;
  for (const point of rest) {
    context.quadraticCurveTo(...last, (last[0] + point[0]) / 2, (last[1] + point[1]) / 2);
    last = point;
  }
  context.lineTo(...last);
  context.stroke();
}
