import { svelte } from "@sveltejs/vite-plugin-svelte";
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The worker as a string: a page opened from a file may start one from a Blob only. */
function workerText(): Plugin {
  const name = "virtual:worker";
  return {
    name: "worker-text",
    resolveId: (id) => (id === name ? `\0${name}` : null),
    async load(id) {
      if (id !== `\0${name}`) return null;
      const made = await build({
        entryPoints: [at("src/worker/worker.ts")],
        bundle: true,
        minify: true,
        format: "iife",
        target: "es2022",
        legalComments: "none",
        write: false,
        metafile: true,
        absWorkingDir: at("."),
      });
      for (const path of Object.keys(made.metafile.inputs)) this.addWatchFile(at(path));
      return `export default ${JSON.stringify(made.outputFiles[0].text)};`;
    },
  };
}

export default defineConfig({
  plugins: [workerText(), svelte()],
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        format: "iife",
        entryFileNames: "page.js",
        assetFileNames: "page[extname]",
        inlineDynamicImports: true,
      },
    },
  },
});
