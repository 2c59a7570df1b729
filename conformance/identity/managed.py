"""Reads a secret with the unmodified azure-identity and no secret of its own,
and prints "ok NAME" or "FAIL NAME: WHY" per case.

usage: managed.py VAULT_URL CLIENT_ID_OF_ANOTHER
"""

import sys

from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

URL, STRANGER = sys.argv[1:]


def read(credential):
    assert SecretClient(URL, credential).get_secret("a").value == "planted-v"


def stranger():
    try:
        read(ManagedIdentityCredential(client_id=STRANGER))
    except Exception:  # any refusal of the library's will do
        return
    raise AssertionError("a token for somebody else's client id")


for name, run in {
    "DefaultAzureCredential": lambda: read(DefaultAzureCredential()),
    "ManagedIdentityCredential": lambda: read(ManagedIdentityCredential()),
    "somebody else's client id": stranger,
}.items():
    try:
        run()
        print("ok", name)
    except Exception as error:  # reported, not handled
        print(f"FAIL {name}: {' '.join(str(error).split())}")
