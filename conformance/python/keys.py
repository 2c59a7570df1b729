"""Runs the unmodified azure-keyvault-keys against a vault, with its resource
check on, and prints "ok NAME" or "FAIL NAME: WHY" per case.

usage: keys.py VAULT_URL BLIND_VAULT_URL

In the blind vault keys may be made and used, but not read: there the SDK asks
the vault for all of its cryptography. In the other one it does what a public
key is enough for by itself.
"""

import hashlib
import os
import sys
from datetime import datetime, timezone

from azure.identity import ClientSecretCredential
from azure.keyvault.keys import (
    ApiVersion,
    JsonWebKey,
    KeyClient,
    KeyOperation,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
)
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from harness import FAST, equal, refused, run

url, blind_url = sys.argv[1:]
credential = ClientSecretCredential(os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"])
client = KeyClient(url, credential)
blind = KeyClient(blind_url, credential)
kept = {}
PLAIN = b"planted-plain"
DIGESTS = {"256": hashlib.sha256(PLAIN).digest(), "384": hashlib.sha384(PLAIN).digest(), "512": hashlib.sha512(PLAIN).digest()}
OPERATIONS = [KeyOperation.encrypt, KeyOperation.decrypt, KeyOperation.sign, KeyOperation.verify, KeyOperation.wrap_key, KeyOperation.unwrap_key]
CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K"}


def number(n, size=None):
    return n.to_bytes(size or (n.bit_length() + 7) // 8, "big")


def digest(algorithm):
    return DIGESTS[algorithm[2:5]]


def create():
    first = client.create_rsa_key("rsa", size=2048, tags={"a": "b"}, key_operations=OPERATIONS)
    equal(first.key_type, "RSA")
    equal(first.properties.tags, {"a": "b"})
    equal(first.properties.vault_url, url)
    equal(len(first.key.n), 256)
    kept["first"] = first.properties.version
    kept["second"] = client.create_rsa_key("rsa").properties.version
    assert kept["first"] != kept["second"]
    for curve in CURVES:
        key = client.create_ec_key("ec-" + curve, curve=curve)
        equal(key.key_type, "EC")
        equal(key.key.crv, curve)


def create_hsm():
    equal(client.create_rsa_key("rsa-hsm", hardware_protected=True).key_type, "RSA-HSM")
    equal(client.create_ec_key("ec-hsm", hardware_protected=True).key_type, "EC-HSM")


def import_():
    private = rsa.generate_private_key(65537, 2048)
    n = private.private_numbers()
    kept["jwk"] = jwk = JsonWebKey(
        kty="RSA", key_ops=["sign", "verify", "encrypt", "decrypt"], n=number(n.public_numbers.n), e=number(n.public_numbers.e), d=number(n.d),
        p=number(n.p), q=number(n.q), dp=number(n.dmp1), dq=number(n.dmq1), qi=number(n.iqmp))
    kept["imported"] = private
    got = client.import_key("imported", jwk)
    equal(got.key.n, number(n.public_numbers.n))
    equal(got.key.d, None)
    signature = CryptographyClient(got, credential).sign(SignatureAlgorithm.rs256, DIGESTS["256"]).signature
    private.public_key().verify(signature, DIGESTS["256"], padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
    curve = ec.generate_private_key(ec.SECP384R1()).private_numbers()
    jwk = JsonWebKey(
        kty="EC", crv="P-384", key_ops=["sign", "verify"], x=number(curve.public_numbers.x, 48), y=number(curve.public_numbers.y, 48),
        d=number(curve.private_value, 48))
    equal(client.import_key("imported-ec", jwk).key.crv, "P-384")


def get():
    equal(client.get_key("rsa").properties.version, kept["second"])


def get_version():
    got = client.get_key("rsa", kept["first"])
    equal(got.properties.tags, {"a": "b"})
    equal(got.properties.recovery_level, "CustomizedRecoverable+Purgeable")
    equal(got.properties.recoverable_days, 7)


def list_():
    for i in range(30):
        client.create_ec_key(f"many-{i}")
    names = [p.name for p in client.list_properties_of_keys(max_page_size=7)]
    equal(len(names), len(set(names)))
    equal(sum(name.startswith("many-") for name in names), 30)


def versions():
    got = sorted(p.version for p in client.list_properties_of_key_versions("rsa"))
    equal(got, sorted([kept["first"], kept["second"]]))


def update():
    expires = datetime(2040, 1, 1, tzinfo=timezone.utc)
    got = client.update_key_properties("rsa", kept["second"], expires_on=expires, tags={"c": "d"}, key_operations=["wrapKey", "unwrapKey"])
    equal(got.properties.expires_on, expires)
    equal(got.properties.tags, {"c": "d"})
    equal(sorted(got.key_operations), ["unwrapKey", "wrapKey"])
    client.update_key_properties("rsa", kept["second"], key_operations=OPERATIONS)


def remote(make, *args, **options):
    """A client for a key that can be made but not be read."""
    return CryptographyClient(make(*args, **options).id, credential)


def clients():
    yield CryptographyClient(client.get_key("rsa"), credential)
    yield remote(blind.create_rsa_key, "rsa")


def encrypt():
    for crypto in clients():
        for algorithm in (EncryptionAlgorithm.rsa_oaep, EncryptionAlgorithm.rsa_oaep_256, EncryptionAlgorithm.rsa1_5):
            encrypted = crypto.encrypt(algorithm, PLAIN)
            equal(crypto.decrypt(algorithm, encrypted.ciphertext).plaintext, PLAIN)


def wrap():
    for crypto in clients():
        for algorithm in (KeyWrapAlgorithm.rsa_oaep, KeyWrapAlgorithm.rsa_oaep_256, KeyWrapAlgorithm.rsa1_5):
            wrapped = crypto.wrap_key(algorithm, PLAIN)
            equal(crypto.unwrap_key(algorithm, wrapped.encrypted_key).key, PLAIN)


def sign():
    for crypto in clients():
        for algorithm in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
            algorithm = SignatureAlgorithm(algorithm)
            signature = crypto.sign(algorithm, digest(algorithm)).signature
            equal(crypto.verify(algorithm, digest(algorithm), signature).is_valid, True)
            equal(crypto.verify(algorithm, bytes(len(digest(algorithm))), signature).is_valid, False)


def sign_ec():
    for curve, algorithm in CURVES.items():
        for crypto in (CryptographyClient(client.get_key("ec-" + curve), credential), remote(blind.create_ec_key, "ec-" + curve, curve=curve)):
            signature = crypto.sign(SignatureAlgorithm(algorithm), digest(algorithm)).signature
            equal(crypto.verify(SignatureAlgorithm(algorithm), digest(algorithm), signature).is_valid, True)
            equal(crypto.verify(SignatureAlgorithm(algorithm), bytes(len(digest(algorithm))), signature).is_valid, False)


def local():
    """What is encrypted and signed without the vault, the vault decrypts and
    verifies."""
    private = kept["imported"]
    crypto = client.get_cryptography_client("imported")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    equal(crypto.decrypt(EncryptionAlgorithm.rsa_oaep_256, private.public_key().encrypt(PLAIN, oaep)).plaintext, PLAIN)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signature = private.sign(DIGESTS["256"], pss, utils.Prehashed(hashes.SHA256()))
    all_remote = remote(blind.import_key, "imported", kept["jwk"])
    equal(all_remote.verify(SignatureAlgorithm.ps256, DIGESTS["256"], signature).is_valid, True)
    equal(private.decrypt(all_remote.encrypt(EncryptionAlgorithm.rsa_oaep_256, PLAIN).ciphertext, oaep), PLAIN)


def policy():
    # No key has a policy of its own in the beginning.
    assert client.get_key_rotation_policy("rsa").expires_in is None
    actions = [KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P2M"), KeyRotationLifetimeAction(KeyRotationPolicyAction.notify, time_before_expiry="P30D")]
    got = client.update_key_rotation_policy("rsa", KeyRotationPolicy(), lifetime_actions=actions, expires_in="P90D")
    equal(got.expires_in, "P90D")
    equal(sorted(a.action.lower() for a in got.lifetime_actions), ["notify", "rotate"])
    equal(client.get_key_rotation_policy("rsa").expires_in, "P90D")


def rotate():
    got = client.rotate_key("rsa")
    assert got.properties.version not in (kept["first"], kept["second"])
    equal(got.properties.tags, {"c": "d"})
    equal((got.properties.expires_on - got.properties.created_on).days, 90)


def delete():
    deleted = client.begin_delete_key("rsa", **FAST).result()
    equal(deleted.name, "rsa")
    assert deleted.scheduled_purge_date > deleted.deleted_date
    equal(client.get_deleted_key("rsa").name, "rsa")
    equal([d.name for d in client.list_deleted_keys()], ["rsa"])


def taken():
    refused(
        lambda: client.create_rsa_key("rsa"),
        409,
        "Key rsa is currently in a deleted but recoverable state, and its name cannot be reused; "
        "in this state, the key can only be recovered or purged.",
    )


def recover():
    poller = client.begin_recover_deleted_key("rsa", **FAST)
    poller.wait()
    equal(poller.result().name, "rsa")
    equal(client.get_key("rsa").name, "rsa")


def backup():
    kept["backup"] = client.backup_key("rsa")
    assert len(kept["backup"]) > 32


def purge():
    client.begin_delete_key("rsa", **FAST).wait()
    client.purge_deleted_key("rsa")
    refused(lambda: client.get_deleted_key("rsa"), 404, "Deleted Key not found: rsa")


def restore():
    equal(client.restore_key_backup(kept["backup"]).name, "rsa")
    equal(client.get_key("rsa", kept["first"]).properties.tags, {"a": "b"})
    equal(len(list(client.list_properties_of_key_versions("rsa"))), 3)
    refused(lambda: client.restore_key_backup(kept["backup"]), 409)


def broken_backup():
    refused(lambda: client.restore_key_backup(b"nothing"), 400, "Backup blob is corrupt.")


def not_found():
    error = refused(lambda: client.get_key("nothing"), 404, "A key with (name/id) nothing was not found in this key vault.")
    equal(error.error.code, "KeyNotFound")


def disabled():
    equal(client.create_rsa_key("off", enabled=False).properties.enabled, False)
    equal(client.get_key("off").properties.enabled, False)
    crypto = remote(blind.create_rsa_key, "off", enabled=False)
    error = refused(lambda: crypto.sign(SignatureAlgorithm.rs256, DIGESTS["256"]), 403, "Operation sign is not allowed on a disabled key.")
    equal(error.error.innererror["code"], "KeyDisabled")


def not_permitted():
    crypto = remote(blind.create_rsa_key, "narrow", key_operations=["verify"])
    refused(lambda: crypto.sign(SignatureAlgorithm.rs256, DIGESTS["256"]), 403)


def no_key():
    crypto = CryptographyClient(f"{blind_url}/keys/nothing/{'0' * 32}", credential)
    refused(lambda: crypto.decrypt(EncryptionAlgorithm.rsa_oaep, bytes(256)), 404, "A key with (name/id) nothing/")


def hardware():
    refused(lambda: client.get_random_bytes(8), 400)
    refused(lambda: client.create_oct_key("oct", size=256), 400)


def older():
    for version in (ApiVersion.V7_3, ApiVersion.V7_4, ApiVersion.V7_6):
        with KeyClient(url, credential, api_version=version) as old:
            equal(old.get_key("rsa").name, "rsa")
            old.create_ec_key("old-" + version.value.replace(".", "-"))


CASES = {
    "create": create,
    "create in hardware": create_hsm,
    "import": import_,
    "get": get,
    "get a version": get_version,
    "list": list_,
    "versions": versions,
    "update": update,
    "encrypt and decrypt": encrypt,
    "wrap and unwrap": wrap,
    "sign and verify": sign,
    "sign and verify with curves": sign_ec,
    "what was made without the vault": local,
    "rotation policy": policy,
    "rotate": rotate,
    "delete": delete,
    "the name of a deleted key is taken": taken,
    "recover": recover,
    "backup": backup,
    "purge": purge,
    "restore": restore,
    "a broken backup": broken_backup,
    "404": not_found,
    "403 of a disabled key": disabled,
    "403 of an operation that the key does not have": not_permitted,
    "404 of an operation": no_key,
    "what only hardware has": hardware,
    "older api-versions": older,
}

run(CASES)
