/** A matrix as a picture: drawn once, then only copied. */
import type { Scale } from "./colours";

/** One pixel for each entry; NaN is left clear. */
export function picture(
  data: Float32Array,
  rows: number,
  columns: number,
  { low, high, colours }: Scale,
): OffscreenCanvas {
  const image = new ImageData(columns, rows);
  const factor = 255 / (high - low);
  for (let k = 0; k < data.length; k++) {
    const v = data[k];
    if (Number.isNaN(v)) continue;
    const at = 3 * Math.round(Math.min(255, Math.max(0, (v - low) * factor)));
    image.data[4 * k] = colours[at];
    image.data[4 * k + 1] = colours[at + 1];
    image.data[4 * k + 2] = colours[at + 2];
    image.data[4 * k + 3] = 255;
  }
  const canvas = new OffscreenCanvas(columns, rows);
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return canvas;
}

/** Copies a picture onto a canvas of the page, at the resolution of the screen. */
export function show(
  canvas: HTMLCanvasElement,
  from: OffscreenCanvas,
  width: number,
  height: number,
) {
  const density = Math.min(2, devicePixelRatio || 1);
  canvas.width = Math.max(1, Math.round(width * density));
  canvas.height = Math.max(1, Math.round(height * density));
  const context = canvas.getContext("2d")!;
  // Rows are dropped when there are more than pixels, unless they are smoothed.
  context.imageSmoothingEnabled = from.height > canvas.height || from.width > canvas.width;
  context.drawImage(from, 0, 0, canvas.width, canvas.height);
}
