"""Reads secrets as the unmodified azure-keyvault-secrets does, over a new
connection each time. A line of the input is VAULT_URL SECRET; the answer is
"in", the inner code of the refusal, or what else happened, in one line.
"""

import os
import socket
import sys

from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

credential = ClientSecretCredential(
    os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"]
)


def read(url, name):
    try:
        with SecretClient(url, credential, retry_total=0, connection_timeout=10) as client:
            client.get_secret(name)
        return "in"
    except HttpResponseError as error:
        inner = getattr(error.error, "innererror", None) or {}
        return inner.get("code") or getattr(error.error, "code", None) or str(error.status_code)
    except ServiceRequestError:
        host = url.removeprefix("https://")
        try:
            socket.getaddrinfo(host, 443)
        except socket.gaierror:
            return "no such name"
        return "no connection"


for line in sys.stdin:
    print(read(*line.split()), flush=True)
