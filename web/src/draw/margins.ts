/** Charts and heatmaps that stand above each other share their left and right ends. */
export const margins = (width: number) =>
  width < 560 ? { left: 46, right: 8 } : { left: 64, right: 14 };
