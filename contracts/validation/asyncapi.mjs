// Validates an AsyncAPI document with the official parser: `node asyncapi.mjs FILE`; what is wrong with it is printed.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const [file] = process.argv.slice(2);
const diagnostics = await new Parser().validate(readFileSync(file, "utf8"));
const wrong = diagnostics.filter(({ severity }) => severity <= 1); // errors and warnings
for (const { path, message } of wrong) console.log(`${path.join("/")}: ${message}`);
process.exitCode = wrong.length > 0 ? 1 : 0;
