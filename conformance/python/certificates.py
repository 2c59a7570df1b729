"""Runs the unmodified azure-keyvault-certificates against a vault, with its
resource check on, and prints "ok NAME" or "FAIL NAME: WHY" per case.

usage: certificates.py VAULT_URL
"""

import base64
import os
import sys
from datetime import datetime, timedelta, timezone

from azure.identity import ClientSecretCredential
from azure.keyvault.certificates import (
    ApiVersion,
    AdministratorContact,
    CertificateClient,
    CertificateContact,
    CertificatePolicy,
    CertificatePolicyAction,
    LifetimeAction,
    WellKnownIssuerNames,
)
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import SignatureAlgorithm
from azure.keyvault.secrets import SecretClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from harness import FAST, equal, refused, run

url = sys.argv[1]
credential = ClientSecretCredential(os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"])
client = CertificateClient(url, credential)
keys = KeyClient(url, credential)
secrets = SecretClient(url, credential)
kept = {}

authority_key = ec.generate_private_key(ec.SECP256R1())
authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])


def sign(subject, public_key, issuer=authority_name, key=authority_key):
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    return builder.not_valid_after(now + timedelta(days=365)).sign(key, hashes.SHA256())


authority = sign(authority_name, authority_key.public_key())


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def policy(**changes):
    return CertificatePolicy(**{"issuer_name": "Self", "subject": "CN=py", "san_dns_names": ["a.example", "b.example"], **changes})


def create():
    got = client.begin_create_certificate("py", policy(), tags={"a": "b"}, **FAST).result()
    equal(got.name, "py")
    equal(got.properties.tags, {"a": "b"})
    parsed = x509.load_der_x509_certificate(bytes(got.cer))
    equal(parsed.subject.rfc4514_string(), "CN=py")
    equal(parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName), ["a.example", "b.example"])
    parsed.verify_directly_issued_by(parsed)
    equal(bytes(got.properties.x509_thumbprint), parsed.fingerprint(hashes.SHA1()))  # nosec: what x5t is
    kept["first"] = got.properties.version
    kept["second"] = client.begin_create_certificate("py", CertificatePolicy.get_default(), **FAST).result().properties.version
    assert kept["first"] != kept["second"]


def create_ec():
    for curve in ("P-256", "P-384", "P-521"):
        got = client.begin_create_certificate("ec-" + curve, policy(key_type="EC", key_curve_name=curve, exportable=True, content_type="application/x-pem-file"), **FAST).result()
        equal(x509.load_der_x509_certificate(bytes(got.cer)).public_key().curve.key_size, int(curve[2:]))
        text = secrets.get_secret("ec-" + curve).value.encode()
        private = serialization.load_pem_private_key(text, None)
        equal(private.public_key(), x509.load_der_x509_certificate(bytes(got.cer)).public_key())


def get():
    equal(client.get_certificate("py").properties.version, kept["second"])


def get_version():
    got = client.get_certificate_version("py", kept["first"])
    equal(got.properties.tags, {"a": "b"})
    equal(got.properties.recovery_level, "CustomizedRecoverable+Purgeable")


def linked():
    got = client.get_certificate("py")
    key = keys.get_key("py")
    equal(key.id, got.key_id)
    equal(key.properties.managed, True)
    secret = secrets.get_secret("py")
    equal(secret.id, got.secret_id)
    equal(secret.properties.content_type, "application/x-pkcs12")
    private, certificate, _ = pkcs12.load_key_and_certificates(base64.b64decode(secret.value), None)
    equal(der(certificate), bytes(got.cer))
    equal(private.public_key(), certificate.public_key())
    signature = keys.get_cryptography_client("py").sign(SignatureAlgorithm.rs256, bytes(32)).signature
    equal(len(signature), 256)
    refused(lambda: keys.begin_delete_key("py"), 403)
    refused(lambda: secrets.begin_delete_secret("py"), 403)


def list_():
    for i in range(10):
        client.begin_create_certificate(f"many-{i}", policy(key_type="EC", key_curve_name="P-256"), **FAST).result()
    names = [p.name for p in client.list_properties_of_certificates(max_page_size=3)]
    equal(len(names), len(set(names)))
    equal(sum(name.startswith("many-") for name in names), 10)


def versions():
    got = sorted(p.version for p in client.list_properties_of_certificate_versions("py"))
    equal(got, sorted([kept["first"], kept["second"]]))


def update():
    got = client.update_certificate_properties("py", kept["first"], enabled=False, tags={"c": "d"})
    equal(got.properties.enabled, False)
    equal(got.properties.tags, {"c": "d"})


def update_policy():
    got = client.get_certificate_policy("py")
    equal(got.issuer_name, "Self")
    actions = [LifetimeAction(CertificatePolicyAction.auto_renew, days_before_expiry=30)]
    changed = client.update_certificate_policy("py", CertificatePolicy("Self", subject="CN=changed", lifetime_actions=actions, validity_in_months=24))
    equal(changed.subject, "CN=changed")
    got = client.get_certificate_policy("py")
    equal([(a.action, a.days_before_expiry) for a in got.lifetime_actions], [("AutoRenew", 30)])
    equal(got.validity_in_months, 24)


def import_pfx():
    private = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "imported")])
    certificate = sign(name, private.public_key())
    text = pkcs12.serialize_key_and_certificates(b"name", private, certificate, [authority], serialization.BestAvailableEncryption(b"123"))
    got = client.import_certificate("pfx", text, password="123", tags={"a": "b"})
    equal(bytes(got.cer), der(certificate))
    equal(got.policy.issuer_name, "Unknown")
    equal(got.policy.subject, "CN=imported")
    found, leaf, chain = pkcs12.load_key_and_certificates(base64.b64decode(secrets.get_secret("pfx").value), None)
    equal(found.private_numbers(), private.private_numbers())
    equal([der(leaf), *map(der, chain)], [der(certificate), der(authority)])
    refused(lambda: client.import_certificate("bad", text, password="124"), 400)


def import_pem():
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "imported")])
    certificate = sign(name, private.public_key())
    text = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    text += certificate.public_bytes(serialization.Encoding.PEM)
    got = client.import_certificate("pem", text, policy=CertificatePolicy("Unknown", content_type="application/x-pem-file"))
    equal(bytes(got.cer), der(certificate))
    secret = secrets.get_secret("pem")
    equal(secret.properties.content_type, "application/x-pem-file")
    equal(x509.load_pem_x509_certificate(secret.value.encode()), certificate)


def merge():
    operation = client.begin_create_certificate("merged", policy(issuer_name=WellKnownIssuerNames.unknown, subject="CN=merged"), **FAST).result()
    equal(operation.status, "inProgress")
    request = x509.load_der_x509_csr(bytes(client.get_certificate_operation("merged").csr))
    equal(request.subject.rfc4514_string(), "CN=merged")
    equal(request.is_signature_valid, True)
    certificate = sign(request.subject, request.public_key())
    got = client.merge_certificate("merged", [der(certificate), der(authority)], tags={"a": "b"})
    equal(bytes(got.cer), der(certificate))
    equal(client.get_certificate_operation("merged").status, "completed")


def operations():
    client.begin_create_certificate("waits", policy(issuer_name=WellKnownIssuerNames.unknown), **FAST).result()
    refused(lambda: client.begin_create_certificate("waits", policy(issuer_name=WellKnownIssuerNames.unknown)), 409)
    equal(client.cancel_certificate_operation("waits").cancellation_requested, True)
    client.delete_certificate_operation("waits")
    refused(lambda: client.get_certificate_operation("waits"), 404)


def contacts():
    got = client.set_contacts([CertificateContact(email="a@example.com", name="A", phone="1"), CertificateContact(email="b@example.com")])
    equal([c.email for c in got], ["a@example.com", "b@example.com"])
    equal([(c.email, c.name, c.phone) for c in client.get_contacts()], [("a@example.com", "A", "1"), ("b@example.com", None, None)])
    equal(len(client.delete_contacts()), 2)
    refused(client.get_contacts, 404)


def issuers():
    admin = AdministratorContact(first_name="John", last_name="Doe", email="john@example.com", phone="1")
    got = client.create_issuer("issuer", "Test", account_id="account", password="planted-password", admin_contacts=[admin], organization_id="o")
    equal((got.provider, got.account_id, got.organization_id, got.password), ("Test", "account", "o", None))
    equal(client.update_issuer("issuer", enabled=False).enabled, False)
    equal(client.get_issuer("issuer").admin_contacts[0].email, "john@example.com")
    equal([(i.name, i.provider) for i in client.list_properties_of_issuers()], [("issuer", "Test")])
    client.delete_issuer("issuer")
    refused(lambda: client.get_issuer("issuer"), 404)


def delete():
    deleted = client.begin_delete_certificate("py", **FAST).result()
    equal(deleted.name, "py")
    assert deleted.scheduled_purge_date > deleted.deleted_on
    equal(client.get_deleted_certificate("py").name, "py")
    equal([d.name for d in client.list_deleted_certificates()], ["py"])
    refused(lambda: secrets.get_secret("py"), 404)


def taken():
    refused(
        lambda: client.begin_create_certificate("py", policy()),
        409,
        "Certificate py is currently in a deleted but recoverable state, and its name cannot be reused; "
        "in this state, the certificate can only be recovered or purged.",
    )


def recover():
    equal(client.begin_recover_deleted_certificate("py", **FAST).result().name, "py")
    equal(secrets.get_secret("py").name, "py")


def backup():
    kept["backup"] = client.backup_certificate("py")
    assert len(kept["backup"]) > 32


def purge():
    client.begin_delete_certificate("py", **FAST).wait()
    client.purge_deleted_certificate("py")
    refused(lambda: client.get_deleted_certificate("py"), 404)
    refused(lambda: keys.get_key("py"), 404)


def restore():
    equal(client.restore_certificate_backup(kept["backup"]).name, "py")
    equal(client.get_certificate_version("py", kept["first"]).properties.tags, {"c": "d"})
    equal(secrets.get_secret("py").name, "py")


def broken_backup():
    refused(lambda: client.restore_certificate_backup(b"nothing"), 400, "Backup blob is corrupt.")


def not_found():
    error = refused(lambda: client.get_certificate("nothing"), 404, "A certificate with (name/id) nothing was not found in this key vault.")
    equal(error.error.code, "CertificateNotFound")


def older():
    for version in (ApiVersion.V7_0, ApiVersion.V7_4, ApiVersion.V7_6):
        with CertificateClient(url, credential, api_version=version) as old:
            equal(old.get_certificate("py").name, "py")
            equal(old.begin_create_certificate("old-" + version.value.replace(".", "-"), policy(), **FAST).result().properties.enabled, True)


CASES = {
    "create": create,
    "create with curves": create_ec,
    "get": get,
    "get a version": get_version,
    "its key and its secret": linked,
    "list": list_,
    "versions": versions,
    "update": update,
    "policy": update_policy,
    "import PKCS#12": import_pfx,
    "import PEM": import_pem,
    "merge": merge,
    "pending operations": operations,
    "contacts": contacts,
    "issuers": issuers,
    "delete": delete,
    "the name of a deleted certificate is taken": taken,
    "recover": recover,
    "backup": backup,
    "purge": purge,
    "restore": restore,
    "a broken backup": broken_backup,
    "404": not_found,
    "older api-versions": older,
}

run(CASES)
