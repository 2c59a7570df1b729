import static java.util.stream.Collectors.toList;

import com.azure.core.credential.TokenCredential;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.KeyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.models.EncryptionAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.KeyWrapAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.CreateEcKeyOptions;
import com.azure.security.keyvault.keys.models.CreateRsaKeyOptions;
import com.azure.security.keyvault.keys.models.DeletedKey;
import com.azure.security.keyvault.keys.models.JsonWebKey;
import com.azure.security.keyvault.keys.models.KeyCurveName;
import com.azure.security.keyvault.keys.models.KeyOperation;
import com.azure.security.keyvault.keys.models.KeyProperties;
import com.azure.security.keyvault.keys.models.KeyRotationLifetimeAction;
import com.azure.security.keyvault.keys.models.KeyRotationPolicy;
import com.azure.security.keyvault.keys.models.KeyRotationPolicyAction;
import com.azure.security.keyvault.keys.models.KeyType;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import java.nio.charset.StandardCharsets;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.Signature;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Runs the unmodified azure-security-keyvault-keys against a vault, with its resource check on.
 * In the blind vault keys may be made and used, but not read: there the SDK asks the vault for all
 * of its cryptography.
 * usage: java Keys.java VAULT_URL BLIND_VAULT_URL
 */
final class Keys {
    static final byte[] PLAIN = "planted-plain".getBytes(StandardCharsets.UTF_8);
    static final TokenCredential credential = Harness.credential();
    static KeyClient client;
    static KeyClient blind;
    static KeyVaultKey first;
    static KeyVaultKey second;
    static byte[] backup;
    static KeyPair own;

    static CryptographyClient crypto(KeyVaultKey key) {
        return new CryptographyClientBuilder().credential(credential).keyIdentifier(key.getId()).buildClient();
    }

    static byte[] digest(SignatureAlgorithm algorithm) throws Exception {
        return MessageDigest.getInstance("SHA-" + algorithm.toString().substring(2, 5)).digest(PLAIN);
    }

    /** Signs and verifies, and does not verify something else. */
    static void signs(CryptographyClient crypto, SignatureAlgorithm algorithm) throws Exception {
        byte[] digest = digest(algorithm);
        byte[] signature = crypto.sign(algorithm, digest).getSignature();
        Harness.equal(crypto.verify(algorithm, digest, signature).isValid(), true);
        Harness.equal(crypto.verify(algorithm, new byte[digest.length], signature).isValid(), false);
    }

    public static void main(String[] args) {
        client = new KeyClientBuilder().vaultUrl(args[0]).credential(credential).buildClient();
        blind = new KeyClientBuilder().vaultUrl(args[1]).credential(credential).buildClient();
        Map<KeyCurveName, SignatureAlgorithm> curves = Map.of(KeyCurveName.P_256, SignatureAlgorithm.ES256, KeyCurveName.P_384,
            SignatureAlgorithm.ES384, KeyCurveName.P_521, SignatureAlgorithm.ES512, KeyCurveName.P_256K, SignatureAlgorithm.ES256K);
        Harness cases = new Harness();
        cases.add("create", () -> {
            first = client.createRsaKey(new CreateRsaKeyOptions("rsa").setKeySize(2048).setTags(Map.of("a", "b")));
            Harness.equal(first.getKeyType(), KeyType.RSA);
            Harness.equal(first.getKey().getN().length, 256);
            second = client.createRsaKey(new CreateRsaKeyOptions("rsa"));
            Harness.check(!first.getId().equals(second.getId()), "both versions are " + first.getId());
            for (KeyCurveName curve : curves.keySet()) {
                Harness.equal(client.createEcKey(new CreateEcKeyOptions("ec-" + curve).setCurveName(curve)).getKey().getCurveName(), curve);
            }
        });
        cases.add("create in hardware", () -> {
            Harness.equal(client.createRsaKey(new CreateRsaKeyOptions("rsa-hsm").setHardwareProtected(true)).getKeyType(), KeyType.RSA_HSM);
            Harness.equal(client.createEcKey(new CreateEcKeyOptions("ec-hsm").setHardwareProtected(true)).getKeyType(), KeyType.EC_HSM);
        });
        cases.add("import", () -> {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
            generator.initialize(2048);
            own = generator.generateKeyPair();
            KeyVaultKey got = client.importKey("imported", JsonWebKey.fromRsa(own, List.of(KeyOperation.SIGN, KeyOperation.VERIFY)));
            Harness.check(got.getKey().getD() == null, "the private part is in the answer");
            byte[] signature = crypto(got).signData(SignatureAlgorithm.RS256, PLAIN).getSignature();
            Signature verifier = Signature.getInstance("SHA256withRSA");
            verifier.initVerify(own.getPublic());
            verifier.update(PLAIN);
            Harness.check(verifier.verify(signature), "the vault's signature does not verify");
        });
        cases.add("get", () -> Harness.equal(client.getKey("rsa").getId(), second.getId()));
        cases.add("get a version", () -> {
            KeyProperties got = client.getKey("rsa", first.getProperties().getVersion()).getProperties();
            Harness.equal(got.getTags(), Map.of("a", "b"));
            Harness.equal(got.getRecoveryLevel(), "CustomizedRecoverable+Purgeable");
            Harness.equal(got.getRecoverableDays(), 7);
        });
        cases.add("list", () -> {
            for (int i = 0; i < 30; i++) {
                client.createEcKey(new CreateEcKeyOptions("many-" + i));
            }
            List<String> names = client.listPropertiesOfKeys().stream().map(KeyProperties::getName).collect(toList());
            Harness.equal(new TreeSet<>(names).size(), names.size());
            Harness.equal(names.stream().filter(name -> name.startsWith("many-")).count(), 30L);
        });
        cases.add("versions", () -> Harness.equal(client.listPropertiesOfKeyVersions("rsa").stream().map(KeyProperties::getVersion).collect(toList()).size(), 2));
        cases.add("update", () -> {
            OffsetDateTime expires = OffsetDateTime.of(2040, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC);
            KeyProperties got = client.updateKeyProperties(client.getKey("rsa").getProperties().setExpiresOn(expires).setTags(Map.of("c", "d")),
                // Without operations this SDK sends that there are none.
                KeyOperation.ENCRYPT, KeyOperation.DECRYPT, KeyOperation.SIGN, KeyOperation.VERIFY, KeyOperation.WRAP_KEY, KeyOperation.UNWRAP_KEY).getProperties();
            Harness.equal(got.getExpiresOn().toInstant(), expires.toInstant());
            Harness.equal(got.getTags(), Map.of("c", "d"));
        });
        cases.add("encrypt and decrypt", () -> {
            for (CryptographyClient crypto : List.of(crypto(client.getKey("rsa")), crypto(blind.createRsaKey(new CreateRsaKeyOptions("rsa"))))) {
                for (EncryptionAlgorithm algorithm : List.of(EncryptionAlgorithm.RSA_OAEP, EncryptionAlgorithm.RSA_OAEP_256, EncryptionAlgorithm.RSA1_5)) {
                    Harness.equal(crypto.decrypt(algorithm, crypto.encrypt(algorithm, PLAIN).getCipherText()).getPlainText(), PLAIN);
                }
            }
        });
        cases.add("wrap and unwrap", () -> {
            for (CryptographyClient crypto : List.of(crypto(client.getKey("rsa")), crypto(blind.createRsaKey(new CreateRsaKeyOptions("rsa"))))) {
                for (KeyWrapAlgorithm algorithm : List.of(KeyWrapAlgorithm.RSA_OAEP, KeyWrapAlgorithm.RSA_OAEP_256, KeyWrapAlgorithm.RSA1_5)) {
                    Harness.equal(crypto.unwrapKey(algorithm, crypto.wrapKey(algorithm, PLAIN).getEncryptedKey()).getKey(), PLAIN);
                }
            }
        });
        cases.add("sign and verify", () -> {
            for (CryptographyClient crypto : List.of(crypto(client.getKey("rsa")), crypto(blind.createRsaKey(new CreateRsaKeyOptions("rsa"))))) {
                for (SignatureAlgorithm algorithm : List.of(SignatureAlgorithm.RS256, SignatureAlgorithm.RS384, SignatureAlgorithm.RS512,
                    SignatureAlgorithm.PS256, SignatureAlgorithm.PS384, SignatureAlgorithm.PS512)) {
                    signs(crypto, algorithm);
                }
            }
        });
        cases.add("sign and verify with curves", () -> {
            for (Map.Entry<KeyCurveName, SignatureAlgorithm> curve : curves.entrySet()) {
                // Java has no secp256k1 of its own: this SDK asks the vault in both cases.
                signs(crypto(client.getKey("ec-" + curve.getKey())), curve.getValue());
                signs(crypto(blind.createEcKey(new CreateEcKeyOptions("ec-" + curve.getKey()).setCurveName(curve.getKey()))), curve.getValue());
            }
        });
        cases.add("rotation policy", () -> {
            Harness.check(client.getKeyRotationPolicy("rsa").getExpiresIn() == null, "there is an expiry time before one was set");
            KeyRotationPolicy policy = new KeyRotationPolicy().setExpiresIn("P90D").setLifetimeActions(List.of(
                new KeyRotationLifetimeAction(KeyRotationPolicyAction.ROTATE).setTimeAfterCreate("P2M"),
                new KeyRotationLifetimeAction(KeyRotationPolicyAction.NOTIFY).setTimeBeforeExpiry("P30D")));
            Harness.equal(client.updateKeyRotationPolicy("rsa", policy).getExpiresIn(), "P90D");
            Harness.equal(client.getKeyRotationPolicy("rsa").getLifetimeActions().size(), 2);
        });
        cases.add("rotate", () -> {
            KeyProperties got = client.rotateKey("rsa").getProperties();
            Harness.check(!Set.of(first.getProperties().getVersion(), second.getProperties().getVersion()).contains(got.getVersion()), "no new version");
            Harness.equal(got.getExpiresOn().toEpochSecond() - got.getCreatedOn().toEpochSecond(), 90L * 86400);
            Harness.equal(got.getTags(), Map.of("c", "d"));
        });
        cases.add("delete", () -> {
            DeletedKey deleted = Harness.fast(client.beginDeleteKey("rsa")).poll().getValue();
            Harness.equal(deleted.getName(), "rsa");
            Harness.check(deleted.getScheduledPurgeDate().isAfter(deleted.getDeletedOn()), "it is to be purged before it was deleted");
            Harness.equal(client.listDeletedKeys().stream().map(DeletedKey::getName).collect(toList()), List.of("rsa"));
        });
        cases.add("the name of a deleted key is taken", () -> Harness.refused(() -> client.createRsaKey(new CreateRsaKeyOptions("rsa")), 409,
            "Key rsa is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the key can only be recovered or purged."));
        cases.add("recover", () -> {
            Harness.equal(Harness.fast(client.beginRecoverDeletedKey("rsa")).poll().getValue().getName(), "rsa");
            Harness.equal(client.getKey("rsa").getName(), "rsa");
        });
        cases.add("backup", () -> {
            backup = client.backupKey("rsa");
            Harness.check(backup.length > 32, "the backup has " + backup.length + " bytes");
        });
        cases.add("purge", () -> {
            Harness.fast(client.beginDeleteKey("rsa"));
            client.purgeDeletedKey("rsa");
            Harness.refused(() -> client.getDeletedKey("rsa"), 404, "Deleted Key not found: rsa");
        });
        cases.add("restore", () -> {
            Harness.equal(client.restoreKeyBackup(backup).getName(), "rsa");
            Harness.equal(client.getKey("rsa", first.getProperties().getVersion()).getProperties().getTags(), Map.of("a", "b"));
            Harness.refused(() -> client.restoreKeyBackup(backup), 409, "rsa");
        });
        cases.add("a broken backup", () -> Harness.refused(() -> client.restoreKeyBackup("nothing".getBytes(StandardCharsets.UTF_8)), 400, "Backup blob is corrupt."));
        cases.add("404", () -> Harness.refused(() -> client.getKey("nothing"), 404, "A key with (name/id) nothing was not found in this key vault."));
        cases.add("403 of a disabled key", () -> {
            CryptographyClient crypto = crypto(blind.createRsaKey(new CreateRsaKeyOptions("off").setEnabled(false)));
            Harness.refused(() -> crypto.sign(SignatureAlgorithm.RS256, digest(SignatureAlgorithm.RS256)), 403, "Operation sign is not allowed on a disabled key.");
        });
        cases.add("403 of an operation that the key does not have", () -> {
            CryptographyClient crypto = crypto(blind.createRsaKey(new CreateRsaKeyOptions("narrow").setKeyOperations(KeyOperation.VERIFY)));
            Harness.refused(() -> crypto.sign(SignatureAlgorithm.RS256, digest(SignatureAlgorithm.RS256)), 403, "sign");
        });
        cases.add("what only hardware has", () -> Harness.refused(() -> client.getRandomBytes(8), 400, ""));
        cases.run();
    }
}
