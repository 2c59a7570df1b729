package attack

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"postern/posterntest"
)

// rush has many clients send the same request at the same moment; it returns
// how many succeeded. Every other answer must be one of the refusals.
func (h *hand) rush(clients int, method, path, body string, refusals ...int) int {
	h.t.Helper()
	var won atomic.Int64
	var ready, group sync.WaitGroup
	ready.Add(clients)
	for range clients {
		group.Go(func() {
			ready.Done()
			ready.Wait()
			a, err := trySend(h.p.Client(), request{method: method, url: h.p.VaultURL(h.vault) + withVersion(path), token: h.bearer, body: body})
			if err != nil {
				h.t.Error(err)
				return
			}
			if a.status < 300 {
				won.Add(1)
				return
			}
			for _, r := range refusals {
				if a.status == r {
					return
				}
			}
			h.t.Errorf("%s %s in a rush = %d %.200s, want success or one of %v", method, path, a.status, a.body, refusals)
		})
	}
	group.Wait()
	return int(won.Load())
}

// TestRushes: what can be done once is done once, however many ask for it at
// the same moment, and what was answered is there.
func TestRushes(t *testing.T) {
	t.Parallel()
	const clients = 16
	p := posterntest.Start(t, posterntest.WithThrottle(0))
	p.CreateVault("kv1")
	p.CreateVault("kv2")
	h, other := &hand{t, p, "kv1", p.Token(vaultResource)}, &hand{t, p, "kv2", p.Token(vaultResource)}
	versions := func(h *hand, kind, name string) int {
		ids, _ := h.versionsOf(kind, name)
		return len(strings.Fields(ids))
	}
	issue := func(name string) string {
		return encodeJSON(t, map[string]any{"x5c": [][]byte{h.issue(name)}})
	}
	for round := range 5 {
		name := fmt.Sprint("c", round)
		if won := h.rush(clients, "POST", "/certificates/"+name+"/create", ellipticPolicy("Unknown", true, false), 409); won != 1 {
			t.Errorf("%d requests began the same operation, want 1", won)
		}
		if won := h.rush(clients, "POST", "/certificates/"+name+"/pending/merge", issue(name), 403, 404, 409); won != 1 || versions(h, "certificates", name) != 1 {
			t.Errorf("%d merges succeeded and %d versions are there, want 1", won, versions(h, "certificates", name))
		}
		h.whole(name)
		won := h.rush(clients, "POST", "/certificates/"+name+"/create", ellipticPolicy("Self", true, true), 409)
		if got := versions(h, "certificates", name); won < 1 || got != 1+won {
			t.Errorf("%d creations succeeded, and there are %d versions, want one more", won, got)
		}
		h.whole(name)
		blob := h.want(200, "POST", "/certificates/"+name+"/backup", "").body
		if won := other.rush(clients, "POST", "/certificates/restore", blob, 409); won != 1 {
			t.Errorf("%d of the same restorations succeeded, want 1", won)
		}
		other.whole(name)
		if won := h.rush(clients, "DELETE", "/certificates/"+name, "", 404, 409); won != 1 {
			t.Errorf("%d deletions of the same succeeded, want 1", won)
		}
		if won := h.rush(clients, "POST", "/deletedcertificates/"+name+"/recover", "", 404, 409); won != 1 {
			t.Errorf("%d recoveries of the same succeeded, want 1", won)
		}
		h.whole(name)
		key := fmt.Sprint("k", round)
		h.want(200, "POST", "/keys/"+key+"/create", `{"kty":"EC"}`)
		won = h.rush(clients, "POST", "/keys/"+key+"/rotate", "", 409)
		if got := versions(h, "keys", key); won < 1 || got != 1+won {
			t.Errorf("%d rotations succeeded, and there are %d versions, want one more", won, got)
		}
	}
}
