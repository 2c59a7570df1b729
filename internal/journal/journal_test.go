package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/internal/store"
	"postern/internal/store/memory"
)

// still is an interval that does not end within a test: what is flushed is
// flushed by Sync.
const still = time.Hour

func open(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	if o.Interval == 0 {
		o.Interval = still
	}
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func numbered(i int) *Record {
	r := &Record{Time: time.Date(2026, 10, 5, 1, 2, 3, 456_789_100, time.UTC), OperationName: "SecretGet", ID: fmt.Sprint("n", i)}
	r.Answered(200)
	return r
}

func appendNumbers(t testing.TB, j *Journal, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := j.Append(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// ids are the IDs of all records of a journal, in order.
func ids(t testing.TB, dir string) string {
	t.Helper()
	var out []string
	err := Read(dir, func(r *Record) error {
		out = append(out, r.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func verify(t testing.TB, dir string) Report {
	t.Helper()
	r, err := Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func full() *Record {
	r := &Record{Time: time.Date(2026, 10, 5, 1, 2, 3, 456_789_100, time.UTC),
		ResourceID:    "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/MYVAULT",
		OperationName: "SecretGet", OperationVersion: "7.4", Category: "AuditEvent",
		ResultDescription: "Caller is not authorized.\r\n\"quoted\" <b> & \u2028 ünï \x01",
		Duration:          78 * time.Millisecond, CallerIP: netip.MustParseAddr("2001:db8::1"), CorrelationID: "c0ffee",
		Identity:   Identity{Object: "o", App: "a", Issuer: "https://sts.windows.net/t/", UPN: "u@x", Type: "app", ResourceID: "/sub/x"},
		RequestURI: "https://myvault.vault.azure.net/secrets/a?api-version=7.4", ID: "https://myvault.vault.azure.net/secrets/a",
		ClientInfo: "azsdk", TLSVersion: "TLS1_3", AddrAuthType: "PublicIP", AddressAuthorized: Yes, SubnetID: "s",
		PrivateEndpointID: "p", TrustedService: "DataFactory", RBACAuthorized: No, AssignmentID: "as", PolicyMatch: Yes,
		Properties: []Property{{"addedIpRule.Value", "1.2.3.4"}, {"algorithm", "RSA"}}}
	r.Answered(403)
	return r
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	want := []*Record{full(), {Time: time.Unix(0, 0).UTC(), Category: "AuditEvent"}}
	for _, r := range want {
		if err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	var got []*Record
	if err := Read(dir, func(r *Record) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Record{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestForm holds one line to the form of the resource log.
func TestForm(t *testing.T) {
	r := full()
	r.ResourceID = strings.ToLower(r.ResourceID)
	got := string(appendBody(nil, r, "id")) + "}"
	want := `{"time":"2026-10-05T01:02:03.4567891Z",` +
		`"resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/MYVAULT",` +
		`"operationName":"SecretGet","operationVersion":"7.4","category":"AuditEvent","resultType":"Failed",` +
		`"resultSignature":"Forbidden","resultDescription":"Caller is not authorized.\r\n\"quoted\" <b> & ` + "\u2028 ünï" + ` \u0001",` +
		`"durationMs":"78","callerIpAddress":"2001:db8::1","correlationId":"c0ffee","recordId":"id",` +
		`"identity":{"claim":{"oid":"o","appid":"a","iss":"https://sts.windows.net/t/","upn":"u@x","idtyp":"app","xms_mirid":"/sub/x"}},` +
		`"properties":{"id":"https://myvault.vault.azure.net/secrets/a","clientInfo":"azsdk",` +
		`"requestUri":"https://myvault.vault.azure.net/secrets/a?api-version=7.4","httpStatusCode":403,"tlsVersion":"TLS1_3",` +
		`"addrAuthType":"PublicIP","isAddressAuthorized":true,"subnetId":"s","privateEndpointId":"p","trustedService":"DataFactory",` +
		`"isRbacAuthorized":false,"appliedAssignmentId":"as","isAccessPolicyMatch":true,"addedIpRule.Value":"1.2.3.4","algorithm":"RSA"}}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the line (-want +got):\n%s", diff)
	}
}

func TestAnswered(t *testing.T) {
	for _, test := range []struct {
		status         int
		kind, in_words string
	}{
		{200, "Success", "OK"}, {201, "Success", "Created"}, {202, "Success", "Accepted"}, {401, "Failed", "Unauthorized"},
		{403, "Failed", "Forbidden"}, {404, "Failed", "Not Found"}, {409, "Failed", "Conflict"}, {429, "Failed", "Too Many Requests"},
	} {
		var r Record
		r.Answered(test.status)
		if r.ResultType != test.kind || r.ResultSignature != test.in_words {
			t.Errorf("Answered(%d) = %s, %s, want %s, %s", test.status, r.ResultType, r.ResultSignature, test.kind, test.in_words)
		}
	}
}

func TestRotationAndReopen(t *testing.T) {
	dir := t.TempDir()
	for i := range 4 {
		j := open(t, dir, Options{MaxSegment: 1500})
		appendNumbers(t, j, 10*i, 10*i+10)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		r := verify(t, dir)
		if !r.OK() || !r.Closed || r.Records != uint64(10*i+10) || r.Torn != 0 {
			t.Errorf("Verify after %d records = %v, want all of them, whole and closed", 10*i+10, r)
		}
	}
	if r := verify(t, dir); r.Segments < 8 {
		t.Errorf("segments = %d, want at least 8", r.Segments)
	}
	if got, want := len(strings.Fields(ids(t, dir))), 40; got != want {
		t.Errorf("records read = %d, want %d", got, want)
	}
}

func TestConcurrentAppend(t *testing.T) {
	for _, sync := range []string{SyncInterval, SyncAlways} {
		dir := t.TempDir()
		j := open(t, dir, Options{Sync: sync, MaxSegment: 8000, Interval: time.Millisecond})
		inParallel(8, func(w int) {
			for i := range 25 {
				if err := j.Append(numbered(100*w + i)); err != nil {
					t.Error(err)
				}
			}
		})
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir); !r.OK() || r.Records != 200 {
			t.Errorf("Verify = %v, want 200 records", r)
		}
	}
}

func inParallel(n int, fn func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func TestTooLong(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	long := numbered(0)
	for range 200 {
		long.Properties = append(long.Properties, Property{"p", strings.Repeat("x", maxField)})
	}
	if err := j.Append(long); !errors.Is(err, ErrTooLong) {
		t.Errorf("Append of a long record = %v, want %v", err, ErrTooLong)
	}
	cut := numbered(1)
	cut.ClientInfo = strings.Repeat("x", 10*maxField)
	if err := j.Append(cut); err != nil {
		t.Errorf("Append of a long field = %v, want nil", err)
	}
	err := Read(dir, func(r *Record) error {
		if want := strings.Repeat("x", maxField) + "…"; r.ID != "n1" || r.ClientInfo != want {
			t.Errorf("clientInfo of %s has %d bytes, want %d", r.ID, len(r.ClientInfo), len(want))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestClosed(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(numbered(0)); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close = %v, want %v", err, ErrClosed)
	}
	if err := j.Close(); err != nil {
		t.Errorf("Close again = %v, want nil", err)
	}
}

func TestOptions(t *testing.T) {
	if _, err := Open(t.TempDir(), Options{Sync: "sometimes"}); err == nil {
		t.Errorf("Open with an unknown Sync = nil, want an error")
	}
}

// change commits a change and its record, and delivers it unless told not
// to.
func change(t testing.TB, j *Journal, st store.Store, i int, deliver bool) {
	t.Helper()
	r := numbered(i)
	var tx store.Tx
	key, value := j.Outbox(r)
	tx.Put(key, value)
	tx.Put(fmt.Sprint("o/", i), nil)
	if err := st.Commit(t.Context(), &tx); err != nil {
		t.Fatal(err)
	}
	if deliver {
		if err := j.Deliver(r, key); err != nil {
			t.Fatal(err)
		}
	}
}

func outbox(t testing.TB, st store.Store) int {
	t.Helper()
	items, err := st.Range(context.Background(), OutboxPrefix, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(items)
}

func TestDeliver(t *testing.T) {
	dir, st := t.TempDir(), memory.New()
	j := open(t, dir, Options{Store: st, MaxSegment: 1500})
	for i := range 20 {
		change(t, j, st, i, true)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := outbox(t, st); got != 0 {
		t.Errorf("outbox after Sync = %d, want 0", got)
	}
	if got, want := ids(t, dir), "n0 n1 n2 n3 n4 n5 n6 n7 n8 n9 n10 n11 n12 n13 n14 n15 n16 n17 n18 n19"; got != want {
		t.Errorf("records = %s, want %s", got, want)
	}
}

// TestDeliverUnknown ensures that a record can be delivered by its key
// alone, and under that id.
func TestDeliverUnknown(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	if err := j.Deliver(numbered(7), OutboxPrefix+"abc"); err != nil {
		t.Fatal(err)
	}
	found := ""
	if err := readLines(dir, 0, func(body []byte) error { found = recordID(body); return nil }); err != nil || found != "abc" {
		t.Errorf("recordId = %q, %v, want abc", found, err)
	}
}

// TestRecover ensures that a record arrives exactly once, wherever the crash
// came: before it was delivered, after, or within Recover.
func TestRecover(t *testing.T) {
	dir, st := t.TempDir(), memory.New()
	j := open(t, dir, Options{MaxSegment: 1500}) // no Store: nothing is deleted
	appendNumbers(t, j, 100, 110)
	for i := range 12 {
		change(t, j, st, i, i%3 != 0)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	deletes := memory.Fail
	st.Faults = func(c memory.Call) memory.Fault {
		if c.Verb == memory.Commit {
			return deletes
		}
		return memory.Work
	}
	for _, test := range []struct {
		deletes memory.Fault
		err     error
		left    int
	}{
		{memory.Fail, memory.ErrInjected, 12},
		{memory.Lose, memory.ErrInjected, 0},
		{memory.Work, nil, 0},
	} {
		deletes = test.deletes
		j := open(t, dir, Options{MaxSegment: 1500})
		if err := j.Recover(t.Context(), st); !errors.Is(err, test.err) {
			t.Errorf("Recover = %v, want %v", err, test.err)
		}
		if got := outbox(t, st); got != test.left {
			t.Errorf("outbox after Recover = %d, want %d", got, test.left)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		got := strings.TrimPrefix(ids(t, dir), "n100 n101 n102 n103 n104 n105 n106 n107 n108 n109 ")
		if want := "n1 n2 n4 n5 n7 n8 n10 n11 n0 n3 n6 n9"; got != want {
			t.Errorf("records after Recover = %s, want %s", got, want)
		}
	}
	if r := verify(t, dir); !r.OK() {
		t.Errorf("Verify = %v, want whole", r)
	}
}

// TestRecoverNewJournal ensures that an outbox of a journal that was moved
// away is delivered into the new one.
func TestRecoverNewJournal(t *testing.T) {
	old, st := t.TempDir(), memory.New()
	j := open(t, old, Options{MaxSegment: 500})
	appendNumbers(t, j, 0, 5)
	change(t, j, st, 1, true)
	dir := t.TempDir()
	j = open(t, dir, Options{})
	if err := j.Recover(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, dir); got != "n1" {
		t.Errorf("records = %q, want n1", got)
	}
}

func TestRecoverDamagedOutbox(t *testing.T) {
	for _, value := range []string{"", "1234567", "12345678", "12345678{", `12345678{"a":1}`, `12345678{"a":1,"recordId":"y"}`} {
		st := memory.New()
		var tx store.Tx
		tx.Put(OutboxPrefix+"x", []byte(value))
		if err := st.Commit(t.Context(), &tx); err != nil {
			t.Fatal(err)
		}
		j := open(t, t.TempDir(), Options{})
		if err := j.Recover(t.Context(), st); err == nil || outbox(t, st) != 1 {
			t.Errorf("Recover of the item %q = %v, want an error, and the item kept", value, err)
		}
	}
}

// TestSettleKeepsTrying ensures that a store that fails for a while costs
// nothing but time.
func TestSettleKeepsTrying(t *testing.T) {
	dir, st := t.TempDir(), memory.New()
	j := open(t, dir, Options{Store: st})
	change(t, j, st, 1, true)
	fault := memory.Fail
	st.Faults = func(memory.Call) memory.Fault { return fault }
	if err := j.Sync(); !errors.Is(err, memory.ErrInjected) {
		t.Errorf("Sync = %v, want %v", err, memory.ErrInjected)
	}
	if err := j.Append(numbered(2)); err != nil {
		t.Errorf("Append = %v, want nil", err)
	}
	fault = memory.Work
	if err := j.Sync(); err != nil || outbox(t, st) != 0 {
		t.Errorf("Sync = %v, outbox %d, want nil, 0", err, outbox(t, st))
	}
}

// TestFlusher ensures that lines are flushed and delivered items deleted
// without anyone asking.
func TestFlusher(t *testing.T) {
	dir, st := t.TempDir(), memory.New()
	emptied := make(chan struct{}, 1)
	st.Faults = func(c memory.Call) memory.Fault {
		if c.Verb == memory.Commit && c.Tx.Operations[0].Delete {
			emptied <- struct{}{}
		}
		return memory.Work
	}
	disk := newDisk()
	j := open(t, dir, Options{Store: st, Interval: time.Millisecond, FS: disk})
	change(t, j, st, 1, true)
	<-emptied
	if disk.count("sync") < 2 {
		t.Errorf("flushes = %d, want at least 2", disk.count("sync"))
	}
}

// disk is a file system that counts what is done to it, and fails when it is
// told to.
type disk struct {
	mu     sync.Mutex // guards what follows
	counts map[string]int
	fail   func(call, name string) error
}

func newDisk() *disk { return &disk{counts: map[string]int{}} }

var errDisk = errors.New("disk: failed")

func (d *disk) call(call, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[call]++
	if d.fail != nil {
		return d.fail(call, name)
	}
	return nil
}

func (d *disk) count(call string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[call]
}

// failOn makes each later call of one kind fail whose file has a suffix.
func (d *disk) failOn(call, suffix string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = func(c, name string) error {
		if c == call && strings.HasSuffix(name, suffix) {
			return errDisk
		}
		return nil
	}
}

func (d *disk) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if err := d.call("open", name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, flag, perm)
	return &diskFile{f, d}, err
}

func (d *disk) SyncDir(dir string) error {
	if err := d.call("syncdir", dir); err != nil {
		return err
	}
	return OS{}.SyncDir(dir)
}

type diskFile struct {
	*os.File
	disk *disk
}

func (f *diskFile) Write(p []byte) (int, error) {
	if err := f.disk.call("write", f.Name()); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	if err := f.disk.call("short", f.Name()); err != nil {
		return f.File.Write(p[:len(p)-1]) // against the contract of io.Writer
	}
	return f.File.Write(p)
}

func (f *diskFile) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.disk.call("writeat", f.Name()); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, offset)
}

func (f *diskFile) Sync() error {
	if err := f.disk.call("sync", f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

// TestDiskFails ensures that after any failure nothing is appended any more,
// that Broken says so, and that the journal is whole when it is opened again.
func TestDiskFails(t *testing.T) {
	for _, test := range []struct {
		call, suffix, sync string
		max                int64
	}{
		{"write", ".jsonl", SyncInterval, 0},
		{"short", ".jsonl", SyncInterval, 0},
		{"sync", ".jsonl", SyncAlways, 0},
		{"writeat", "head", SyncAlways, 0},
		{"sync", ".jsonl", SyncInterval, 1},
		{"open", ".jsonl", SyncInterval, 1},
		{"write", "2.jsonl", SyncInterval, 1},
		{"syncdir", "", SyncInterval, 1},
		{"writeat", "head", SyncInterval, 1},
	} {
		name := fmt.Sprintf("%s of *%s, %s, max %d", test.call, test.suffix, test.sync, test.max)
		dir, d := t.TempDir(), newDisk()
		j := open(t, dir, Options{FS: d, Sync: test.sync, MaxSegment: test.max})
		d.failOn(test.call, test.suffix)
		if err := j.Append(numbered(1)); !errors.Is(err, errDisk) && test.call != "short" || err == nil {
			t.Errorf("%s: Append = %v, want %v", name, err, errDisk)
		}
		d.failOn("none", "")
		if err := j.Append(numbered(2)); err == nil || j.Broken() == nil {
			t.Errorf("%s: Append after that = %v, Broken() = %v, want the failure", name, err, j.Broken())
		}
		if err := j.Deliver(numbered(2), "j/x"); err == nil {
			t.Errorf("%s: Deliver after that = nil, want the failure", name)
		}
		if err := j.Close(); err == nil {
			t.Errorf("%s: Close = nil, want the failure", name)
		}
		if r := verify(t, dir); !r.OK() || r.Closed {
			t.Errorf("%s: Verify = %v, want whole and not closed", name, r)
		}
		j = open(t, dir, Options{})
		if err := j.Append(numbered(3)); err != nil {
			t.Errorf("%s: Append after a restart = %v, want nil", name, err)
		}
		j.Close()
		if r := verify(t, dir); !r.OK() || !r.Closed {
			t.Errorf("%s: Verify after a restart = %v, want whole", name, r)
		}
		if got := ids(t, dir); strings.Contains(got, "n2") || !strings.HasSuffix(got, "n3") {
			t.Errorf("%s: records = %q, want n3 last and no n2", name, got)
		}
	}
}

// TestFlushBudget ensures that lines that are appended together share
// flushes: none of their own with "interval", at most one each with "always".
func TestFlushBudget(t *testing.T) {
	d := newDisk()
	j := open(t, t.TempDir(), Options{FS: d})
	syncs, writes := d.count("sync"), d.count("write")
	appendNumbers(t, j, 0, 100)
	if got := d.count("sync") - syncs; got != 0 {
		t.Errorf("flushes of 100 lines before the interval = %d, want 0", got)
	}
	if got := d.count("write") - writes; got != 100 {
		t.Errorf("writes of 100 lines = %d, want 100", got)
	}
	for range 2 {
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.count("sync") - syncs; got != 1 {
		t.Errorf("flushes of 100 lines = %d, want 1", got)
	}
}

func TestAppendAllocations(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	r := full()
	if n := testing.AllocsPerRun(200, func() {
		if err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("allocations of Append = %v, want at most 1", n)
	}
}

func TestReportJSON(t *testing.T) {
	got, err := json.Marshal(Report{Segments: 1, Records: 2, Head: "h", Problem: &Problem{Kind: Cut, Segment: 1, Detail: "d"}})
	want := `{"segments":1,"records":2,"head":"h","closed":false,"problem":{"kind":"cut","segment":1,"detail":"d"}}`
	if err != nil || string(got) != want {
		t.Errorf("Report as JSON = %s, %v, want %s", got, err, want)
	}
}
