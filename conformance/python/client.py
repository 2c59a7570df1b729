"""Runs the unmodified azure-keyvault-secrets against a vault, with its
resource check on, and prints "ok NAME" or "FAIL NAME: WHY" per case.

usage: client.py VAULT_URL LOCKED_VAULT_URL
"""

import os
import re
import sys
from datetime import datetime, timezone

from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from harness import FAST, equal, refused, run

url, locked = sys.argv[1:]
client_id = os.environ["AZURE_CLIENT_ID"]
credential = ClientSecretCredential(os.environ["AZURE_TENANT_ID"], client_id, os.environ["AZURE_CLIENT_SECRET"])
client = SecretClient(url, credential)
kept = {}


def set_():
    first = client.set_secret("py", "planted-one", tags={"a": "b"}, content_type="text/plain")
    equal(first.value, "planted-one")
    equal(first.properties.vault_url, url)
    assert re.fullmatch("[0-9a-f]{32}", first.properties.version)
    kept["first"] = first.properties.version
    kept["second"] = client.set_secret("py", "planted-two").properties.version
    assert kept["first"] != kept["second"]


def get():
    equal(client.get_secret("py").value, "planted-two")


def get_version():
    got = client.get_secret("py", kept["first"])
    equal(got.value, "planted-one")
    equal(got.properties.tags, {"a": "b"})
    equal(got.properties.content_type, "text/plain")
    equal(got.properties.recovery_level, "CustomizedRecoverable+Purgeable")


def list_():
    for i in range(30):
        client.set_secret(f"many-{i}", "x")
    names = [p.name for p in client.list_properties_of_secrets(max_page_size=7)]
    equal(len(names), 31)
    equal(len(set(names)), 31)


def versions():
    got = sorted(p.version for p in client.list_properties_of_secret_versions("py"))
    equal(got, sorted([kept["first"], kept["second"]]))


def update():
    expires = datetime(2040, 1, 1, tzinfo=timezone.utc)
    got = client.update_secret_properties("py", kept["second"], expires_on=expires, tags={"c": "d"})
    equal(got.expires_on, expires)
    equal(got.tags, {"c": "d"})


def delete():
    deleted = client.begin_delete_secret("py", **FAST).result()
    equal(deleted.name, "py")
    assert deleted.scheduled_purge_date > deleted.deleted_date
    equal(client.get_deleted_secret("py").name, "py")
    equal([d.name for d in client.list_deleted_secrets()], ["py"])


def taken():
    refused(
        lambda: client.set_secret("py", "planted-three"),
        409,
        "Secret py is currently in a deleted but recoverable state, and its name cannot be reused; "
        "in this state, the secret can only be recovered or purged.",
    )


def recover():
    poller = client.begin_recover_deleted_secret("py", **FAST)
    poller.wait()
    equal(poller.result().name, "py")
    equal(client.get_secret("py").value, "planted-two")


def backup():
    kept["backup"] = client.backup_secret("py")
    assert len(kept["backup"]) > 32
    assert b"planted-two" not in kept["backup"]


def purge():
    client.begin_delete_secret("py", **FAST).wait()
    client.purge_deleted_secret("py")
    refused(lambda: client.get_deleted_secret("py"), 404, "Deleted Secret not found: py")


def restore():
    equal(client.restore_secret_backup(kept["backup"]).name, "py")
    equal(client.get_secret("py").value, "planted-two")
    equal(client.get_secret("py", kept["first"]).value, "planted-one")


def broken_backup():
    refused(lambda: client.restore_secret_backup(b"nothing"), 400, "Backup blob is corrupt.")


def not_found():
    error = refused(
        lambda: client.get_secret("nothing"),
        404,
        "A secret with (name/id) nothing was not found in this key vault. If you recently deleted this secret you may be "
        "able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
    )
    equal(error.error.code, "SecretNotFound")


def disabled():
    client.set_secret("off", "x", enabled=False)
    refused(lambda: client.get_secret("off"), 403, "Operation get is not allowed on a disabled secret.")


def firewall():
    error = refused(
        lambda: SecretClient(locked, credential).get_secret("py"),
        403,
        "Client address is not authorized and caller is not a trusted service.\r\n"
        f"Client address: 127.0.0.1\r\nCaller: appid={client_id};oid=",
        "\r\nVault: locked;location=eastus",
    )
    equal(error.error.code, "Forbidden")
    equal(error.error.innererror["code"], "ForbiddenByFirewall")


CASES = {
    "set": set_,
    "get": get,
    "get a version": get_version,
    "list": list_,
    "versions": versions,
    "update": update,
    "delete": delete,
    "the name of a deleted secret is taken": taken,
    "recover": recover,
    "backup": backup,
    "purge": purge,
    "restore": restore,
    "a broken backup": broken_backup,
    "404": not_found,
    "403 of a disabled secret": disabled,
    "403 of the firewall": firewall,
}

run(CASES)
