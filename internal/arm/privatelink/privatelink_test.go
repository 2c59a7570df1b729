package privatelink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/store/memory"
)

const group = "/subscriptions/s/resourceGroups/g/providers/"

// world is an estate with vaults and endpoints, and what the test knows of
// the connections: the state by the name of the endpoint.
type world struct {
	registry *estate.Registry
	states   map[string]string
}

func vaultID(n int) string    { return fmt.Sprint(group, "Microsoft.KeyVault/vaults/v", n) }
func endpointID(n int) string { return fmt.Sprint(group, "Microsoft.Network/privateEndpoints/e", n) }

func newWorld(t rapid.TB) *world {
	r, err := estate.Open(context.Background(), memory.New(), estate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &world{r, map[string]string{}}
}

func (w *world) change(t rapid.TB, fn func(d *estate.Draft) error) {
	err := w.registry.Change(context.Background(), func(_ *estate.Snapshot, d *estate.Draft) error { return fn(d) })
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) vault(t rapid.TB, n int) *estate.Resource {
	if res, ok := w.registry.Snapshot().Resource(vaultID(n)); ok {
		return res
	}
	res := &estate.Resource{ID: vaultID(n), Type: estate.TypeVault, Name: fmt.Sprint("v", n), Location: "eastus",
		Body: []byte(`{"properties":{"tenantId":"11111111-1111-1111-1111-111111111111"}}`)}
	w.change(t, func(d *estate.Draft) error { d.Put(res); return nil })
	return res
}

// connect makes an endpoint with its connection.
func (w *world) connect(t rapid.TB, e, v int, c Change) {
	vault := w.vault(t, v)
	w.change(t, func(d *estate.Draft) error {
		name, err := Connect(d, vault, endpointID(e), "c", uint32(e+1), c)
		if err != nil {
			return err
		}
		body := fmt.Sprintf(`{"properties":{"manualPrivateLinkServiceConnections":[],"privateLinkServiceConnections":[{"name":%q,"properties":{"privateLinkServiceId":%q,`+
			`"privateLinkServiceConnectionState":{"status":%q}}}]}}`, name, vault.ID, c.Status)
		d.Put(&estate.Resource{ID: endpointID(e), Type: estate.TypePrivateEndpoint, Name: fmt.Sprint("e", e), Body: []byte(body)})
		return nil
	})
	w.states[fmt.Sprint("e", e)] = c.Status
}

// check compares both sides, and what decisions are made of, with what the
// test knows.
func (w *world) check(t *rapid.T) {
	s := w.registry.Snapshot()
	words := map[string]access.EndpointState{Pending: access.EndpointPending, Approved: access.EndpointApproved,
		Rejected: access.EndpointRejected, Disconnected: access.EndpointDisconnected}
	if len(s.Network().Endpoints) != len(w.states) {
		t.Fatalf("%d endpoints, want %d", len(s.Network().Endpoints), len(w.states))
	}
	connected := 0
	for _, e := range s.Network().Endpoints {
		want := w.states[e.Name]
		if e.State != words[want] {
			t.Fatalf("%s is %v for the decision, want %s", e.Name, e.State, want)
		}
		res, _ := s.Resource(e.ID)
		if text := string(res.Body); !strings.Contains(text, `"status":"`+want+`"`) {
			t.Fatalf("%s says %s, want %s", e.Name, text, want)
		}
		if target, _ := Target(res); want != Disconnected {
			connected++
			vault, ok := s.Resource(target)
			if !ok {
				t.Fatalf("%s is %s, and its vault is gone", e.Name, want)
			}
			if c, ok := FindEndpoint(vault, e.ID); !ok || Status(c) != want {
				t.Fatalf("the vault has %v for %s, want %s", c, e.Name, want)
			}
		}
	}
	all := 0
	for _, v := range s.Vaults() {
		all += len(Of(v.Resource))
	}
	if all != connected {
		t.Fatalf("the vaults have %d connections, want %d: those of endpoints that are connected", all, connected)
	}
}

// TestBothSides: whatever happens to vaults, connections and endpoints, both
// sides say the same, and nothing leads out of Disconnected.
func TestBothSides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		at := time.Unix(1, 0)
		pick := func() (int, string) { n := rapid.IntRange(0, 3).Draw(t, "endpoint"); return n, fmt.Sprint("e", n) }
		// connection is that of an endpoint on the vault's side.
		connection := func(e int) (*estate.Resource, string, bool) {
			res, ok := w.registry.Snapshot().Resource(endpointID(e))
			if !ok {
				return nil, "", false
			}
			target, _ := Target(res)
			vault, ok := w.registry.Snapshot().Resource(target)
			if !ok {
				return nil, "", false
			}
			c, ok := FindEndpoint(vault, res.ID)
			return vault, Name(c), ok
		}
		t.Repeat(map[string]func(*rapid.T){
			"connect": func(t *rapid.T) {
				if e, name := pick(); w.states[name] == "" {
					w.connect(t, e, rapid.IntRange(0, 1).Draw(t, "vault"), Change{Status: rapid.SampledFrom([]string{Pending, Approved}).Draw(t, "status"), At: at})
				}
			},
			"decide": func(t *rapid.T) {
				e, name := pick()
				if vault, c, ok := connection(e); ok {
					status := rapid.SampledFrom([]string{Approved, Rejected}).Draw(t, "status")
					w.change(t, func(d *estate.Draft) error {
						_, err := Decide(d, vault, strings.ToUpper(c), Change{Status: status, Tag: "t", At: at})
						return err
					})
					w.states[name] = status
				}
			},
			"remove": func(t *rapid.T) {
				e, name := pick()
				if vault, c, ok := connection(e); ok {
					w.change(t, func(d *estate.Draft) error { Remove(d, vault, c, "t", at); return nil })
					w.states[name] = Disconnected
				}
			},
			"drop": func(t *rapid.T) {
				if e, name := pick(); w.states[name] != "" {
					w.change(t, func(d *estate.Draft) error {
						res, _ := d.Resource(endpointID(e))
						Drop(d, res, at)
						d.Delete(res.ID)
						return nil
					})
					delete(w.states, name)
				}
			},
			"clear": func(t *rapid.T) {
				vault := w.vault(t, rapid.IntRange(0, 1).Draw(t, "vault"))
				for _, c := range Of(vault) {
					id := Endpoint(c)
					w.states[id[strings.LastIndexByte(id, '/')+1:]] = Disconnected
				}
				w.change(t, func(d *estate.Draft) error {
					next := *Clear(d, vault, "t", at)
					if rapid.Bool().Draw(t, "for good") {
						d.Delete(next.ID)
					}
					return nil
				})
			},
			"": w.check,
		})
	})
}

func TestDecideRefuses(t *testing.T) {
	w := newWorld(t)
	vault := w.vault(t, 0)
	err := w.registry.Change(context.Background(), func(_ *estate.Snapshot, d *estate.Draft) error {
		_, err := Decide(d, vault, "none", Change{Status: Approved})
		return err
	})
	var f *fault.Error
	if !errors.As(err, &f) || f.Status != http.StatusNotFound || f.Code != "PrivateEndpointConnectionNotFound" {
		t.Errorf("Decide of no connection = %v, want PrivateEndpointConnectionNotFound", err)
	}
}

func TestGUID(t *testing.T) {
	for in, want := range map[string]string{
		"0123456789abcdef0123456789abcdef": "01234567-89ab-4def-8123-456789abcdef", "ffffffffffffffffffffffffffffffff": "ffffffff-ffff-4fff-bfff-ffffffffffff",
		"": "00000000-0000-4000-8000-000000000000"} {
		if got := GUID(in); got != want {
			t.Errorf("GUID(%s) = %s, want %s", in, got, want)
		}
	}
}
