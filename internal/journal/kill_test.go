package journal_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/journal"
	"postern/internal/store"
	"postern/internal/store/bolt"
)

// childEnv makes the test binary the process that is killed: it names the
// data folder, and the round.
const childEnv = "POSTERN_KILL_CHILD"

// roundsEnv sets the number of rounds of TestKill.
const roundsEnv = "POSTERN_KILL_ROUNDS"

func TestMain(m *testing.M) {
	if dir, round, ok := strings.Cut(os.Getenv(childEnv), "|"); ok {
		fmt.Fprintln(os.Stderr, child(dir, round))
		os.Exit(3) // a child never ends by itself
	}
	os.Exit(m.Run())
}

// node is the store and the journal of one data folder.
type node struct {
	store   *bolt.Store
	journal *journal.Journal
}

func openNode(dir string) (*node, error) {
	st, err := bolt.Open(filepath.Join(dir, "store.db"))
	if err != nil {
		return nil, err
	}
	// Segments are small and intervals short, so that the kill meets
	// rotations, flushes and deletions too.
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{Store: st, Interval: time.Millisecond, MaxSegment: 16 << 10})
	if err != nil {
		return nil, err
	}
	return &node{st, j}, j.Recover(context.Background(), st)
}

func (n *node) close() error { return errors.Join(n.journal.Close(), n.store.Close()) }

// child writes until it is killed: some writers make changes, some record
// reads. Each prints what was acknowledged, after it was.
func child(dir, round string) error {
	n, err := openNode(dir)
	if err != nil {
		return err
	}
	fmt.Println("open")
	failed := make(chan error)
	for w := range 4 {
		write := n.change
		if w == 0 {
			write = n.read
		}
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("o/%s/%d/%06d", round, w, i)
				if err := write(key); err != nil {
					failed <- err
				}
				os.Stdout.WriteString(key + "\n") // one write: whole or not at all
			}
		}()
	}
	return <-failed
}

func record(key string) *journal.Record {
	r := &journal.Record{Time: time.Now(), OperationName: "SecretSet", ID: key}
	r.Answered(200)
	return r
}

func (n *node) change(key string) error {
	r := record(key)
	var tx store.Tx
	tx.Put(key, []byte(key))
	outbox, value := n.journal.Outbox(r)
	tx.Put(outbox, value)
	if err := n.store.Commit(context.Background(), &tx); err != nil {
		return err
	}
	return n.journal.Deliver(r, outbox)
}

func (n *node) read(key string) error {
	r := record(key)
	r.OperationName = "SecretGet"
	return n.journal.Append(r)
}

// TestKill kills a writing process with SIGKILL at random moments, and
// ensures after each time that every acknowledged change is there, that
// every change has exactly one record and every record its change, that
// every acknowledged read has its record, and that the chain holds.
func TestKill(t *testing.T) {
	rounds := 50
	if text := os.Getenv(roundsEnv); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s = %q, want a number", roundsEnv, text)
		}
		rounds = n
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	var dir string
	var acked map[string]bool
	total := 0
	for round := range rounds {
		if round%25 == 0 { // what there is is read each round: it must not grow for ever
			dir, acked = t.TempDir(), map[string]bool{}
		}
		before := len(acked)
		killAfter(t, dir, round, random.IntN(80), acked)
		total += len(acked) - before
		checkNode(t, dir, acked)
		if t.Failed() {
			t.Fatalf("in round %d, seed %d", round, seed)
		}
	}
	if total < 10*rounds {
		t.Errorf("acknowledged writes in %d rounds = %d, want at least 10 each", rounds, total)
	}
	t.Logf("%d rounds, %d acknowledged writes", rounds, total)
}

// killAfter runs the child until it has acknowledged n writes, kills it, and
// adds all that it acknowledged.
func killAfter(t *testing.T, dir string, round, n int, acked map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%04d", childEnv, dir, round))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		cmd.Process.Kill() // while it starts
	}
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); {
		if lines.Text() == "open" {
			continue
		}
		acked[lines.Text()] = true
		if seen++; seen == n {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if stderr.Len() > 0 {
		t.Fatalf("the child says: %s", stderr.String())
	}
}

// checkNode opens what the killed process left, and holds it to the promise.
func checkNode(t *testing.T, dir string, acked map[string]bool) {
	t.Helper()
	n, err := openNode(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	items, err := n.store.Range(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]bool{}
	for _, item := range items {
		if strings.HasPrefix(item.Key, journal.OutboxPrefix) || string(item.Value) != item.Key {
			t.Errorf("the store holds %q = %q after Recover", item.Key, item.Value)
		}
		changes[item.Key] = true
	}
	records := map[string]int{}
	reads := map[string]bool{}
	err = journal.Read(filepath.Join(dir, "journal"), func(r *journal.Record) error {
		if r.ID != "" { // not a repair
			records[r.ID]++
			reads[r.ID] = r.OperationName == "SecretGet"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range acked {
		if !changes[key] && !reads[key] {
			t.Errorf("%s was acknowledged and is gone", key)
		}
	}
	for key := range changes {
		if records[key] != 1 {
			t.Errorf("records of the change %s = %d, want 1", key, records[key])
		}
	}
	for key, count := range records {
		if count != 1 || !changes[key] && !reads[key] {
			t.Errorf("%s has %d records, and its change is there: %t", key, count, changes[key])
		}
	}
	if report, err := journal.Verify(filepath.Join(dir, "journal")); err != nil || !report.OK() {
		t.Errorf("Verify = %v, %v, want whole", report, err)
	}
}

// TestChangesArrive ensures that concurrent changes all arrive when
// the journal is closed in order.
func TestChangesArrive(t *testing.T) {
	dir := t.TempDir()
	n, err := openNode(dir)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	acked := map[string]bool{}
	for w := range 8 {
		for i := range 20 {
			acked[fmt.Sprintf("o/%d/%d", w, i)] = true
		}
		wg.Go(func() {
			for i := range 20 {
				if err := n.change(fmt.Sprintf("o/%d/%d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	checkNode(t, dir, acked)
}
