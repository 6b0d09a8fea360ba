// Writes tests/ecs/fields.json: the definitions of the fields of the Elastic Common Schema that phiward's
// documents have, from the package that Elastic publishes.
//
//   npm pack @elastic/ecs@8.11.5 && tar xf elastic-ecs-8.11.5.tgz
//   node tools/ecs-fields/generate.mjs package > tests/ecs/fields.json

import { createRequire } from "node:module";
import { resolve } from "node:path";

const FIELDS = [
  "@timestamp", "client.ip", "client.port", "ecs.version", "event.action", "event.category", "event.dataset",
  "event.duration", "event.id", "event.kind", "event.module", "event.outcome", "event.provider", "event.reason",
  "event.type", "http.request.id", "http.request.method", "http.response.body.bytes",
  "http.response.status_code", "observer.product", "observer.type", "organization.id", "related.ip",
  "related.user", "source.address", "source.ip", "source.port", "tls.version", "tls.version_protocol",
  "user.domain", "user.id", "user.name", "user.roles",
];

const folder = resolve(process.argv[2]);
const load = createRequire(import.meta.url);
const { version } = load(`${folder}/package.json`);
const { EcsVersion, EcsFlat } = load(`${folder}/build/commonjs/extended.js`);

const fields = FIELDS.map((name) => {
  const { type, normalize, allowed_values } = EcsFlat[name];
  const field = { type, list: normalize.includes("array") };
  if (allowed_values) {
    field.values = Object.fromEntries(
      allowed_values.map((value) => [value.name, value.expected_event_types ?? []]));
  }
  return `    ${JSON.stringify(name)}: ${JSON.stringify(field)}`;
});
const source = `@elastic/ecs ${version} on npm, Apache-2.0`;
console.log(`{
  "source": ${JSON.stringify(source)},
  "version": ${JSON.stringify(EcsVersion)},
  "fields": {
${fields.join(",\n")}
  }
}`);
