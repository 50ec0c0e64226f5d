// The page: a model and images in, detections out. `?model=mine.onnx` opens a file beside the page, `?engine=wasm` or
// `?engine=webgpu` chooses what computes.

import { Camera, canvasOf, listen } from "./sources.js";
import { View } from "./view.js";

const part = (id) => document.getElementById(id);
const view = new View(part("view"));
const camera = new Camera();
const asked = new URLSearchParams(location.search);
let latest = 0; // of two images that follow each other quickly, the later one is shown

const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map(); // id of a message -> [resolve, reject]
worker.onmessage = ({ data: { id, answer, problem } }) => {
  const [resolve, reject] = waiting.get(id) ?? [];
  waiting.delete(id);
  if (problem) reject?.(new Error(problem));
  else resolve?.(answer);
};
worker.onerror = () => tell("The page's worker could not start. Use a browser of 2023 or later, and load the page again.");

function ask(kind, given, transferred = []) {
  const id = crypto.getRandomValues(new Uint32Array(2)).join();
  return new Promise((resolve, reject) => {
    waiting.set(id, [resolve, reject]);
    worker.postMessage({ id, kind, ...given }, transferred);
  });
}

function tell(problem = "", status = "") {
  part("problem").textContent = problem;
  part("problem").hidden = !problem;
  part("status").textContent = status;
}

function allowImages() {
  part("image").disabled = part("camera").disabled = false;
  part("image").parentElement.classList.remove("off");
  part("drop").textContent = "Drop an image here, or paste one";
}

async function openModel(file) {
  stopCamera();
  tell("", `Opening ${file.name} …`);
  const engine = asked.get("engine");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const { file: told, engine: used, note } = await ask("open", { bytes, name: file.name, engine }, [bytes.buffer]);
  const [height, width] = told.input_size, classes = told.class_names;
  const some = classes.length > 8 ? `${classes.slice(0, 8).join(", ")} and ${classes.length - 8} more` : classes.join(", ");
  const licence = told.licence ? ` Licence of the weights: ${told.licence}.` : "";
  part("facts").textContent = `${told.name || file.name}: ${width} x ${height} pixels, computed by ${used}. Finds ${some}.${licence}`;
  view.clear();
  part("drop").hidden = false;
  view.limits(told.decoding?.confidence_threshold ?? 0, told.confidence ?? 0.5);
  allowImages();
  tell("", `${note ? `${note} ` : ""}The model is ready.`);
}

async function detectIn(canvas) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  return ask("detect", { rgba: data, width, height }, [data.buffer]);
}

function show(canvas, { found, milliseconds }) {
  part("drop").hidden = true;
  view.show(canvas, found);
  tell("", `${canvas.width} x ${canvas.height} pixels, ${Math.round(milliseconds)} ms`);
}

async function openImage(file) {
  stopCamera();
  const mine = ++latest;
  tell("", `Reading ${file.name} …`);
  const canvas = await canvasOf(file);
  if (mine !== latest) return;
  view.wait(canvas);
  part("drop").hidden = true;
  tell("", "Detecting …");
  const answer = await detectIn(canvas);
  if (mine === latest) show(canvas, answer);
}

async function openCamera() {
  const mine = ++latest;
  tell("", "Waiting for the camera …");
  await camera.start();
  if (mine !== latest) return camera.stop(); // an image was chosen meanwhile
  part("camera").textContent = "Stop camera";
  while (camera.on && mine === latest) {
    const frame = camera.frame();
    if (frame) {
      const answer = await detectIn(frame);
      if (camera.on && mine === latest) show(frame, answer);
    }
    await new Promise(requestAnimationFrame);
  }
}

function stopCamera() {
  if (camera.on) latest++;
  camera.stop();
  part("camera").textContent = "Camera";
}

/** Does something, and says in words what went wrong. */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    stopCamera();
    document.getElementById("view").classList.remove("waiting");
    tell(error.message);
  }
}

function take(file) {
  attempt(async () => {
    if (/\.onnx$/i.test(file.name)) await openModel(file);
    else if (part("image").disabled) throw new Error("Choose a model first: an .onnx file that keras-ssd export wrote.");
    else await openImage(file);
  });
}

async function openBeside(name) {
  tell("", `Fetching ${name} …`);
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} cannot be fetched: the server answered ${response.status}.`);
  await openModel(new File([await response.blob()], name));
}

tell();
listen(part("image"), take);
part("model").addEventListener("change", ({ target }) => target.files.length && attempt(() => openModel(target.files[0]).finally(() => (target.value = ""))));
part("camera").addEventListener("click", () => (camera.on ? stopCamera() : attempt(openCamera)));
if (asked.has("model")) attempt(() => openBeside(asked.get("model")));
