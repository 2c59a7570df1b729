package entra

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/access"
)

// TestForeignKeysAtOnce: many first tokens ask for the keys once, and none is
// lost while issuers and keys change.
func TestForeignKeysAtOnce(t *testing.T) {
	f := newForeignWorld(t)
	var tokens []string
	for i := range 16 {
		tokens = append(tokens, "Bearer "+token(t, jose.ES256, f.ec, "e", f.claims("sub", fmt.Sprint("s", i))))
	}
	var all sync.WaitGroup
	for _, header := range tokens {
		all.Go(func() {
			if got := f.verify.Verify(header).Token; got != access.TokenValid {
				t.Errorf("Verify = %v, want valid", got)
			}
		})
	}
	all.Wait()
	if n := f.count(); n != 1 {
		t.Errorf("the keys were asked for %d times, want 1", n)
	}
	f.set(func() { f.keys = append(f.keys, jose.JSONWebKey{Key: f.ec.Public(), KeyID: "e2"}) })
	f.clock.add(time.Hour) // the keys are to be asked for again
	for i, header := range tokens {
		all.Go(func() {
			if i%4 == 0 {
				if err := f.TrustIssuers([]ForeignIssuer{f.issuer}); err != nil {
					t.Errorf("TrustIssuers = %v", err)
				}
			}
			if got := f.verify.Verify(header).Token; got != access.TokenValid {
				t.Errorf("Verify = %v, want valid", got)
			}
		})
	}
	all.Wait()
}
