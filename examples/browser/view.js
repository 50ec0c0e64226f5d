// What was found, for people: the image with boxes, a slider for the confidence, classes to choose, a list, JSON to copy.
// Shared by the page of `keras-ssd serve`.

const MARKUP = `
  <div class="stage" hidden><canvas role="img"></canvas></div>
  <section class="panel" aria-label="what was found" hidden>
    <label class="slider">Confidence <output></output>
      <input type="range" min="0" max="1" step="0.01"></label>
    <div class="classes" role="group" aria-label="classes"></div>
    <div class="found"></div>
    <div class="buttons">
      <button type="button" class="copy">Copy JSON</button>
    </div>
  </section>`;
const MOST_LISTED = 100;

/** A colour that white text can be read on, another one for each class. */
const colourOf = (id) => `oklch(0.5 0.15 ${(25 + 137.5 * id) % 360})`;

const overlap = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

function made(tag, options = {}, ...children) {
  const element = Object.assign(document.createElement(tag), options);
  element.append(...children);
  return element;
}

export class View {
  #image = null;
  #found = null; // as `keras-ssd detect --format json`
  #hidden = new Set(); // names of classes that are not shown
  #root;

  /** Fills an element. `lowest`, see `limits`, is the score below which nothing is reported at all. */
  constructor(root) {
    this.#root = root;
    root.innerHTML = MARKUP;
    this.#part("input").addEventListener("input", () => this.#refresh());
    this.#part(".copy").addEventListener("click", ({ target }) => this.#copy(target));
    new ResizeObserver(() => this.#draw()).observe(this.#part(".stage"));
  }

  #part(selector) {
    return this.#root.querySelector(selector);
  }

  /** The scores that the slider goes over, and where it starts. */
  limits(lowest, start) {
    Object.assign(this.#part("input"), { min: lowest, value: start });
    this.#hidden.clear();
  }

  /** Forgets what is shown. */
  clear() {
    this.#image = this.#found = null;
    this.#part(".stage").hidden = this.#part(".panel").hidden = true;
  }

  /** Shows an image (a canvas) without boxes, while they are computed. */
  wait(image) {
    this.#image = image;
    this.#found = null;
    this.#part(".stage").hidden = false;
    this.#root.classList.add("waiting");
    this.#draw();
  }

  /** Shows an image (a canvas) and what was found in it. */
  show(image, found) {
    this.#image = image;
    this.#found = found;
    this.#part(".stage").hidden = this.#part(".panel").hidden = false;
    this.#root.classList.remove("waiting");
    this.#refresh();
  }

  /** What is shown now: the objects from the slider's score on, of the chosen classes. */
  get shown() {
    const lowest = Number(this.#part("input").value);
    const kept = this.#found.detections.filter((one) => one.score >= lowest && !this.#hidden.has(one.name));
    return { ...this.#found, detections: kept };
  }

  #refresh() {
    this.#part("output").textContent = Number(this.#part("input").value).toFixed(2);
    if (!this.#found) return;
    this.#classes();
    this.#list();
    this.#draw();
  }

  #classes() {
    const lowest = Number(this.#part("input").value), counts = new Map();
    for (const one of this.#found.detections) {
      counts.set(one.name, (counts.get(one.name) ?? 0) + (one.score >= lowest));
    }
    const chips = [...counts].filter(([name, count]) => count || this.#hidden.has(name)).map(([name, count]) => {
      const box = made("input", { type: "checkbox", checked: !this.#hidden.has(name) });
      box.addEventListener("change", () => {
        this.#hidden[box.checked ? "delete" : "add"](name);
        this.#refresh();
      });
      const chip = made("label", { className: "chip" }, box, `${name} ${count}`);
      chip.style.setProperty("--colour", colourOf(this.#found.class_names.indexOf(name)));
      return chip;
    });
    const classes = this.#part(".classes"), focused = [...classes.children].findIndex((chip) => chip.contains(document.activeElement));
    classes.replaceChildren(...chips);
    chips[focused]?.firstChild.focus();
  }

  #list() {
    const { detections } = this.shown;
    this.#part("canvas").ariaLabel = `${this.#image.width} x ${this.#image.height} pixels, ${detections.length} objects`;
    if (!detections.length) {
      this.#part(".found").replaceChildren(made("p", {}, "Nothing was found at this confidence. Move the slider to the left to see more."));
      return;
    }
    const head = made("tr", {}, ...["class", "score", "box"].map((text) => made("th", { scope: "col" }, text)));
    const rows = detections.slice(0, MOST_LISTED).map((one) => {
      const [xmin, ymin, xmax, ymax] = one.box_xyxy.map(Math.round);
      return made("tr", {}, ...[one.name, one.score.toFixed(2), `${xmin}, ${ymin} to ${xmax}, ${ymax}`].map((text) => made("td", {}, text)));
    });
    const table = made("table", {}, made("thead", {}, head), made("tbody", {}, ...rows));
    const more = detections.length > MOST_LISTED ? [made("p", {}, `and ${detections.length - MOST_LISTED} more, which the JSON holds`)] : [];
    this.#part(".found").replaceChildren(table, ...more);
  }

  #draw() {
    const stage = this.#part(".stage"), canvas = this.#part("canvas"), image = this.#image;
    if (!image || stage.hidden) return;
    const fit = Math.min(stage.clientWidth / image.width, (0.8 * innerHeight) / image.height, Math.max(1, 480 / image.width));
    const [width, height] = [image.width * fit, image.height * fit].map((side) => Math.max(1, Math.round(side)));
    const sharp = devicePixelRatio || 1;
    Object.assign(canvas, { width: width * sharp, height: height * sharp });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    const context = canvas.getContext("2d");
    context.scale(sharp, sharp);
    context.drawImage(image, 0, 0, width, height);
    if (this.#found) this.#boxes(context, width, height, this.shown);
  }

  #boxes(context, width, height, { detections, width: imageWidth, height: imageHeight }) {
    const places = detections.map(({ box_xyxy: [xmin, ymin, xmax, ymax] }) => {
      const [across, down] = [width / imageWidth, height / imageHeight];
      return [xmin * across, ymin * down, (xmax - xmin) * across, (ymax - ymin) * down];
    });
    for (const [line, colour] of [[4, () => "#fffb"], [2, (one) => colourOf(one.class_id)]]) {
      context.lineWidth = line;
      detections.forEach((one, index) => {
        context.strokeStyle = colour(one);
        context.strokeRect(...places[index]);
      });
    }
    this.#labels(context, width, height, detections, places);
  }

  /** Best first; a label that finds no free place is left out, since the list has it. */
  #labels(context, width, height, detections, places) {
    context.font = "600 13px system-ui, sans-serif";
    context.textBaseline = "middle";
    const taken = [];
    detections.forEach((one, index) => {
      const [x, y, w, h] = places[index], text = `${one.name} ${one.score.toFixed(2)}`;
      const label = { w: context.measureText(text).width + 8, h: 18 };
      label.x = Math.max(0, Math.min(x - 1, width - label.w));
      const free = [y - 18, y + h, y].find((top) => {
        label.y = top;
        return top >= 0 && top + 18 <= height && !taken.some((other) => overlap(label, other));
      });
      if (free === undefined) return;
      taken.push({ ...label });
      context.fillStyle = colourOf(one.class_id);
      context.fillRect(label.x, label.y, label.w, label.h);
      context.fillStyle = "white";
      context.fillText(text, label.x + 4, label.y + 9.5);
    });
  }

  async #copy(button) {
    const text = JSON.stringify(this.shown, null, 1);
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no clipboard on plain http
      const area = made("textarea", { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy JSON"), 1500);
  }
}
