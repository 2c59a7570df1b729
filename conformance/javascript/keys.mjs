// Runs the unmodified @azure/keyvault-keys against a vault, with its
// resource check on, and prints "ok NAME" or "FAIL NAME: WHY" per case.
// usage: node keys.mjs VAULT_URL BLIND_VAULT_URL
// In the blind vault keys may be made and used, but not read: there the SDK
// asks the vault for all of its cryptography. In the other one it does what
// a public key is enough for by itself.
import { ClientSecretCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";
import assert from "node:assert/strict";
import crypto from "node:crypto";

import { collect, fast, refused, run } from "./harness.mjs";

const [url, blindURL] = process.argv.slice(2);
const { AZURE_TENANT_ID: tenant, AZURE_CLIENT_ID: id, AZURE_CLIENT_SECRET: secret } = process.env;
const credential = new ClientSecretCredential(tenant, id, secret);
const client = new KeyClient(url, credential);
const blind = new KeyClient(blindURL, credential);

const plain = Buffer.from("planted-plain");
const digest = (algorithm) => crypto.createHash("sha" + algorithm.slice(2, 5)).update(plain).digest();
const curves = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K" };
const operations = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"];
const bytes = (jwk) => Object.fromEntries(Object.entries(jwk).map(([k, v]) => [k, k === "kty" || k === "crv" ? v : Buffer.from(v, "base64url")]));
const remote = (key) => new CryptographyClient(key.id, credential);

let first, second, backup, imported;

async function* clients() {
  yield new CryptographyClient(await client.getKey("rsa"), credential);
  yield remote(await blind.createRsaKey("rsa"));
}

const cases = {
  async create() {
    first = await client.createRsaKey("rsa", { keySize: 2048, tags: { a: "b" }, keyOps: operations });
    assert.equal(first.keyType, "RSA");
    assert.equal(first.properties.vaultUrl, url);
    assert.equal(first.key.n.length, 256);
    second = await client.createRsaKey("rsa");
    assert.notEqual(second.properties.version, first.properties.version);
    for (const curve of Object.keys(curves)) {
      const key = await client.createEcKey("ec-" + curve, { curve });
      assert.equal(key.keyType, "EC");
      assert.equal(key.key.crv, curve);
    }
  },
  async "create in hardware"() {
    assert.equal((await client.createRsaKey("rsa-hsm", { hsm: true })).keyType, "RSA-HSM");
    assert.equal((await client.createEcKey("ec-hsm", { hsm: true })).keyType, "EC-HSM");
  },
  async import() {
    imported = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 });
    const got = await client.importKey("imported", { ...bytes(imported.privateKey.export({ format: "jwk" })), keyOps: operations });
    assert.deepEqual(Buffer.from(got.key.n), Buffer.from(imported.publicKey.export({ format: "jwk" }).n, "base64url"));
    assert.equal(got.key.d, undefined);
    const { result } = await new CryptographyClient(got, credential).signData("RS256", plain);
    assert.ok(crypto.verify("sha256", plain, imported.publicKey, result));
    const curve = crypto.generateKeyPairSync("ec", { namedCurve: "P-384" });
    assert.equal((await client.importKey("imported-ec", { ...bytes(curve.privateKey.export({ format: "jwk" })), keyOps: ["sign", "verify"] })).key.crv, "P-384");
  },
  async get() {
    assert.equal((await client.getKey("rsa")).properties.version, second.properties.version);
  },
  async "get a version"() {
    const got = await client.getKey("rsa", { version: first.properties.version });
    assert.deepEqual(got.properties.tags, { a: "b" });
    assert.equal(got.properties.recoveryLevel, "CustomizedRecoverable+Purgeable");
    assert.equal(got.properties.recoverableDays, 7);
    assert.deepEqual([...got.keyOperations].sort(), [...operations].sort());
  },
  async list() {
    for (let i = 0; i < 30; i++) await client.createEcKey(`many-${i}`);
    const names = (await collect(client.listPropertiesOfKeys({ maxPageSize: 7 }))).map((p) => p.name);
    assert.equal(new Set(names).size, names.length);
    assert.equal(names.filter((name) => name.startsWith("many-")).length, 30);
  },
  async versions() {
    const versions = (await collect(client.listPropertiesOfKeyVersions("rsa"))).map((p) => p.version);
    assert.deepEqual(versions.sort(), [first.properties.version, second.properties.version].sort());
  },
  async update() {
    // This SDK cuts dates to 32 bits: one after January 2038 arrives negative.
    const expiresOn = new Date("2037-01-01T00:00:00Z");
    const got = await client.updateKeyProperties("rsa", second.properties.version, { expiresOn, tags: { c: "d" }, keyOps: operations });
    assert.equal(got.properties.expiresOn.getTime(), expiresOn.getTime());
    assert.deepEqual(got.properties.tags, { c: "d" });
  },
  async "encrypt and decrypt"() {
    for await (const key of clients()) {
      for (const algorithm of ["RSA-OAEP", "RSA-OAEP-256", "RSA1_5"]) {
        const { result: ciphertext } = await key.encrypt({ algorithm, plaintext: plain });
        assert.deepEqual(Buffer.from((await key.decrypt({ algorithm, ciphertext })).result), plain);
      }
    }
  },
  async "wrap and unwrap"() {
    for await (const key of clients()) {
      for (const algorithm of ["RSA-OAEP", "RSA-OAEP-256", "RSA1_5"]) {
        const { result } = await key.wrapKey(algorithm, plain);
        assert.deepEqual(Buffer.from((await key.unwrapKey(algorithm, result)).result), plain);
      }
    }
  },
  async "sign and verify"() {
    for await (const key of clients()) {
      for (const algorithm of ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]) {
        const { result } = await key.sign(algorithm, digest(algorithm));
        assert.equal((await key.verify(algorithm, digest(algorithm), result)).result, true);
        assert.equal((await key.verify(algorithm, Buffer.alloc(digest(algorithm).length), result)).result, false);
      }
    }
  },
  async "sign and verify with curves"() {
    for (const [curve, algorithm] of Object.entries(curves)) {
      for (const key of [new CryptographyClient(await client.getKey("ec-" + curve), credential), remote(await blind.createEcKey("ec-" + curve, { curve }))]) {
        const { result } = await key.sign(algorithm, digest(algorithm));
        assert.equal((await key.verify(algorithm, digest(algorithm), result)).result, true);
        assert.equal((await key.verify(algorithm, Buffer.alloc(digest(algorithm).length), result)).result, false);
      }
    }
  },
  async "what was made without the vault"() {
    const oaep = { key: imported.publicKey, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
    const key = client.getCryptographyClient("imported");
    const { result } = await key.decrypt({ algorithm: "RSA-OAEP-256", ciphertext: crypto.publicEncrypt(oaep, plain) });
    assert.deepEqual(Buffer.from(result), plain);
    const all = remote(await blind.importKey("imported", { ...bytes(imported.privateKey.export({ format: "jwk" })), keyOps: operations }));
    const signature = crypto.sign("sha256", plain, { key: imported.privateKey, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    assert.equal((await all.verify("PS256", digest("PS256"), signature)).result, true);
    const { result: ciphertext } = await all.encrypt({ algorithm: "RSA-OAEP-256", plaintext: plain });
    assert.deepEqual(crypto.privateDecrypt({ ...oaep, key: imported.privateKey }, ciphertext), plain);
  },
  async "rotation policy"() {
    assert.equal((await client.getKeyRotationPolicy("rsa")).expiresIn, undefined);
    const got = await client.updateKeyRotationPolicy("rsa", {
      expiresIn: "P90D",
      lifetimeActions: [{ action: "Rotate", timeAfterCreate: "P2M" }, { action: "Notify", timeBeforeExpiry: "P30D" }],
    });
    assert.equal(got.expiresIn, "P90D");
    assert.equal((await client.getKeyRotationPolicy("rsa")).lifetimeActions.length, 2);
  },
  async rotate() {
    const got = await client.rotateKey("rsa");
    assert.ok(![first, second].some((k) => k.properties.version === got.properties.version));
    assert.equal((got.properties.expiresOn - got.properties.createdOn) / 86400000, 90);
    assert.deepEqual(got.properties.tags, { c: "d" });
  },
  async delete() {
    const poller = await client.beginDeleteKey("rsa", fast);
    const deleted = await poller.pollUntilDone();
    assert.equal(deleted.name, "rsa");
    assert.ok(deleted.properties.scheduledPurgeDate > deleted.properties.deletedOn);
    assert.equal((await client.getDeletedKey("rsa")).name, "rsa");
    assert.deepEqual((await collect(client.listDeletedKeys())).map((d) => d.name), ["rsa"]);
  },
  async "the name of a deleted key is taken"() {
    const error = await refused(client.createRsaKey("rsa"));
    assert.equal(error.statusCode, 409);
    assert.match(error.message, /Key rsa is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the key can only be recovered or purged\./);
  },
  async recover() {
    const poller = await client.beginRecoverDeletedKey("rsa", fast);
    assert.equal((await poller.pollUntilDone()).name, "rsa");
    assert.equal((await client.getKey("rsa")).name, "rsa");
  },
  async backup() {
    backup = await client.backupKey("rsa");
    assert.ok(backup.length > 32);
  },
  async purge() {
    await (await client.beginDeleteKey("rsa", fast)).pollUntilDone();
    await client.purgeDeletedKey("rsa");
    assert.equal((await refused(client.getDeletedKey("rsa"))).statusCode, 404);
  },
  async restore() {
    assert.equal((await client.restoreKeyBackup(backup)).name, "rsa");
    assert.deepEqual((await client.getKey("rsa", { version: first.properties.version })).properties.tags, { a: "b" });
    assert.equal((await refused(client.restoreKeyBackup(backup))).statusCode, 409);
  },
  async "a broken backup"() {
    const error = await refused(client.restoreKeyBackup(Buffer.from("nothing")));
    assert.equal(error.statusCode, 400);
    assert.match(error.message, /Backup blob is corrupt\./);
  },
  async "404"() {
    const error = await refused(client.getKey("nothing"));
    assert.equal(error.statusCode, 404);
    assert.equal(error.code, "KeyNotFound");
    assert.ok(error.message.includes("A key with (name/id) nothing was not found in this key vault."), error.message);
  },
  async "403 of a disabled key"() {
    const error = await refused(remote(await blind.createRsaKey("off", { enabled: false })).sign("RS256", digest("RS256")));
    assert.equal(error.statusCode, 403);
    assert.ok(error.message.includes("Operation sign is not allowed on a disabled key."), error.message);
  },
  async "403 of an operation that the key does not have"() {
    const error = await refused(remote(await blind.createRsaKey("narrow", { keyOps: ["verify"] })).sign("RS256", digest("RS256")));
    assert.equal(error.statusCode, 403);
  },
  async "what only hardware has"() {
    assert.equal((await refused(client.getRandomBytes(8))).statusCode, 400);
    assert.equal((await refused(client.createOctKey("oct", { keySize: 256 }))).statusCode, 400);
  },
};

await run(cases);
