// From an image to the input of an exported detector, and from its rows to detections. Plain arithmetic: no page, no runtime.

/** For each new pixel: the pixel before, the pixel after, and the weight of the latter; centres are at halves. */
function neighbours(length, wanted) {
  return Array.from({ length: wanted }, (_, index) => {
    const centre = (index + 0.5) * (length / wanted) - 0.5;
    const before = Math.floor(centre);
    const inside = (place) => Math.min(Math.max(place, 0), length - 1);
    return [inside(before), inside(before + 1), centre - before];
  });
}

/**
 * Warps an image to a size as Python's `detect` does: bilinear from 2 x 2 neighbours, without smoothing, to whole numbers.
 * A canvas smooths when it shrinks an image, which gives other scores.
 *
 * @param {Uint8ClampedArray} rgba - height x width x 4.
 * @returns {Float32Array} 3 x newHeight x newWidth, RGB in 0..255.
 */
export function resized(rgba, width, height, newWidth, newHeight) {
  const columns = neighbours(width, newWidth), rows = neighbours(height, newHeight);
  const planes = new Float32Array(3 * newHeight * newWidth);
  rows.forEach(([top, bottom, down], y) => {
    columns.forEach(([left, right, across], x) => {
      for (let channel = 0; channel < 3; channel++) {
        const value = (row, column) => rgba[4 * (row * width + column) + channel];
        const above = value(top, left) + (value(top, right) - value(top, left)) * across;
        const below = value(bottom, left) + (value(bottom, right) - value(bottom, left)) * across;
        planes[(channel * newHeight + y) * newWidth + x] = Math.floor(above + (below - above) * down + 0.5);
      }
    });
  });
  return planes;
}

/**
 * The input of a file for one image, as its description wants it.
 *
 * @param {object} file - see `describe`.
 * @returns {{data: Float32Array, dims: number[]}} (B, 3, H, W); a file for a fixed number of images gets copies.
 */
export function fed(file, rgba, width, height) {
  const [inputHeight, inputWidth] = file.input_size;
  let planes = resized(rgba, width, height, inputWidth, inputHeight);
  const area = inputHeight * inputWidth;
  if (file.channels === "bgr") {
    const [red, green, blue] = [0, 1, 2].map((channel) => planes.subarray(channel * area, (channel + 1) * area));
    planes = new Float32Array(3 * area);
    [blue, green, red].forEach((plane, channel) => planes.set(plane, channel * area));
  }
  if (file.mean && file.scale) {
    for (let place = 0; place < planes.length; place++) {
      const channel = Math.floor(place / area);
      planes[place] = (planes[place] - file.mean[channel]) * file.scale[channel];
    }
  }
  const batch = file.batch ?? 1;
  const data = new Float32Array(batch * planes.length);
  for (let image = 0; image < batch; image++) data.set(planes, image * planes.length);
  return { data, dims: [batch, 3, inputHeight, inputWidth] };
}

/**
 * What was found in the first image, with the fields of `keras-ssd detect --format json`.
 *
 * @param {Float32Array} rows - K x [class id, score, xmin, ymin, xmax, ymax], the box in fractions; unused rows have class -1.
 */
export function detections(file, rows, count, width, height) {
  const pixels = (value, side) => Math.min(Math.max(value, 0), 1) * side;
  const found = [];
  for (let row = 0; row < count; row++) {
    const [id, score, xmin, ymin, xmax, ymax] = rows.subarray(6 * row, 6 * row + 6);
    if (id < 0) continue;
    const box = [pixels(xmin, width), pixels(ymin, height), pixels(xmax, width), pixels(ymax, height)];
    found.push({ name: file.class_names[id] ?? `class ${id}`, class_id: id, score, box_xyxy: box });
  }
  return { height, width, class_names: file.class_names, detections: found };
}
