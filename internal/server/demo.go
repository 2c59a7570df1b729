package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"postern/access"
	"postern/internal/names"
)

// The demo is the drawing in the guide to private endpoints, by the guide's
// names, before its vault is closed.
const (
	DemoGroup  = "rg"
	DemoVault  = "myvault"
	DemoSecret = "test-secret"
)

// Demo makes the demo through the server's own front door, as the
// administrator. What exists already stays as it is. It needs a running
// server: call it while Serve runs.
func (s *Server) Demo(ctx context.Context) error {
	c := s.insideClient()
	group := "/subscriptions/" + s.admin.SubscriptionID + "/resourceGroups/" + DemoGroup
	vault := group + "/providers/Microsoft.KeyVault/vaults/" + DemoVault
	arm := s.names.Private.ManagementURL()
	const version = "?api-version=2026-02-01"
	if err := c.put(ctx, arm+group+"?api-version=2025-04-01", map[string]any{"location": "eastus"}); err != nil {
		return err
	}
	if found, err := c.exists(ctx, arm+vault+version); found || err != nil {
		return err
	}
	err := c.put(ctx, arm+vault+version, map[string]any{"location": "eastus", "properties": map[string]any{
		"tenantId": s.admin.TenantID, "sku": map[string]any{"family": "A", "name": "standard"},
		"enableRbacAuthorization": true,
		"networkAcls":             map[string]any{"bypass": "AzureServices", "defaultAction": "Allow"}}})
	if err != nil {
		return err
	}
	if err := c.demoNetwork(ctx, arm+group, vault); err != nil {
		return err
	}
	value := make([]byte, 24)
	if _, err := io.ReadFull(s.options.Random, value); err != nil {
		return err
	}
	return c.put(ctx, s.names.Private.VaultURL(DemoVault)+"/secrets/"+DemoSecret+"?api-version=2026-04-01",
		map[string]any{"value": base64.RawURLEncoding.EncodeToString(value), "contentType": "text/plain"})
}

// demoNetwork makes the guide's network, the private endpoint 10.0.3.4 and
// the zone that leads to it.
func (c *insideClient) demoNetwork(ctx context.Context, group, vault string) error {
	const version = "?api-version=2024-05-01"
	subnet := func(name, prefix string) map[string]any {
		return map[string]any{"name": name, "properties": map[string]any{"addressPrefix": prefix}}
	}
	id := func(of string) map[string]any { return map[string]any{"id": of} }
	path := group[len(c.server.names.Private.ManagementURL()):] + "/providers/Microsoft.Network/"
	network, endpoint, zone := path+"virtualNetworks/myvnet", path+"privateEndpoints/kv-private-endpoint", path+"privateDnsZones/privatelink.vaultcore.azure.net"
	steps := []struct {
		path, version string
		body          map[string]any
	}{
		{network, version, map[string]any{"location": "eastus", "properties": map[string]any{
			"addressSpace": map[string]any{"addressPrefixes": []string{"10.0.0.0/16"}},
			"subnets":      []any{subnet("app-subnet", "10.0.1.0/24"), subnet("aks-subnet", "10.0.2.0/24"), subnet("pe-subnet", "10.0.3.0/24")}}}},
		{endpoint, version, map[string]any{"location": "eastus", "properties": map[string]any{
			"subnet": id(network + "/subnets/pe-subnet"),
			"privateLinkServiceConnections": []any{map[string]any{"name": "kv-pe-connection",
				"properties": map[string]any{"privateLinkServiceId": vault, "groupIds": []string{"vault"}}}}}}},
		{zone, "?api-version=2020-06-01", map[string]any{"location": "global"}},
		{endpoint + "/privateDnsZoneGroups/kv-dns-zone-group", version, map[string]any{"properties": map[string]any{
			"privateDnsZoneConfigs": []any{map[string]any{"name": "keyvault", "properties": map[string]any{"privateDnsZoneId": zone}}}}}},
		{zone + "/virtualNetworkLinks/kv-dns-link", "?api-version=2020-06-01", map[string]any{"location": "global", "properties": map[string]any{
			"registrationEnabled": false, "virtualNetwork": id(network)}}},
	}
	for _, step := range steps {
		if err := c.put(ctx, c.server.names.Private.ManagementURL()+step.path+step.version, step.body); err != nil {
			return err
		}
	}
	return nil
}

// insideClient is a client of the server itself, with the administrator's
// rights.
type insideClient struct {
	server *Server
	http   *http.Client
}

func (s *Server) insideClient() *insideClient {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.listeners[0].Addr().String())
	}
	return &insideClient{s, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial,
		TLSClientConfig: &tls.Config{RootCAs: s.authority.Pool(), MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}}
}

func (c *insideClient) put(ctx context.Context, url string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	status, answer, err := c.do(ctx, http.MethodPut, url, text)
	if err == nil && status >= 300 {
		err = fmt.Errorf("PUT %s: %d %s", url, status, answer)
	}
	return err
}

func (c *insideClient) exists(ctx context.Context, url string) (bool, error) {
	status, answer, err := c.do(ctx, http.MethodGet, url, nil)
	if err == nil && status != http.StatusOK && status != http.StatusNotFound {
		err = fmt.Errorf("GET %s: %d %s", url, status, answer)
	}
	return status == http.StatusOK, err
}

func (c *insideClient) do(ctx context.Context, method, url string, body []byte) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	audience := c.server.names.Private.ManagementURL()
	if c.server.names.Resolve(r.URL.Host).Plane == names.Vault {
		audience = c.server.names.Private.VaultResource()
	}
	principal, ok := c.server.directory.PrincipalByObject(access.MustGUID(c.server.admin.ObjectID))
	if !ok {
		return 0, nil, fmt.Errorf("the administrator %s is not in the directory", c.server.admin.ObjectID)
	}
	token, _, err := c.server.directory.Token(principal, audience)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return answer.StatusCode, text, err
}
