package live

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/iac"
)

func TestNetworks(t *testing.T) {
	c := newCloud(t)
	const at = "/subscriptions/s/providers/Microsoft.Network/"
	const in = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/"
	one := func(path, typ, id string) {
		c.says("GET "+path, `{"value":[{"id":"`+in+id+`","name":"`+id[strings.LastIndexByte(id, '/')+1:]+`","type":"Microsoft.Network/`+typ+`","properties":{}}]}`)
	}
	one(at+"virtualNetworks", "virtualNetworks", "virtualNetworks/n")
	one(at+"privateEndpoints", "privateEndpoints", "privateEndpoints/e")
	c.says("GET "+at+"networkInterfaces", `{"value":[]}`)
	c.says("GET "+at+"privateDnsZones", `{"value":[{"id":"`+in+`privateDnsZones/privatelink.vaultcore.azure.net","name":"privatelink.vaultcore.azure.net","type":"Microsoft.Network/privateDnsZones"},
		{"id":"`+in+`privateDnsZones/privatelink.blob.core.windows.net","name":"privatelink.blob.core.windows.net","type":"Microsoft.Network/privateDnsZones"}]}`)
	one(in+"privateDnsZones/privatelink.vaultcore.azure.net/virtualNetworkLinks", "privateDnsZones/virtualNetworkLinks", "privateDnsZones/privatelink.vaultcore.azure.net/virtualNetworkLinks/l")
	one(in+"privateDnsZones/privatelink.vaultcore.azure.net/ALL", "privateDnsZones/A", "privateDnsZones/privatelink.vaultcore.azure.net/A/v")
	c.routes["GET "+at+"networkSecurityPerimeters"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	networks, err := open(t, c.config()).Networks(context.Background(), []*iac.Resource{{Type: iac.TypeSubscription, ID: "/subscriptions/s"}, {Type: iac.TypeVault, ID: "/v"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range networks.Resources {
		got = append(got, strings.TrimPrefix(r.ID, in))
	}
	want := []string{"virtualNetworks/n", "privateEndpoints/e", "privateDnsZones/privatelink.vaultcore.azure.net", "privateDnsZones/privatelink.blob.core.windows.net",
		"privateDnsZones/privatelink.vaultcore.azure.net/virtualNetworkLinks/l", "privateDnsZones/privatelink.vaultcore.azure.net/A/v"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Networks (-want +got):\n%s", diff)
	}
	if u := networks.UnreadPerimeters; len(networks.Unread) != 0 || len(u) != 1 || !strings.HasPrefix(u[0], "networkSecurityPerimeters was not read: ") {
		t.Errorf("Networks: unread = %q and %q, want the perimeters", networks.Unread, u)
	}
	c.routes["GET "+at+"privateEndpoints"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	if _, err := open(t, c.config()).Networks(context.Background(), []*iac.Resource{{Type: iac.TypeSubscription, ID: "/subscriptions/s"}}); err == nil {
		t.Error("Networks of a server in trouble = nil, want an error")
	}
}
