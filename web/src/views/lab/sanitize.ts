/** A picture as elements that can do nothing but be looked at. */

const FORBIDDEN = new Set([
  "script", "foreignobject", "iframe", "object", "embed", "audio", "video", "a", "handler",
  "animate", "animatemotion", "animatetransform", "set", "metadata",
]); // prettier-ignore

/** A reference within the picture, or a picture that it carries itself. */
const harmless = (url: string) => /^(#|data:image\/(png|jpeg|gif);)/i.test(url.trim());

/** Whether a style asks for something that is not in the picture. */
const fetches = (style: string) =>
  /@import|expression\(|\\/i.test(style) ||
  [...style.matchAll(/url\(\s*["']?([^"')]*)/gi)].some((m) => !harmless(m[1]));

/** The picture, or null if it is no SVG. */
export function sanitized(text: string): SVGSVGElement | null {
  const named = text.includes("xmlns=")
    ? text
    : text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"');
  const parsed = new DOMParser().parseFromString(named, "image/svg+xml");
  const root = parsed.documentElement;
  if (root.localName !== "svg" || parsed.querySelector("parsererror")) return null;
  for (const node of [root, ...root.querySelectorAll("*")]) clean(node);
  return document.importNode(root, true) as unknown as SVGSVGElement;
}

function clean(node: Element) {
  const name = node.localName.toLowerCase();
  if (FORBIDDEN.has(name)) return node.remove();
  // A style sheet in the picture would be one of the whole page.
  if (name === "style") return node.remove();
  for (const { name: attribute, value } of [...node.attributes]) {
    const local = attribute.toLowerCase().replace(/^.*:/, "");
    const bad =
      local.startsWith("on") ||
      ((local === "href" || local === "src") && !harmless(value)) ||
      (local !== "href" && local !== "src" && fetches(value));
    if (bad) node.removeAttribute(attribute);
  }
}
