// The SHA-256 that a page without the browser's own gets.
import { readFileSync } from "node:fs";
import { sha256InScript } from "../../runtime/web/sha256.js";

for (const path of process.argv.slice(2)) console.log(JSON.stringify(sha256InScript(readFileSync(path))));
