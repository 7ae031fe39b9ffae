declare module "format:schemas" {
  const schemas: Record<string, unknown>;
  export default schemas;
}
declare module "format:tables" {
  const tables: Record<string, unknown>;
  export default tables;
}
