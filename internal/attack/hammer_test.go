package attack

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"postern/posterntest"
)

// tally is what came of all the requests of a hammering.
type tally struct {
	mu sync.Mutex
	// counts are the successes by what was asked for.
	counts map[string]int
	// sent is the values by a marker of the set, made the versions that sets
	// were answered with and the values they hold.
	sent map[string]bool
	made map[string]string
	seen []bundle
}

type bundle struct {
	Value string `json:"value"`
	ID    string `json:"id"`
}

// TestHammer has sixteen clients set, get, delete, recover and purge the
// same secrets without any order, and compares what they were told with
// what one order of these operations could have told them.
func TestHammer(t *testing.T) {
	t.Parallel()
	const workers, rounds = 16, 70
	p := posterntest.Start(t, posterntest.WithThrottle(0))
	p.CreateVault("kv1")
	names := []string{"one", "two"}
	all := map[string]*tally{}
	for _, n := range names {
		all[n] = &tally{counts: map[string]int{}, sent: map[string]bool{}, made: map[string]string{}}
	}
	admin := p.Token(vaultResource)
	each(t, workers, workers, func(worker int) error {
		r := rand.New(rand.NewPCG(uint64(worker), 1))
		for i := range rounds {
			name := names[r.IntN(len(names))]
			if err := strike(p, all[name], admin, name, fmt.Sprintf("value-%d-%d", worker, i), r.IntN(10)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, name := range names {
		settle(t, p, all[name], name)
	}
	recordedChanges(t, p, all)
}

// strike sends one request and counts it when it succeeded.
func strike(p *posterntest.Postern, c *tally, bearer, name, value string, what int) error {
	live, deleted := p.VaultURL("kv1")+"/secrets/"+name, p.VaultURL("kv1")+"/deletedsecrets/"+name
	var q request
	op := ""
	switch {
	case what < 3:
		op, q = "set", request{method: "PUT", url: live + api, body: `{"value":"` + value + `"}`}
		c.mu.Lock()
		c.sent[value] = true
		c.mu.Unlock()
	case what < 6:
		op, q = "get", request{method: "GET", url: live + api}
	case what < 8:
		op, q = "delete", request{method: "DELETE", url: live + api}
	case what < 9:
		op, q = "recover", request{method: "POST", url: deleted + "/recover" + api}
	default:
		op, q = "purge", request{method: "DELETE", url: deleted + api}
	}
	q.token = bearer
	a, err := trySend(p.Client(), q)
	if err != nil {
		return err
	}
	switch a.status {
	case 200, 204:
	case 404, 409:
		return nil
	default:
		return fmt.Errorf("%s %s = %d %s", op, name, a.status, a.body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[op]++
	if op == "set" || op == "get" {
		var b bundle
		if err := json.Unmarshal([]byte(a.body), &b); err != nil {
			return err
		}
		if op == "set" {
			if _, twice := c.made[b.ID]; twice || b.Value != value {
				return fmt.Errorf("set %s to %s = %s: another's version or value", name, value, a.body)
			}
			c.made[b.ID] = b.Value
		} else {
			c.seen = append(c.seen, b)
		}
	}
	return nil
}

// settle compares what was told of one secret with itself and with what is
// left.
func settle(t *testing.T, p *posterntest.Postern, c *tally, name string) {
	t.Helper()
	for _, b := range c.seen {
		if !c.sent[b.Value] || c.made[b.ID] != b.Value {
			t.Errorf("%s: somebody read %+v, which nobody was told to have set (%q)", name, b, c.made[b.ID])
		}
	}
	live, _ := p.Do("GET", p.VaultURL("kv1")+"/secrets/"+name+api, nil)
	gone, _ := p.Do("GET", p.VaultURL("kv1")+"/deletedsecrets/"+name+api, nil)
	if live == 200 && gone == 200 {
		t.Errorf("%s is live and deleted at once", name)
	}
	left := 0
	if gone == 200 {
		left = 1
	}
	if d, r, u := c.counts["delete"], c.counts["recover"], c.counts["purge"]; d != r+u+left {
		t.Errorf("%s: %d deletions, %d recoveries, %d purges, %d deleted now: the sums differ", name, d, r, u, left)
	}
	for _, op := range []string{"set", "get", "delete", "recover", "purge"} {
		if c.counts[op] == 0 {
			t.Errorf("%s: no %s succeeded: this tries nothing", name, op)
		}
	}
	if live != 200 {
		return
	}
	// Every version that is left was made by a set, and each is what it was.
	versions := must(t, p, "GET", p.VaultURL("kv1")+"/secrets/"+name+"/versions"+api, nil)
	var page struct{ Value []bundle }
	if err := json.Unmarshal([]byte(versions), &page); err != nil || len(page.Value) == 0 {
		t.Fatalf("versions of %s = %s %v", name, versions, err)
	}
	for _, v := range page.Value {
		var b bundle
		if err := json.Unmarshal([]byte(must(t, p, "GET", v.ID+api, nil)), &b); err != nil || c.made[v.ID] == "" || b.Value != c.made[v.ID] {
			t.Errorf("%s: version %s holds %q, set was %q (%v)", name, v.ID, b.Value, c.made[v.ID], err)
		}
	}
}

// recordedChanges compares the journal with the successes that were
// answered: each change has its record, and there are no others.
func recordedChanges(t *testing.T, p *posterntest.Postern, all map[string]*tally) {
	t.Helper()
	p.Stop()
	want, got := map[string]int{}, map[string]int{}
	for name, c := range all {
		for op, operation := range map[string]string{"set": "SecretSet", "delete": "SecretDelete", "recover": "SecretRecover", "purge": "SecretPurge"} {
			want[operation+" "+name] = c.counts[op]
		}
	}
	for _, list := range records(t, p.Data) {
		for _, r := range list {
			if r.Status/100 != 2 || r.OperationName == "SecretGet" {
				continue
			}
			for name := range all {
				if strings.Contains(r.ID, "secrets/"+name) {
					got[r.OperationName+" "+name]++
				}
			}
		}
	}
	for key, n := range want {
		if got[key] != n {
			t.Errorf("%s: %d answered with success, %d recorded", key, n, got[key])
		}
	}
}
