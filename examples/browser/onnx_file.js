// What an ONNX file says of itself. onnxruntime-web does not give `metadata_props`, so they are read from the bytes: an
// ONNX file is one protobuf message `ModelProto`, whose field 14 repeats {1: key, 2: value}.

const EXPORT = "Make one with: keras-ssd export MODEL --out mine.onnx";
const KEY = "keras_ssd"; // the entry with the whole description as JSON
const IR_VERSION = 1, GRAPH = 7, METADATA_PROPS = 14;
const VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5; // kinds of protobuf fields

/** An error whose text is for the person at the page. */
export class Problem extends Error {}

function varint(bytes, at) {
  let value = 0;
  for (let place = 0; place < 10; place++) {
    if (at >= bytes.length) throw new RangeError("cut off");
    const byte = bytes[at++];
    value += (byte & 127) * 2 ** (7 * place); // no bit operation: lengths may exceed 31 bits
    if (byte < 128) return [value, at];
  }
  throw new RangeError("no varint");
}

/** Yields [number of the field, value]: a number, or the bytes of a text or a message inside. */
function* fields(bytes) {
  let at = 0, tag, value;
  while (at < bytes.length) {
    [tag, at] = varint(bytes, at);
    const kind = tag % 8;
    if (kind === VARINT) [value, at] = varint(bytes, at);
    else {
      let length = kind === FIXED64 ? 8 : 4;
      if (kind === BYTES) [length, at] = varint(bytes, at);
      else if (kind !== FIXED64 && kind !== FIXED32) throw new RangeError("no protobuf");
      if (at + length > bytes.length) throw new RangeError("cut off");
      value = bytes.subarray(at, at + length);
      at += length;
    }
    yield [Math.floor(tag / 8), value];
  }
}

function properties(bytes) {
  const found = new Map(), text = new TextDecoder();
  let version, graph;
  for (const [field, value] of fields(bytes)) {
    if (field === IR_VERSION) version = value;
    if (field === GRAPH) graph = value;
    if (field !== METADATA_PROPS) continue;
    const entry = Object.fromEntries(fields(value));
    found.set(text.decode(entry[1]), text.decode(entry[2]));
  }
  if (typeof version !== "number" || !(graph instanceof Uint8Array)) throw new RangeError("no ONNX");
  return found;
}

/** The description that `keras_ssd.export` wrote into an ONNX file, see `keras_ssd.exporting.FileMetadata`. */
export function describe(bytes, name) {
  let told;
  try {
    told = properties(bytes);
  } catch {
    throw new Problem(`${name} is no ONNX file, or it is damaged. ${EXPORT}`);
  }
  if (!told.has(KEY)) {
    throw new Problem(`${name} was not written by keras_ssd: it does not say what its input and outputs mean. ${EXPORT}`);
  }
  let file;
  try {
    file = JSON.parse(told.get(KEY));
  } catch {
    throw new Problem(`The description in ${name} cannot be read; the file is damaged. ${EXPORT}`);
  }
  if (file === null || !Array.isArray(file.class_names) || !isSize(file.input_size)) {
    throw new Problem(`The description in ${name} lacks the classes or the input size; the file is damaged. ${EXPORT}`);
  }
  if (file.output !== "rows") {
    throw new Problem(
      file.output === "efficient_nms"
        ? `${name} was made for TensorRT, which no browser has. Leave out --suppression tensorrt: ${EXPORT}`
        : `${name} holds no suppression. Leave out --no-suppression: ${EXPORT}`,
    );
  }
  return file;
}

function isSize(size) {
  return Array.isArray(size) && size.length === 2 && size.every((side) => Number.isInteger(side) && side >= 1);
}
