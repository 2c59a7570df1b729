// Runs the unmodified @azure/keyvault-secrets against a vault, with its
// resource check on, and prints "ok NAME" or "FAIL NAME: WHY" per case.
// usage: node secrets.mjs VAULT_URL LOCKED_VAULT_URL
import { ClientSecretCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import assert from "node:assert/strict";

import { collect, fast, refused, run } from "./harness.mjs";

const [url, locked] = process.argv.slice(2);
const { AZURE_TENANT_ID: tenant, AZURE_CLIENT_ID: id, AZURE_CLIENT_SECRET: secret } = process.env;
const credential = new ClientSecretCredential(tenant, id, secret);
const client = new SecretClient(url, credential);

let first, second, backup;

const cases = {
  async set() {
    first = await client.setSecret("js", "planted-one", { tags: { a: "b" }, contentType: "text/plain" });
    assert.equal(first.value, "planted-one");
    assert.equal(first.properties.vaultUrl, url);
    assert.match(first.properties.version, /^[0-9a-f]{32}$/);
    second = await client.setSecret("js", "planted-two");
    assert.notEqual(second.properties.version, first.properties.version);
  },
  async get() {
    assert.equal((await client.getSecret("js")).value, "planted-two");
  },
  async "get a version"() {
    const got = await client.getSecret("js", { version: first.properties.version });
    assert.equal(got.value, "planted-one");
    assert.deepEqual(got.properties.tags, { a: "b" });
    assert.equal(got.properties.contentType, "text/plain");
    assert.equal(got.properties.recoveryLevel, "CustomizedRecoverable+Purgeable");
  },
  async list() {
    for (let i = 0; i < 30; i++) await client.setSecret(`many-${i}`, "x");
    const names = (await collect(client.listPropertiesOfSecrets({ maxPageSize: 7 }))).map((p) => p.name);
    assert.equal(names.length, 31);
    assert.equal(new Set(names).size, 31);
  },
  async versions() {
    const versions = (await collect(client.listPropertiesOfSecretVersions("js"))).map((p) => p.version);
    assert.deepEqual(versions.sort(), [first.properties.version, second.properties.version].sort());
  },
  async update() {
    // This SDK cuts dates to 32 bits: one after January 2038 arrives negative.
    const expiresOn = new Date("2037-01-01T00:00:00Z");
    const got = await client.updateSecretProperties("js", second.properties.version, { expiresOn, tags: { c: "d" } });
    assert.equal(got.expiresOn.getTime(), expiresOn.getTime());
    assert.deepEqual(got.tags, { c: "d" });
  },
  async delete() {
    const poller = await client.beginDeleteSecret("js", fast);
    const deleted = await poller.pollUntilDone();
    assert.equal(deleted.name, "js");
    assert.ok(deleted.properties.scheduledPurgeDate > deleted.properties.deletedOn);
    assert.equal((await client.getDeletedSecret("js")).name, "js");
    assert.deepEqual((await collect(client.listDeletedSecrets())).map((d) => d.name), ["js"]);
  },
  async "the name of a deleted secret is taken"() {
    const error = await refused(client.setSecret("js", "planted-three"));
    assert.equal(error.statusCode, 409);
    assert.match(error.message, /Secret js is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged\./);
  },
  async recover() {
    const poller = await client.beginRecoverDeletedSecret("js", fast);
    assert.equal((await poller.pollUntilDone()).name, "js");
    assert.equal((await client.getSecret("js")).value, "planted-two");
  },
  async backup() {
    backup = await client.backupSecret("js");
    assert.ok(backup.length > 32);
    assert.ok(!Buffer.from(backup).includes("planted-two"));
  },
  async purge() {
    await (await client.beginDeleteSecret("js", fast)).pollUntilDone();
    await client.purgeDeletedSecret("js");
    assert.equal((await refused(client.getDeletedSecret("js"))).statusCode, 404);
  },
  async restore() {
    const restored = await client.restoreSecretBackup(backup);
    assert.equal(restored.name, "js");
    assert.equal((await client.getSecret("js")).value, "planted-two");
    assert.equal((await client.getSecret("js", { version: first.properties.version })).value, "planted-one");
  },
  async "a broken backup"() {
    const error = await refused(client.restoreSecretBackup(Buffer.from("nothing")));
    assert.equal(error.statusCode, 400);
    assert.match(error.message, /Backup blob is corrupt\./);
  },
  async "404"() {
    const error = await refused(client.getSecret("nothing"));
    assert.equal(error.statusCode, 404);
    assert.equal(error.code, "SecretNotFound");
    assert.ok(error.message.includes("A secret with (name/id) nothing was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"), error.message);
  },
  async "403 of a disabled secret"() {
    await client.setSecret("off", "x", { enabled: false });
    const error = await refused(client.getSecret("off"));
    assert.equal(error.statusCode, 403);
    assert.ok(error.message.includes("Operation get is not allowed on a disabled secret."), error.message);
  },
  async "403 of the firewall"() {
    const error = await refused(new SecretClient(locked, credential).getSecret("js"));
    assert.equal(error.statusCode, 403);
    assert.equal(error.code, "Forbidden");
    assert.ok(error.message.startsWith("Client address is not authorized and caller is not a trusted service.\r\nClient address: 127.0.0.1\r\nCaller: appid=" + id + ";oid="), error.message);
    assert.match(error.message, /;iss=https:\/\/sts\.windows\.net\/[0-9a-f-]{36}\/\r\nVault: locked;location=eastus/);
    assert.match(JSON.stringify(error.details), /ForbiddenByFirewall/);
  },
};

await run(cases);
