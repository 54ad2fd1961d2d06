// Files as people have them: made smaller where they are large, shown where the browser can.

const LARGEST = 2000; // pixels of the longer side that are sent
const ARCHIVE = /\.(zip|tar|tgz|tar\.gz)$/i;

export const isArchive = (file) => ARCHIVE.test(file.name) || /^application\/(x-)?(zip|tar|gzip)/.test(file.type);

/**
 * Makes a picture ready to send.
 * Gives what to send and, where the browser can show it, its size in pixels.
 */
export async function prepare(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return { name: file.name, content: file, width: 0, height: 0 }; // HEIC, PDF, TIFF: the service may read it
  }
  const { width, height } = bitmap, scale = LARGEST / Math.max(width, height);
  if (scale >= 1) {
    bitmap.close();
    return { name: file.name, content: file, width, height };
  }
  const canvas = Object.assign(document.createElement("canvas"), {
    width: Math.round(width * scale), height: Math.round(height * scale),
  });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // under what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return { name: file.name, content: encode(canvas, "image/jpeg", 0.92), width: canvas.width, height: canvas.height };
}

/** At once: `toBlob` waits until the browser is idle, a second in Chromium. */
export function encode(canvas, type, quality) {
  const bytes = atob(canvas.toDataURL(type, quality).split(",")[1]);
  return new Blob([Uint8Array.from(bytes, (one) => one.charCodeAt())], { type });
}
