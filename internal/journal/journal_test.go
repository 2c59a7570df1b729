package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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
		status      int
		kind, words string
	}{
		{200, "Success", "OK"}, {201, "Success", "Created"}, {202, "Success", "Accepted"}, {401, "Failed", "Unauthorized"},
		{403, "Failed", "Forbidden"}, {404, "Failed", "Not Found"}, {409, "Failed", "Conflict"}, {429, "Failed", "Too Many Requests"},
	} {
		var r Record
		r.Answered(test.status)
		if r.ResultType != test.kind || r.ResultSignature != test.words {
			t.Errorf("Answered(%d) = %s, %s, want %s, %s", test.status, r.ResultType, r.ResultSignature, test.kind, test.words)
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
