package drawing

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// clientVariable makes this test's own program a client: "probe" or
// "reader VAULT_URL SECRET". So there is a program with the Go SDK in it
// that can be started in any namespace.
const clientVariable = "POSTERN_DRAWING_CLIENT"

func TestMain(m *testing.M) {
	role := strings.Fields(os.Getenv(clientVariable))
	if len(role) == 0 {
		os.Exit(m.Run())
	}
	credential, err := azidentity.NewClientSecretCredential(os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID"), os.Getenv("AZURE_CLIENT_SECRET"), nil)
	if err == nil && role[0] == "reader" {
		err = reader(credential, role[1], role[2])
	} else if err == nil {
		err = probe(credential)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// probe is what probe.py is, with the Go SDK.
func probe(credential azcore.TokenCredential) error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		f := strings.Fields(in.Text())
		transport := newTransport()
		verdict, err := get(transport, credential, f[0], f[1])
		transport.CloseIdleConnections()
		if err != nil {
			return err
		}
		fmt.Println(verdict)
	}
	return in.Err()
}

func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	return t
}

// client makes a client of a vault that does not try again.
func client(transport http.RoundTripper, limit time.Duration, credential azcore.TokenCredential, url string) (*azsecrets.Client, error) {
	return azsecrets.NewClient(url, credential, &azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: transport, Timeout: limit}, Retry: policy.RetryOptions{MaxRetries: -1}}})
}

func get(transport http.RoundTripper, credential azcore.TokenCredential, url, secret string) (string, error) {
	c, err := client(transport, 20*time.Second, credential, url)
	if err != nil {
		return "", err
	}
	_, err = c.GetSecret(context.Background(), secret, "", nil)
	return verdict(err), nil
}

// verdict is what came of a request, in a word or two.
func verdict(err error) string {
	var refused *azcore.ResponseError
	var name *net.DNSError
	switch {
	case err == nil:
		return "in"
	case errors.As(err, &refused):
		text, _ := io.ReadAll(refused.RawResponse.Body)
		return refusal(refused.StatusCode, text)
	case errors.As(err, &name):
		return "no such name"
	}
	return "no connection"
}

// refusal is the inner code of an error, or what there is instead.
func refusal(status int, text []byte) string {
	var answer struct {
		Error struct {
			Code  string `json:"code"`
			Inner struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	_ = json.Unmarshal(text, &answer)
	switch {
	case answer.Error.Inner.Code != "":
		return answer.Error.Inner.Code
	case answer.Error.Code != "":
		return answer.Error.Code
	}
	return fmt.Sprint(status)
}

// A history is what a reader saw.
type history struct {
	// Habit is how it handles connections.
	Habit string
	// Reads is how many there were, Failed how many were not answered with
	// the secret.
	Reads, Failed int
	// Spans are the runs of the same outcome at the same address, in order.
	Spans []span
}

// A span is reads in a row that went alike.
type span struct {
	Address, Verdict string
	Reads            int
	Why              string `json:",omitempty"`
}

func (h *history) add(address string, err error) {
	h.Reads++
	v, why := verdict(err), ""
	if err != nil {
		h.Failed++
		why = err.Error()
	}
	if n := len(h.Spans); n > 0 && h.Spans[n-1].Address == address && h.Spans[n-1].Verdict == v {
		h.Spans[n-1].Reads++
		return
	}
	h.Spans = append(h.Spans, span{Address: address, Verdict: v, Reads: 1, Why: why})
}

// The habits of readers.
const (
	habitNew   = "a new connection for each read"
	habitRenew = "connections of half a second"
	habitKeep  = "one connection, kept"
)

// reader reads a secret all the time, with each of the three habits, until
// its input ends, and prints the histories. It says "reading" once each has
// read for the first time, and answers a line of the input with "renewed"
// once no connection is left from before, but for the one that is kept.
func reader(credential azcore.TokenCredential, url, secret string) error {
	done, started, renew := make(chan struct{}), make(chan struct{}), make(chan struct{})
	histories := []*history{{Habit: habitNew}, {Habit: habitRenew}, {Habit: habitKeep}}
	var wait sync.WaitGroup
	for _, h := range histories {
		transport := newTransport()
		transport.DisableKeepAlives = h.Habit == habitNew
		limit := 20 * time.Second
		if h.Habit == habitKeep {
			// Its connection will be cut without a word.
			limit = 3 * time.Second
		}
		c, err := client(transport, limit, credential, url)
		if err != nil {
			return err
		}
		wait.Go(func() { h.read(c, transport, secret, started, renew, done) })
	}
	for range histories {
		<-started
	}
	fmt.Println("reading")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		renew <- struct{}{}
		// The second is taken when the reads over the new connection are
		// under way.
		renew <- struct{}{}
		fmt.Println("renewed")
	}
	close(done)
	wait.Wait()
	return json.NewEncoder(os.Stdout).Encode(histories)
}

func (h *history) read(c *azsecrets.Client, transport *http.Transport, secret string, started chan<- struct{}, renew, done <-chan struct{}) {
	var address string
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		address, _, _ = net.SplitHostPort(i.Conn.RemoteAddr().String())
	}})
	renewed := time.Now()
	if h.Habit != habitRenew {
		renew = nil
	}
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for {
		address = ""
		_, err := c.GetSecret(ctx, secret, "", nil)
		h.add(address, err)
		if h.Reads == 1 {
			started <- struct{}{}
		}
		if h.Habit == habitRenew && time.Since(renewed) > 500*time.Millisecond {
			transport.CloseIdleConnections()
			renewed = time.Now()
		}
		select {
		case <-done:
			return
		case <-renew:
			transport.CloseIdleConnections()
			renewed = time.Now()
		case <-tick.C:
		}
	}
}
