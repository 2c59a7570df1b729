package attack

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/journal"
	"postern/posterntest"
)

// killedEnv makes the test binary the server that is killed: it names the
// data folder and the round.
const killedEnv = "POSTERN_KILLED_SERVER"

// TestKilled kills a whole server at work with SIGKILL: while it makes,
// imports, renews, cancels, deletes and restores certificates, and makes and
// rotates keys. What it had answered is there afterwards, nothing is torn,
// nothing is done twice, and every act has its one record.
func TestKilled(t *testing.T) {
	if dir, round, ok := strings.Cut(os.Getenv(killedEnv), "|"); ok {
		work(t, dir, round)
		return
	}
	t.Parallel()
	data := t.TempDir()
	p := posterntest.Start(t, posterntest.WithData(data), posterntest.WithThrottle(0))
	p.CreateVault("kv1")
	p.Stop()
	random := mathrand.New(mathrand.NewPCG(7, 7))
	for round := range 4 {
		done := killed(t, data, fmt.Sprint(round), 10+random.IntN(90))
		p := posterntest.Start(t, posterntest.WithData(data), posterntest.WithThrottle(0))
		h := &hand{t, p, "kv1", p.Token(vaultResource)}
		p.Upkeep()
		p.Upkeep() // a second pass finds nothing to do
		for _, line := range done {
			what, name, _ := strings.Cut(line, " ")
			h.kept(what, name)
		}
		for _, list := range []string{"/certificates?includePending=true", "/deletedcertificates?includePending=true"} {
			for _, name := range h.names(list) {
				h.whole(name)
			}
		}
		p.Stop()
		if report, err := journal.Verify(filepath.Join(data, "journal")); err != nil {
			t.Fatalf("round %d: the journal: %v %+v", round, err, report)
		}
		once(t, data)
	}
}

// killed runs a server until it has said so many lines, and kills it. It
// returns what it had said.
func killed(t *testing.T, data, round string, lines int) (said []string) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	c.Env = append(os.Environ(), killedEnv+"="+data+"|"+round)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for r := bufio.NewScanner(out); r.Scan(); {
		line, ok := strings.CutPrefix(r.Text(), "done ")
		if !ok {
			continue
		}
		if said = append(said, line); len(said) == lines {
			_ = c.Process.Kill() // what is on its way out is read to the end
		}
	}
	_ = c.Wait()
	if len(said) < lines {
		t.Fatalf("round %s: the server ended by itself after %q", round, said)
	}
	return said
}

// work is the server that is killed, and its clients. Each says what it was
// answered.
func work(t *testing.T, data, round string) {
	p := posterntest.Start(t, posterntest.WithData(data), posterntest.WithThrottle(0), posterntest.WithLog(&safeBuffer{}))
	bearer := p.Token(vaultResource)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old := pemOf(t, certified(t, key, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, 0, 10)
	}), key)
	due := encodeJSON(t, map[string]any{"value": old, "policy": map[string]any{"issuer": map[string]any{"name": "Self"},
		"lifetime_actions": []any{map[string]any{"trigger": map[string]any{"days_before_expiry": 20}, "action": map[string]any{"action_type": "AutoRenew"}}}}})
	say := func(what, name string) { os.Stdout.WriteString("done " + what + " " + name + "\n") } // one write: whole or not at all
	each(t, 6, 6, func(worker int) error {
		h := &hand{t, p, "kv1", bearer}
		for i := 0; ; i++ {
			name := fmt.Sprintf("%s-%d-%d", round, worker, i)
			switch worker {
			case 0:
				h.want(202, "POST", "/certificates/c"+name+"/create", ellipticPolicy("Self", true, true))
				say("certificate", "c"+name)
			case 1:
				h.want(200, "POST", "/certificates/r"+name+"/import", due)
				say("renewed", "r"+name)
				p.Upkeep()
			case 2:
				h.want(200, "POST", "/keys/k"+name+"/create", fmt.Sprintf(`{"kty":"EC","attributes":{"exp":%d}}`, time.Now().AddDate(0, 0, 10).Unix()))
				h.want(200, "PUT", "/keys/k"+name+"/rotationpolicy", `{"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Rotate"}}]}`)
				say("rotated", "k"+name)
			case 3:
				h.want(202, "POST", "/certificates/p"+name+"/create", ellipticPolicy("Unknown", true, true))
				h.want(200, "PATCH", "/certificates/p"+name+"/pending", `{"cancellation_requested":true}`)
				h.want(200, "GET", "/certificates/p"+name+"/pending", "")
				say("cancelled", "p"+name)
			case 4:
				h.want(202, "POST", "/certificates/b"+name+"/create", ellipticPolicy("Self", true, true))
				blob := h.want(200, "POST", "/certificates/b"+name+"/backup", "").body
				h.want(200, "DELETE", "/certificates/b"+name, "")
				h.want(204, "DELETE", "/deletedcertificates/b"+name, "")
				say("gone", "b"+name)
				h.want(200, "POST", "/certificates/restore", blob)
				say("certificate", "b"+name)
			case 5:
				h.want(202, "POST", "/certificates/d"+name+"/create", ellipticPolicy("Self", true, true))
				h.want(200, "DELETE", "/certificates/d"+name, "")
				say("deleted", "d"+name)
			}
		}
	})
}

// names are those of all objects of a list.
func (h *hand) names(list string) (names []string) {
	h.t.Helper()
	for target := h.p.VaultURL(h.vault) + withVersion(list); target != ""; {
		var page struct {
			Value    []struct{ ID string }
			NextLink string
		}
		a := send(h.t, h.p.Client(), request{method: "GET", url: target, token: h.bearer})
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != 200 {
			h.t.Fatalf("%s = %d %s", list, a.status, a.body)
		}
		for _, v := range page.Value {
			names = append(names, v.ID[strings.LastIndexByte(v.ID, '/')+1:])
		}
		target = page.NextLink
	}
	return names
}

// kept checks what was answered once.
func (h *hand) kept(what, name string) {
	h.t.Helper()
	versions := func(kind string) int {
		ids, _ := h.versionsOf(kind, name)
		return len(strings.Fields(ids))
	}
	got := 0
	switch what {
	case "certificate":
		got = versions("certificates")
	case "renewed":
		got = versions("certificates") - 1
	case "rotated":
		got = versions("keys") - 1
	case "cancelled":
		var pending struct{ Status string }
		h.into("/certificates/"+name+"/pending", &pending)
		got = map[string]int{"cancelled": 1}[pending.Status]
	case "deleted":
		got = map[int]int{200: 1}[h.do("GET", "/deletedcertificates/"+name, "").status]
	case "gone": // or restored since
		got = 1
	}
	if got != 1 {
		h.t.Errorf("%s was answered of %s; it is there %d times, want once", what, name, got)
	}
	if what != "rotated" {
		h.whole(name)
	}
}

// once checks that nothing was renewed or rotated twice, by the records.
func once(t *testing.T, data string) {
	t.Helper()
	seen := map[string]int{}
	if err := journal.Read(filepath.Join(data, "journal"), func(r *journal.Record) error {
		if r.OperationName == "KeyRotateIfDue" && r.Status == 200 {
			seen[r.ID[strings.LastIndexByte(r.ID, '/')+1:]]++ // a name is used once, ports are not
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(seen) == 0 {
		t.Error("nothing was rotated: this tries nothing")
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was rotated %d times, want once: %s", id, n, encodeJSON(t, seen))
		}
	}
}
