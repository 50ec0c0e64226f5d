// The page of `keras-ssd serve`: images go to the server, detections come back.

import { Camera, canvasOf, listen } from "./sources.js";
import { View } from "./view.js";

const LOWEST = 0.05; // what the slider can show; the server is asked for all of it at once
const part = (id) => document.getElementById(id);
const view = new View(part("view"));
const camera = new Camera();
const token = part("token").querySelector("input");
let latest = 0; // of two images that follow each other quickly, the later one is shown

function tell(problem = "", status = "") {
  part("problem").textContent = problem;
  part("problem").hidden = !problem;
  part("status").textContent = status;
}

/** The JSON of a path of the server; an error has the server's reason. */
async function ask(path, options = {}) {
  const headers = token.value ? { Authorization: `Bearer ${token.value}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server cannot be reached, or it closed the connection. Is it still running?");
  }
  if (response.status === 401) part("token").hidden = false;
  const answer = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}

async function describe() {
  const { name, class_names: classes, input_size: [height, width], confidence, engine } = await ask("model");
  const some = classes.length > 8 ? `${classes.slice(0, 8).join(", ")} and ${classes.length - 8} more` : classes.join(", ");
  part("facts").textContent = `${name}: ${width} x ${height} pixels, computed by ${engine}. Finds ${some}.`;
  view.limits(LOWEST, confidence);
  tell();
}

async function detectIn(body, canvas) {
  const begun = performance.now();
  const found = await ask(`detect?confidence=${LOWEST}`, { method: "POST", body });
  return () => {
    part("drop").hidden = true;
    // The server has read the file itself; the browser may not be able to show it.
    view.show(canvas ?? Object.assign(document.createElement("canvas"), { width: found.width, height: found.height }), found);
    tell("", `${found.width} x ${found.height} pixels, ${Math.round(performance.now() - begun)} ms`);
  };
}

async function openImage(file) {
  stopCamera();
  const mine = ++latest;
  tell("", `Reading ${file.name} …`);
  const canvas = await canvasOf(file).catch(() => null);
  if (canvas && mine === latest) view.wait(canvas);
  tell("", "Detecting …");
  const show = await detectIn(file, canvas);
  if (mine === latest) show();
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
      const jpeg = await new Promise((done) => frame.toBlob(done, "image/jpeg", 0.9));
      const show = await detectIn(jpeg, frame);
      if (camera.on && mine === latest) show();
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
    part("view").classList.remove("waiting");
    tell(error.message);
  }
}

listen(part("image"), (file) => attempt(() => openImage(file)));
part("camera").addEventListener("click", () => (camera.on ? stopCamera() : attempt(openCamera)));
token.addEventListener("change", () => attempt(describe));
attempt(describe);
