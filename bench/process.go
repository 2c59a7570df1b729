package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"postern/internal/keyring"
	"postern/internal/pki"
	"postern/internal/server"
)

// process is a server that runs as a process of its own, so that its CPU
// time can be told from the client's.
type process struct {
	command *exec.Cmd
	input   io.Closer
}

// cpu is the CPU time the process has used, in seconds.
func (p *process) cpu() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses; utime and stime are the
	// 14th and 15th, in hundredths of a second (proc(5)).
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100, errors.Join(err1, err2)
}

// memory is the resident memory of the process in bytes.
func (p *process) memory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	return pages * float64(os.Getpagesize()), err
}

func (p *process) stop() {
	if p.input != nil {
		p.input.Close()
	}
	_ = p.command.Process.Signal(os.Interrupt)
	_ = p.command.Wait()
}

// postern is a running postern and what a client needs to reach it.
type postern struct {
	*process
	data   string
	info   *server.Info
	pool   *x509.CertPool
	client *http.Client
}

// startPostern starts the program on a folder and waits for its first
// answer; took is the time until then.
func startPostern(ctx context.Context, s settings, data string, flags ...string) (p *postern, took time.Duration, err error) {
	begin := time.Now()
	args := append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--proxy", "off", "--log-level", "error"}, flags...)
	command := exec.CommandContext(ctx, s.postern, args...)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, 0, err
	}
	if err := command.Start(); err != nil {
		return nil, 0, err
	}
	p = &postern{process: &process{command: command}, data: data}
	for time.Since(begin) < 20*time.Second {
		if p.info, err = server.ReadInfo(data); err == nil && p.info.PID == command.Process.Pid {
			if err = p.connect(); err == nil {
				took = time.Since(begin)
				// The greeting comes when the demo is there.
				_, err = bufio.NewReader(out).ReadString('\n')
				return p, took, err
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	p.stop()
	return nil, 0, fmt.Errorf("postern does not answer: %w", err)
}

// connect makes the client and asks for a sign of life.
func (p *postern) connect() error {
	ca, err := os.ReadFile(filepath.Join(p.data, pki.CertificateFile))
	if err != nil {
		return err
	}
	p.pool = x509.NewCertPool()
	p.pool.AppendCertsFromPEM(ca)
	p.client = newClient(p.pool, p.info.Listen[0])
	answer, err := p.client.Get("https://localhost/healthstatus")
	if err != nil {
		return err
	}
	return drain(answer)
}

// newClient is an HTTP/1.1 client that reaches one address under any name.
func newClient(pool *x509.CertPool, address string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}}}
}

func drain(r *http.Response) error {
	_, err := io.Copy(io.Discard, r.Body)
	return errors.Join(err, r.Body.Close())
}

// send sends a request that changes something; its answer must be good.
func (p *postern) send(ctx context.Context, token, method, url string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := p.client.Do(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s %s", method, url, answer.Status, text)
	}
	return err
}

// token gets a token for a resource with the administrator's secret.
func (p *postern) token(resource string) (string, error) {
	secret, err := os.ReadFile(filepath.Join(p.data, server.AdminSecretFile))
	if err != nil {
		return "", err
	}
	answer, err := p.client.PostForm(p.info.Names().Private.LoginURL()+"/"+p.info.Admin.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {p.info.Admin.ClientID}, "client_secret": {string(secret)}, "scope": {resource + "/.default"}})
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var got struct {
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(answer.Body).Decode(&got)
	return got.Token, err
}

// bareOrder is what the bare handler is told to answer.
type bareOrder struct {
	Header http.Header
	Body   []byte
	Cert   [][]byte
	Key    []byte // PKCS #8
	// Crypto is carried out before each answer; nil for nothing.
	Crypto *cryptoOrder
}

// startBare starts the bare handler with the bytes that postern answers.
func startBare(ctx context.Context, order bareOrder) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	command := exec.CommandContext(ctx, self, "bare")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := errors.Join(command.Start(), json.NewEncoder(in).Encode(order)); err != nil {
		return nil, "", err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	return &process{command, in}, strings.TrimSpace(address), err
}

// serveBare is the child's side: a TLS server whose handler writes headers
// and bytes and does nothing else, until its standard input ends.
func serveBare(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	var order bareOrder
	dec := json.NewDecoder(lines)
	if err := dec.Decode(&order); err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(order.Key)
	if err != nil {
		return err
	}
	var held *keyring.Key
	if order.Crypto != nil {
		if held, err = keyring.Open(order.Crypto.Material); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: order.Cert, PrivateKey: key}}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if held != nil {
				_, _ = io.Copy(io.Discard, r.Body)
				if _, err := order.Crypto.do(held); err != nil {
					http.Error(w, err.Error(), http.StatusInternalServerError)
					return
				}
			}
			h := w.Header()
			for name, values := range order.Header {
				h[name] = values
			}
			_, _ = w.Write(order.Body)
		})}
	fmt.Fprintln(out, l.Addr())
	go func() { _, _ = io.Copy(io.Discard, lines); srv.Close() }()
	if err := srv.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
