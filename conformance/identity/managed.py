"""Reads a secret with the unmodified azure-identity, and prints "ok NAME" or
"FAIL NAME: WHY" per case.

usage: managed.py VAULT_URL [CLIENT_ID_OF_ANOTHER]
With the second argument it has a managed identity and no secret.
"""

import sys

from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

URL, *STRANGER = sys.argv[1:]


def read(credential):
    assert SecretClient(URL, credential).get_secret("a").value == "planted-v"


def stranger():
    try:
        read(ManagedIdentityCredential(client_id=STRANGER[0]))
    except Exception:  # any refusal of the library's will do
        return
    raise AssertionError("a token for somebody else's client id")


CASES = {"DefaultAzureCredential": lambda: read(DefaultAzureCredential())}
if STRANGER:
    CASES["ManagedIdentityCredential"] = lambda: read(ManagedIdentityCredential())
    CASES["somebody else's client id"] = stranger
for name, run in CASES.items():
    try:
        run()
        print("ok", name)
    except Exception as error:  # reported, not handled
        print(f"FAIL {name}: {' '.join(str(error).split())}")
