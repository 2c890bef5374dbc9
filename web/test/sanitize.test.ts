/**
 * A picture from elsewhere can do nothing.
 *
 * @vitest-environment jsdom
 */
import { describe, expect, it } from "vitest";
import { sanitized } from "../src/views/lab/sanitize";

const NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';
const clean = (inner: string, attributes = "") =>
  sanitized(`<svg ${NS} ${attributes}>${inner}</svg>`)!.outerHTML;

describe("sanitized", () => {
  it("keeps what a picture is made of", () => {
    const kept = clean(
      '<defs><path id="m" d="M0 0h3"/></defs><g style="fill: #123456">' +
        '<use xlink:href="#m" x="3"/><text x="1">a &lt; b</text></g>' +
        '<image href="data:image/png;base64,AAAA"/><path clip-path="url(#m)" d="M0 0"/>',
      'viewBox="0 0 10 10" role="img" aria-label="a picture"',
    );
    for (const part of [
      'xlink:href="#m"', "fill: #123456", "a &lt; b", "data:image/png", 'clip-path="url(#m)"',
      'viewBox="0 0 10 10"', 'aria-label="a picture"',
    ]) expect(kept).toContain(part); // prettier-ignore
  });

  it.each([
    ["a script", "<script>alert(1)</script>", "alert"],
    ["a script of other case", "<SCRIPT>alert(1)</SCRIPT>", "alert"],
    ["other markup inside", "<foreignObject><body onload='x()'/></foreignObject>", "body"],
    ["a handler", '<path onclick="x()" d="M0 0"/>', "onclick"],
    ["a link", '<a href="https://example.org"><text>t</text></a>', "example"],
    ["a file to use", '<use href="https://example.org/a.svg#b"/>', "example"],
    ["the same by xlink", '<use xlink:href="//example.org/a.svg#b"/>', "example"],
    ["a script as an address", '<use xlink:href=" javascript:x()"/>', "javascript"],
    ["a picture from elsewhere", '<image href="https://example.org/a.png"/>', "example"],
    ["a picture that is markup", '<image href="data:image/svg+xml,x"/>', "data:"],
    ["a style that fetches", '<path style="fill: url(https://example.org)" d=""/>', "example"],
    ["the same with escapes", '<path style="fill: u\\72l(https://example.org)" d=""/>', "example"],
    ["an attribute that fetches", '<path fill="url(https://example.org#a)" d=""/>', "example"],
    ["a style sheet", "<style>* { display: none }</style>", "display"],
    ["an animation of an address", '<set attributeName="href" to="javascript:x()"/>', "javascript"],
  ])("drops %s", (_, inner, gone) => {
    expect(clean(inner)).not.toContain(gone);
  });

  it("drops handlers of the root as well", () => {
    expect(clean("", 'onload="x()"')).not.toContain("onload");
  });

  it.each(["", "<p>no picture</p>", "<svg", "<svg><g></svg>"])(
    "takes no picture from %j",
    (text) => {
      expect(sanitized(text)).toBeNull();
    },
  );
});
