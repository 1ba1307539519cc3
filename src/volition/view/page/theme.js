// Colours of the style sheet, as numbers and as text; made anew when light turns to dark.

const NAMES = ["bg", "card", "fg", "muted", "line", "intended", "decoded", "hit", "miss", "ink", "warn", "sky", "floor", "solid", "limb"];

export const theme = {};

export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  for (const name of NAMES) {
    let text = style.getPropertyValue(`--${name}`).trim();
    if (text.length === 4) text = "#" + [...text.slice(1)].map((c) => c + c).join("");
    const value = parseInt(text.slice(1), 16);
    theme[name] = { text, rgb: [value >> 16 & 255, value >> 8 & 255, value & 255] };
  }
}
readTheme();

// Fit a canvas to its box in device pixels; the context, scaled to CSS pixels, and the size in these.
export function fit(canvas) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const w = Math.max(1, Math.round(width * ratio)), h = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui,sans-serif";
  return { context, width, height };
}
