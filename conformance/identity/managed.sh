# Reads a secret with the unmodified az, by the token of a cluster when there
# is one or else with a managed identity, and prints "ok NAME" or "FAIL NAME:
# WHY" per case.
# usage: managed.sh VAULT CLIENT_ID_OF_ANOTHER
export AZURE_CORE_ONLY_SHOW_ERRORS=true AZURE_CORE_COLLECT_TELEMETRY=false
AZURE_CONFIG_DIR=$(mktemp -d)
export AZURE_CONFIG_DIR
trap 'rm -rf "$AZURE_CONFIG_DIR"' EXIT
login() {
	if [ -n "${AZURE_FEDERATED_TOKEN_FILE-}" ]; then
		az login --service-principal -u "$1" --tenant "$AZURE_TENANT_ID" --federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")" --allow-no-subscriptions -o none 2>&1
	else
		az login --identity ${2:+--client-id "$2"} --allow-no-subscriptions -o none 2>&1
	fi
}
if out=$(login "${AZURE_CLIENT_ID-}" && az keyvault secret show --vault-name "$1" --name a --query value -o tsv 2>&1) && [ "$out" = planted-v ]; then
	echo "ok az login"
else
	echo "FAIL az login: $out" | tr '\n' ' '
	echo
fi
if out=$(login "$2" "$2"); then
	echo "FAIL somebody else's client id: az has logged in"
else
	echo "ok somebody else's client id"
fi
