// Reads an AsyncAPI document from stdin, prints the parser's diagnostics as JSON: code, severity (0 is an error), path.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { Parser } = createRequire(process.argv[2] + "/")("@asyncapi/parser");
const { diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(diagnostics.map((d) => ({ code: d.code, severity: d.severity, path: d.path.join("."), message: d.message }))));
