/** The bundled worker; see vite.config.ts. */
declare module "virtual:worker" {
  const text: string;
  export default text;
}
