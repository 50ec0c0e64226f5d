// Images from a person: dropped, chosen, pasted, or from the camera. Shared by the page of `keras-ssd serve`.

const MOST_PIXELS = 89_478_485; // as in Python; a canvas of a phone holds fewer, which is told when it fails

/** Calls `take(file)` for the first file that is dropped anywhere, pasted, or chosen with `input`. */
export function listen(input, take) {
  const first = (files) => files?.length && take(files[0]);
  input.addEventListener("change", () => {
    first(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
  addEventListener("paste", (event) => first(event.clipboardData?.files));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    first(event.dataTransfer.files);
  });
}

/** A canvas with the pixels of an image file: turned as the camera held it, transparent pixels on white. */
export async function canvasOf(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${file.name || "What was pasted"} is no image that this browser can read. It reads JPEG, PNG, WebP and GIF.`);
  }
  try {
    if (bitmap.width * bitmap.height > MOST_PIXELS) {
      throw new Error(`${file.name} has ${bitmap.width} x ${bitmap.height} pixels; ${MOST_PIXELS} is the most.`);
    }
    return painted(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

function painted(image, width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error(`This browser has no memory for an image of ${width} x ${height} pixels.`);
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0);
  return canvas;
}

const REFUSALS = {
  NotAllowedError: "The camera was refused. Allow it beside the page's address, and press Camera again.",
  NotFoundError: "No camera was found on this device.",
  NotReadableError: "The camera cannot be started; another program may be using it.",
};

/** The camera of the device; the one at the back where there are two. */
export class Camera {
  #video = null;

  get on() {
    return this.#video !== null;
  }

  /** Asks for the camera. The error says in words why there is none. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers give the camera only to pages from https:// or localhost.");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      throw new Error(REFUSALS[error.name] ?? `The camera cannot be used: ${error.message}`);
    }
    const video = document.createElement("video");
    Object.assign(video, { srcObject: stream, muted: true, playsInline: true });
    await video.play();
    this.#video = video;
  }

  /** A canvas with the frame of this moment; null once the camera is off. */
  frame() {
    const video = this.#video;
    return video && video.videoWidth ? painted(video, video.videoWidth, video.videoHeight) : null;
  }

  stop() {
    for (const track of this.#video?.srcObject.getTracks() ?? []) track.stop();
    this.#video = null;
  }
}
