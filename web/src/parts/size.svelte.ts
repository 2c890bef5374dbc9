/** The width of an element, followed. */
export class Width {
  value = $state(0);

  follow = (node: HTMLElement) => {
    this.value = node.clientWidth;
    const observer = new ResizeObserver(() => (this.value = node.clientWidth));
    observer.observe(node);
    return { destroy: () => observer.disconnect() };
  };
}
