// Runs the unmodified @azure/keyvault-certificates against a vault, with its
// resource check on, and prints "ok NAME" or "FAIL NAME: WHY" per case.
// usage: node certificates.mjs VAULT_URL FOLDER
// The folder is empty; openssl, which plays the authority, works there.
import { ClientSecretCredential } from "@azure/identity";
import { CertificateClient } from "@azure/keyvault-certificates";
import { KeyClient } from "@azure/keyvault-keys";
import { SecretClient } from "@azure/keyvault-secrets";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import crypto from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { collect, fast, refused, run } from "./harness.mjs";

const [url, folder] = process.argv.slice(2);
const { AZURE_TENANT_ID: tenant, AZURE_CLIENT_ID: id, AZURE_CLIENT_SECRET: secret } = process.env;
const credential = new ClientSecretCredential(tenant, id, secret);
const client = new CertificateClient(url, credential);
const keys = new KeyClient(url, credential);
const secrets = new SecretClient(url, credential);

const file = (name) => join(folder, name);
const openssl = (...args) => execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
const policy = (changes) => ({ issuerName: "Self", subject: "CN=js", subjectAlternativeNames: { dnsNames: ["a.example", "b.example"] }, ...changes });
const create = async (name, p, options) => (await client.beginCreateCertificate(name, p, { ...fast, ...options })).pollUntilDone();

let first, second, backup;

const cases = {
  async create() {
    first = await create("js", policy(), { tags: { a: "b" } });
    assert.equal(first.name, "js");
    assert.deepEqual(first.properties.tags, { a: "b" });
    const parsed = new crypto.X509Certificate(first.cer);
    assert.equal(parsed.subject, "CN=js");
    assert.equal(parsed.subjectAltName, "DNS:a.example, DNS:b.example");
    assert.ok(parsed.verify(parsed.publicKey));
    assert.equal(Buffer.from(first.properties.x509Thumbprint).toString("hex"), parsed.fingerprint.replaceAll(":", "").toLowerCase());
    second = await create("js", policy({ validityInMonths: 6, keyType: "EC", keyCurveName: "P-384" }));
    assert.notEqual(second.properties.version, first.properties.version);
    assert.equal(new crypto.X509Certificate(second.cer).publicKey.asymmetricKeyDetails.namedCurve, "secp384r1");
  },
  async get() {
    assert.equal((await client.getCertificate("js")).properties.version, second.properties.version);
  },
  async "get a version"() {
    const got = await client.getCertificateVersion("js", first.properties.version);
    assert.deepEqual(got.properties.tags, { a: "b" });
    assert.equal(got.properties.recoveryLevel, "CustomizedRecoverable+Purgeable");
  },
  async "its key and its secret"() {
    const got = await client.getCertificate("js");
    const key = await keys.getKey("js");
    assert.equal(key.id, got.keyId);
    assert.equal(key.properties.managed, true);
    const value = await secrets.getSecret("js");
    assert.equal(value.properties.version, got.properties.version);
    writeFileSync(file("js.pfx"), Buffer.from(value.value, "base64"));
    const pem = openssl("pkcs12", "-in", "js.pfx", "-passin", "pass:", "-nodes").toString();
    assert.deepEqual(new crypto.X509Certificate(pem).raw, Buffer.from(got.cer));
    assert.ok(crypto.createPublicKey(crypto.createPrivateKey(pem)).equals(new crypto.X509Certificate(got.cer).publicKey));
    assert.equal((await refused(keys.beginDeleteKey("js", fast))).statusCode, 403);
    assert.equal((await refused(secrets.beginDeleteSecret("js", fast))).statusCode, 403);
  },
  async list() {
    for (let i = 0; i < 10; i++) await create(`many-${i}`, policy({ keyType: "EC", keyCurveName: "P-256" }));
    const names = (await collect(client.listPropertiesOfCertificates({ maxPageSize: 3 }))).map((p) => p.name);
    assert.equal(new Set(names).size, names.length);
    assert.equal(names.length, 11);
  },
  async versions() {
    const versions = (await collect(client.listPropertiesOfCertificateVersions("js"))).map((p) => p.version);
    assert.deepEqual(versions.sort(), [first.properties.version, second.properties.version].sort());
  },
  async update() {
    const got = await client.updateCertificateProperties("js", first.properties.version, { enabled: false, tags: { c: "d" } });
    assert.equal(got.properties.enabled, false);
    assert.deepEqual(got.properties.tags, { c: "d" });
  },
  async policy() {
    // This SDK returns an empty policy here.
    await client.updateCertificatePolicy("js", {
      issuerName: "Self", subject: "CN=changed", validityInMonths: 24, lifetimeActions: [{ action: "AutoRenew", daysBeforeExpiry: 30 }],
    });
    const got = await client.getCertificatePolicy("js");
    assert.equal(got.subject, "CN=changed");
    assert.equal(got.validityInMonths, 24);
    assert.deepEqual(got.lifetimeActions.map((a) => [a.action, a.daysBeforeExpiry]), [["AutoRenew", 30]]);
  },
  async "import PKCS#12"() {
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.pem", "-subj", "/CN=imported", "-days", "300");
    openssl("pkcs12", "-export", "-inkey", "own.key", "-in", "own.pem", "-out", "own.pfx", "-passout", "pass:123");
    const got = await client.importCertificate("pfx", readFileSync(file("own.pfx")), { password: "123" });
    assert.deepEqual(Buffer.from(got.cer), new crypto.X509Certificate(readFileSync(file("own.pem"))).raw);
    assert.equal(got.policy.subject, "CN=imported");
    assert.equal(got.policy.issuerName, "Unknown");
    assert.equal((await refused(client.importCertificate("bad", readFileSync(file("own.pfx")), { password: "124" }))).statusCode, 400);
  },
  async "import PEM"() {
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", "own.key", "-out", "own.p8");
    const text = Buffer.concat([readFileSync(file("own.p8")), readFileSync(file("own.pem"))]);
    const got = await client.importCertificate("pem", text, { policy: { issuerName: "Unknown", contentType: "application/x-pem-file", subject: "CN=imported" } });
    assert.deepEqual(Buffer.from(got.cer), new crypto.X509Certificate(readFileSync(file("own.pem"))).raw);
    assert.equal((await secrets.getSecret("pem")).properties.contentType, "application/x-pem-file");
  },
  async merge() {
    const poller = await client.beginCreateCertificate("merged", policy({ issuerName: "Unknown", subject: "CN=merged" }), fast);
    const { certificateOperation: operation } = (await client.getCertificateOperation("merged")).getOperationState();
    assert.equal(operation.status, "inProgress");
    writeFileSync(file("merged.csr"), operation.csr);
    openssl("req", "-inform", "der", "-in", "merged.csr", "-verify", "-noout");
    openssl("x509", "-req", "-inform", "der", "-in", "merged.csr", "-CA", "own.pem", "-CAkey", "own.key", "-CAcreateserial", "-days", "90", "-outform", "der", "-out", "merged.der");
    const got = await client.mergeCertificate("merged", [readFileSync(file("merged.der"))]);
    assert.deepEqual(Buffer.from(got.cer), readFileSync(file("merged.der")));
    await poller.pollUntilDone();
    assert.equal(poller.getResult().name, "merged");
  },
  async "pending operations"() {
    const poller = await client.beginCreateCertificate("waits", policy({ issuerName: "Unknown" }), fast);
    await poller.cancelOperation();
    assert.equal((await client.getCertificateOperation("waits")).getOperationState().certificateOperation.cancellationRequested, true);
    await client.deleteCertificateOperation("waits");
    assert.equal((await refused(client.getCertificateOperation("waits"))).statusCode, 404);
  },
  async contacts() {
    const want = [{ email: "a@example.com", name: "A", phone: "1" }, { email: "b@example.com" }];
    assert.equal((await client.setContacts(want)).length, 2);
    assert.deepEqual((await client.getContacts()).map((c) => [c.email, c.name]), [["a@example.com", "A"], ["b@example.com", undefined]]);
    await client.deleteContacts();
    assert.equal((await refused(client.getContacts())).statusCode, 404);
  },
  async issuers() {
    const got = await client.createIssuer("issuer", "Test", {
      accountId: "account", password: "planted-password", organizationId: "o",
      administratorContacts: [{ firstName: "John", lastName: "Doe", email: "john@example.com", phone: "1" }],
    });
    assert.equal(got.provider, "Test");
    assert.equal(got.password, undefined);
    assert.equal((await client.updateIssuer("issuer", { accountId: "another" })).accountId, "another");
    assert.equal((await client.getIssuer("issuer")).administratorContacts[0].email, "john@example.com");
    assert.deepEqual((await collect(client.listPropertiesOfIssuers())).map((i) => [i.id.split("/").pop(), i.provider]), [["issuer", "Test"]]);
    await client.deleteIssuer("issuer");
    assert.equal((await refused(client.getIssuer("issuer"))).statusCode, 404);
  },
  async delete() {
    const deleted = await (await client.beginDeleteCertificate("js", fast)).pollUntilDone();
    assert.equal(deleted.name, "js");
    assert.ok(deleted.scheduledPurgeDate > deleted.deletedOn);
    assert.equal((await client.getDeletedCertificate("js")).name, "js");
    assert.deepEqual((await collect(client.listDeletedCertificates())).map((d) => d.name), ["js"]);
  },
  async "the name of a deleted certificate is taken"() {
    const error = await refused(client.beginCreateCertificate("js", policy(), fast));
    assert.equal(error.statusCode, 409);
    assert.match(error.message, /Certificate js is currently in a deleted but recoverable state/);
  },
  async recover() {
    assert.equal((await (await client.beginRecoverDeletedCertificate("js", fast)).pollUntilDone()).name, "js");
    assert.equal((await secrets.getSecret("js")).name, "js");
  },
  async backup() {
    backup = await client.backupCertificate("js");
    assert.ok(backup.length > 32);
  },
  async purge() {
    await (await client.beginDeleteCertificate("js", fast)).pollUntilDone();
    await client.purgeDeletedCertificate("js");
    assert.equal((await refused(client.getDeletedCertificate("js"))).statusCode, 404);
  },
  async restore() {
    assert.equal((await client.restoreCertificateBackup(backup)).name, "js");
    assert.deepEqual((await client.getCertificateVersion("js", first.properties.version)).properties.tags, { c: "d" });
  },
  async "404"() {
    const error = await refused(client.getCertificate("nothing"));
    assert.equal(error.statusCode, 404);
    assert.equal(error.code, "CertificateNotFound");
  },
};

await run(cases);
