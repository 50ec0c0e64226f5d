// Runs the network beside the page, so that the page answers while it computes. Messages: {id, kind, ...} -> {id, answer | problem}.

import { describe, Problem } from "./onnx_file.js";
import { detections, fed } from "./detector.js";

const RUNTIME = "./node_modules/onnxruntime-web/dist/";
const RUNTIMES = { webgpu: "ort.webgpu.min.mjs", wasm: "ort.wasm.min.mjs" }; // what computes -> the runtime that has it
const NAMES = { webgpu: "WebGPU", wasm: "WebAssembly" };
let opened = null; // {file, session, ort}

async function hasWebGPU() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

async function runtime(engine) {
  let ort;
  try {
    ort = await import(RUNTIME + RUNTIMES[engine]);
  } catch {
    throw new Problem("onnxruntime-web is missing. Run `npm install` in the folder of this page, and load the page again.");
  }
  // Threads need memory that workers share, which browsers give to pages with two headers alone; see the README.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency ?? 1, 8) : 1;
  ort.env.logLevel = "error";
  return ort;
}

async function rowsOf({ file, session, ort }, rgba, width, height) {
  const { data, dims } = fed(file, rgba, width, height);
  const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", data, dims) });
  const { detections: rows } = outputs;
  return { data: await rows.getData(), count: rows.dims[1] };
}

/** A session that has computed one grey image, so that an engine which fails does so here. */
async function started(file, bytes, engine) {
  const ort = await runtime(engine);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [engine] });
  const made = { file, session, ort };
  await rowsOf(made, new Uint8ClampedArray(4).fill(127), 1, 1);
  return made;
}

async function open({ bytes, name, engine }) {
  const file = describe(bytes, name);
  const engines = engine ? [engine] : (await hasWebGPU()) ? ["webgpu", "wasm"] : ["wasm"];
  let reason = "";
  for (const one of engines) {
    try {
      const made = await started(file, bytes, one);
      await opened?.session.release();
      opened = made;
      return { file, engine: NAMES[one], note: reason };
    } catch (error) {
      if (error instanceof Problem) throw error;
      reason = `${NAMES[one]} cannot run ${name}: ${error.message ?? error}`;
    }
  }
  throw new Problem(reason);
}

async function detect({ rgba, width, height }) {
  if (!opened) throw new Problem("Choose a model first.");
  const begun = performance.now();
  const rows = await rowsOf(opened, rgba, width, height);
  const found = detections(opened.file, rows.data, rows.count, width, height);
  return { found, milliseconds: performance.now() - begun };
}

let last = Promise.resolve(); // one after another: a session computes one image at a time
self.onmessage = ({ data: { id, kind, ...given } }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id, answer: await { open, detect }[kind](given) });
    } catch (error) {
      self.postMessage({ id, problem: error instanceof Problem ? error.message : `The network failed: ${error.message ?? error}` });
    }
  });
};
