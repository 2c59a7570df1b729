// Reads a secret with the unmodified @azure/identity, and prints "ok NAME" or
// "FAIL NAME: WHY" per case.
// usage: node managed.mjs VAULT_URL [CLIENT_ID_OF_ANOTHER]
// With the second argument it has a managed identity and no secret.
import { DefaultAzureCredential, ManagedIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import assert from "node:assert/strict";

const [url, stranger] = process.argv.slice(2);

async function read(credential) {
  const secret = await new SecretClient(url, credential).getSecret("a");
  assert.equal(secret.value, "planted-v");
}

const cases = { DefaultAzureCredential: () => read(new DefaultAzureCredential()) };
if (stranger) {
  cases.ManagedIdentityCredential = () => read(new ManagedIdentityCredential());
  cases["somebody else's client id"] = () => assert.rejects(read(new ManagedIdentityCredential({ clientId: stranger })));
}
for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAIL ${name}: ${String(error).replaceAll("\n", " ")}`);
  }
}
