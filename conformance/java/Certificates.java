import static java.util.stream.Collectors.toList;

import com.azure.core.credential.TokenCredential;
import com.azure.security.keyvault.certificates.CertificateClient;
import com.azure.security.keyvault.certificates.CertificateClientBuilder;
import com.azure.security.keyvault.certificates.models.AdministratorContact;
import com.azure.security.keyvault.certificates.models.CertificateContact;
import com.azure.security.keyvault.certificates.models.CertificateIssuer;
import com.azure.security.keyvault.certificates.models.CertificateKeyCurveName;
import com.azure.security.keyvault.certificates.models.CertificateKeyType;
import com.azure.security.keyvault.certificates.models.CertificateOperation;
import com.azure.security.keyvault.certificates.models.CertificatePolicy;
import com.azure.security.keyvault.certificates.models.CertificatePolicyAction;
import com.azure.security.keyvault.certificates.models.CertificateProperties;
import com.azure.security.keyvault.certificates.models.DeletedCertificate;
import com.azure.security.keyvault.certificates.models.ImportCertificateOptions;
import com.azure.security.keyvault.certificates.models.IssuerProperties;
import com.azure.security.keyvault.certificates.models.KeyVaultCertificate;
import com.azure.security.keyvault.certificates.models.KeyVaultCertificateWithPolicy;
import com.azure.security.keyvault.certificates.models.LifetimeAction;
import com.azure.security.keyvault.certificates.models.MergeCertificateOptions;
import com.azure.security.keyvault.certificates.models.SubjectAlternativeNames;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.KeyClientBuilder;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import com.azure.security.keyvault.secrets.models.KeyVaultSecret;
import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.Signature;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * Runs the unmodified azure-security-keyvault-certificates against a vault, with its resource check
 * on. The folder is empty; openssl, which plays the authority, works there.
 * usage: java Certificates.java VAULT_URL FOLDER
 */
final class Certificates {
    static Path folder;
    static KeyVaultCertificate first;
    static KeyVaultCertificate second;
    static byte[] backup;

    static X509Certificate parse(byte[] der) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(der));
    }

    static void openssl(String... args) throws Exception {
        List<String> command = new ArrayList<>(List.of("openssl"));
        command.addAll(Arrays.asList(args));
        Process process = new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true).start();
        String out = new String(process.getInputStream().readAllBytes());
        Harness.check(process.waitFor() == 0, command + ": " + out);
    }

    static byte[] read(String name) throws Exception {
        return Files.readAllBytes(folder.resolve(name));
    }

    static CertificatePolicy policy(String issuer) {
        return new CertificatePolicy(issuer, "CN=java", new SubjectAlternativeNames().setDnsNames(List.of("a.example", "b.example")));
    }

    public static void main(String[] args) {
        folder = Path.of(args[1]);
        TokenCredential credential = Harness.credential();
        CertificateClient client = new CertificateClientBuilder().vaultUrl(args[0]).credential(credential).buildClient();
        KeyClient keys = new KeyClientBuilder().vaultUrl(args[0]).credential(credential).buildClient();
        SecretClient secrets = new SecretClientBuilder().vaultUrl(args[0]).credential(credential).buildClient();
        Harness cases = new Harness();
        cases.add("create", () -> {
            first = Harness.fast(client.beginCreateCertificate("java", policy("Self"), true, Map.of("a", "b"))).getFinalResult();
            X509Certificate parsed = parse(first.getCer());
            Harness.equal(parsed.getSubjectX500Principal().getName(), "CN=java");
            Harness.equal(parsed.getSubjectAlternativeNames().stream().map(name -> name.get(1)).collect(toList()), List.of("a.example", "b.example"));
            parsed.verify(parsed.getPublicKey());
            second = Harness.fast(client.beginCreateCertificate("java", CertificatePolicy.getDefault())).getFinalResult();
            Harness.check(!first.getId().equals(second.getId()), "both versions are " + first.getId());
        });
        cases.add("create with curves", () -> {
            for (CertificateKeyCurveName curve : List.of(CertificateKeyCurveName.P_256, CertificateKeyCurveName.P_384, CertificateKeyCurveName.P_521)) {
                KeyVaultCertificateWithPolicy got = Harness.fast(client.beginCreateCertificate("ec-" + curve,
                    policy("Self").setKeyType(CertificateKeyType.EC).setKeyCurveName(curve))).getFinalResult();
                Harness.equal(parse(got.getCer()).getPublicKey().getAlgorithm(), "EC");
            }
        });
        cases.add("get", () -> Harness.equal(client.getCertificate("java").getId(), second.getId()));
        cases.add("get a version", () -> {
            CertificateProperties got = client.getCertificateVersion("java", first.getProperties().getVersion()).getProperties();
            Harness.equal(got.getTags(), Map.of("a", "b"));
            Harness.equal(got.getRecoveryLevel(), "CustomizedRecoverable+Purgeable");
        });
        cases.add("its key and its secret", () -> {
            KeyVaultCertificateWithPolicy got = client.getCertificate("java");
            Harness.equal(keys.getKey("java").getId(), got.getKeyId());
            Harness.equal(keys.getKey("java").getProperties().isManaged(), true);
            KeyVaultSecret secret = secrets.getSecret("java");
            Harness.equal(secret.getId(), got.getSecretId());
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(new ByteArrayInputStream(Base64.getDecoder().decode(secret.getValue())), new char[0]);
            String alias = store.aliases().nextElement();
            Harness.equal(store.getCertificate(alias).getEncoded(), got.getCer());
            Signature signer = Signature.getInstance("SHA256withRSA");
            signer.initSign((PrivateKey) store.getKey(alias, new char[0]));
            byte[] signature = signer.sign();
            signer.initVerify(store.getCertificate(alias));
            Harness.check(signer.verify(signature), "the key of the secret is not the certificate's");
            Harness.refused(() -> keys.beginDeleteKey("java").poll(), 403, "managed by Key Vault");
            Harness.refused(() -> secrets.beginDeleteSecret("java").poll(), 403, "managed by Key Vault");
        });
        cases.add("list", () -> {
            for (int i = 0; i < 10; i++) {
                Harness.fast(client.beginCreateCertificate("many-" + i, policy("Self").setKeyType(CertificateKeyType.EC).setKeyCurveName(CertificateKeyCurveName.P_256)));
            }
            List<String> names = client.listPropertiesOfCertificates().stream().map(CertificateProperties::getName).collect(toList());
            Harness.equal(new TreeSet<>(names).size(), names.size());
            Harness.equal(names.size(), 14);
        });
        cases.add("versions", () -> Harness.equal(client.listPropertiesOfCertificateVersions("java").stream().count(), 2L));
        cases.add("update", () -> {
            CertificateProperties got = client.updateCertificateProperties(client.getCertificateVersion("java", first.getProperties().getVersion())
                .getProperties().setEnabled(false).setTags(Map.of("c", "d"))).getProperties();
            Harness.equal(got.isEnabled(), false);
            Harness.equal(got.getTags(), Map.of("c", "d"));
        });
        cases.add("policy", () -> {
            CertificatePolicy changed = client.updateCertificatePolicy("java", new CertificatePolicy("Self", "CN=changed").setValidityInMonths(24)
                .setLifetimeActions(new LifetimeAction(CertificatePolicyAction.AUTO_RENEW).setDaysBeforeExpiry(30)));
            Harness.equal(changed.getSubject(), "CN=changed");
            Harness.equal(client.getCertificatePolicy("java").getValidityInMonths(), 24);
            Harness.equal(client.getCertificatePolicy("java").getLifetimeActions().get(0).getDaysBeforeExpiry(), 30);
        });
        cases.add("import PKCS#12", () -> {
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.pem", "-subj", "/CN=imported", "-days", "300");
            openssl("x509", "-in", "own.pem", "-outform", "der", "-out", "own.der");
            openssl("pkcs12", "-export", "-inkey", "own.key", "-in", "own.pem", "-out", "own.pfx", "-passout", "pass:123");
            KeyVaultCertificateWithPolicy got = client.importCertificate(new ImportCertificateOptions("pfx", read("own.pfx")).setPassword("123"));
            Harness.equal(got.getCer(), read("own.der"));
            Harness.equal(got.getPolicy().getIssuerName(), "Unknown");
            Harness.refused(() -> client.importCertificate(new ImportCertificateOptions("bad", read("own.pfx")).setPassword("124")), 400, "");
        });
        cases.add("merge", () -> {
            client.beginCreateCertificate("merged", policy("Unknown")).poll();
            CertificateOperation operation = client.getCertificateOperation("merged").poll().getValue();
            Harness.equal(operation.getStatus(), "inProgress");
            Files.write(folder.resolve("merged.csr"), operation.getCsr());
            openssl("x509", "-req", "-inform", "der", "-in", "merged.csr", "-CA", "own.pem", "-CAkey", "own.key", "-CAcreateserial", "-days", "90",
                "-outform", "der", "-out", "merged.der");
            Harness.equal(client.mergeCertificate(new MergeCertificateOptions("merged", List.of(read("merged.der")))).getCer(), read("merged.der"));
        });
        cases.add("pending operations", () -> {
            client.beginCreateCertificate("waits", policy("Unknown")).poll();
            client.getCertificateOperation("waits").cancelOperation();
            client.deleteCertificateOperation("waits");
            Harness.refused(() -> client.getCertificateOperation("waits").poll(), 404, "");
        });
        cases.add("contacts", () -> {
            // Nothing is sent before somebody reads the answer.
            Harness.equal(client.setContacts(List.of(new CertificateContact().setName("A").setEmail("a@example.com"),
                new CertificateContact().setEmail("b@example.com"))).stream().count(), 2L);
            Harness.equal(client.listContacts().stream().map(CertificateContact::getEmail).collect(toList()), List.of("a@example.com", "b@example.com"));
            Harness.equal(client.deleteContacts().stream().count(), 2L);
        });
        cases.add("issuers", () -> {
            client.createIssuer(new CertificateIssuer("issuer", "Test").setAccountId("account").setPassword("planted-password")
                .setAdministratorContacts(List.of(new AdministratorContact().setFirstName("John").setLastName("Doe").setEmail("john@example.com"))));
            CertificateIssuer got = client.getIssuer("issuer");
            Harness.equal(got.getAccountId(), "account");
            Harness.check(got.getPassword() == null, "the password is in the answer");
            Harness.equal(client.updateIssuer(got.setAccountId("another")).getAccountId(), "another");
            Harness.equal(client.listPropertiesOfIssuers().stream().map(IssuerProperties::getProvider).collect(toList()), List.of("Test"));
            client.deleteIssuer("issuer");
            Harness.refused(() -> client.getIssuer("issuer"), 404, "");
        });
        cases.add("delete", () -> {
            DeletedCertificate deleted = Harness.fast(client.beginDeleteCertificate("java")).poll().getValue();
            Harness.equal(deleted.getName(), "java");
            Harness.equal(client.listDeletedCertificates().stream().map(DeletedCertificate::getName).collect(toList()), List.of("java"));
        });
        cases.add("recover", () -> {
            Harness.fast(client.beginRecoverDeletedCertificate("java"));
            Harness.equal(secrets.getSecret("java").getName(), "java");
        });
        cases.add("backup", () -> {
            backup = client.backupCertificate("java");
            Harness.check(backup.length > 32, "the backup has " + backup.length + " bytes");
        });
        cases.add("purge", () -> {
            Harness.fast(client.beginDeleteCertificate("java"));
            client.purgeDeletedCertificate("java");
            Harness.refused(() -> client.getDeletedCertificate("java"), 404, "");
        });
        cases.add("restore", () -> {
            Harness.equal(client.restoreCertificateBackup(backup).getName(), "java");
            Harness.equal(client.getCertificateVersion("java", first.getProperties().getVersion()).getProperties().getTags(), Map.of("c", "d"));
        });
        cases.add("404", () -> Harness.refused(() -> client.getCertificate("nothing"), 404, "A certificate with (name/id) nothing was not found"));
        cases.run();
    }
}
