package client

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"tidemark.test/clients/harness"
)

// authority signs certificates for one test.
type authority struct {
	t      testing.TB
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	serial int64
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, serial: 1}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	return a
}

// issue writes NAME.crt and NAME.key into dir.
func (a *authority) issue(dir, name string) {
	a.t.Helper()
	a.serial++
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, _ := x509.MarshalECPrivateKey(key)
	a.write(filepath.Join(dir, name+".crt"), "CERTIFICATE", der)
	a.write(filepath.Join(dir, name+".key"), "EC PRIVATE KEY", keyDER)
}

// A file is replaced whole, as tools that rotate certificates do.
func (a *authority) write(path, kind string, der []byte) {
	a.t.Helper()
	err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) publish(dir string) string {
	path := filepath.Join(dir, "ca.crt")
	a.write(path, "CERTIFICATE", a.cert.Raw)
	return path
}

func (a *authority) clientTLS(dir, name string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	config := &tls.Config{RootCAs: pool}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// tryGet dials anew and reads once.
func tryGet(t testing.TB, endpoint string, config *tls.Config) error {
	t.Helper()
	c := dial(t, endpoint, func(c *clientv3.Config) { c.TLS = config })
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, err := c.Get(ctx, "a")
	return err
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := harness.NewDir(t)
	ca := newAuthority(t)
	caFile := ca.publish(dir)
	ca.issue(dir, "server")
	ca.issue(dir, "client")
	s := harness.StartAt(t, fmt.Sprintf("https://127.0.0.1:%d", harness.FreePort(t)),
		"--cert-file", dir+"/server.crt", "--key-file", dir+"/server.key", "--trusted-ca-file", caFile, "--client-cert-auth")
	with := ca.clientTLS(dir, "client")
	if err := tryGet(t, s.Endpoint, with); err != nil {
		t.Fatal(err)
	}
	check(t, "a client certificate is wanted", tryGet(t, s.Endpoint, ca.clientTLS(dir, "")) != nil)
	stranger := newAuthority(t)
	other := harness.NewDir(t)
	stranger.issue(other, "client")
	wrong := ca.clientTLS(dir, "")
	wrong.Certificates = stranger.clientTLS(other, "client").Certificates
	check(t, "from the right authority", tryGet(t, s.Endpoint, wrong) != nil)
	check(t, "plain text is refused", tryGet(t, strings.Replace(s.Endpoint, "https", "http", 1), nil) != nil)
	old := with.Clone()
	old.MaxVersion = tls.VersionTLS11
	_, err := tls.Dial("tcp", strings.TrimPrefix(s.Endpoint, "https://"), old)
	check(t, "TLS 1.1 is refused", err != nil)

	for _, protocols := range [][]string{nil, {"http/1.1"}, {"h2"}} {
		config := with.Clone()
		config.NextProtos = protocols
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: len(protocols) == 1 && protocols[0] == "h2"}
		r, err := (&http.Client{Transport: transport, Timeout: patience}).Get(s.Endpoint + "/health")
		if err != nil {
			t.Fatalf("%v: %v", protocols, err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		check(t, fmt.Sprint("health over ", protocols, " ", r.Proto), r.StatusCode == 200 && strings.Contains(string(body), `"health":"true"`))
	}
}

func TestCertificatesRotateWithoutRestart(t *testing.T) {
	t.Parallel()
	dir := harness.NewDir(t)
	first := newAuthority(t)
	caFile := first.publish(dir)
	first.issue(dir, "server")
	first.issue(dir, "client")
	s := harness.StartAt(t, fmt.Sprintf("https://127.0.0.1:%d", harness.FreePort(t)),
		"--cert-file", dir+"/server.crt", "--key-file", dir+"/server.key", "--trusted-ca-file", caFile, "--client-cert-auth")
	serial := func(ca *authority) int64 {
		t.Helper()
		connection, err := tls.Dial("tcp", strings.TrimPrefix(s.Endpoint, "https://"), ca.clientTLS(dir, "client"))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		return connection.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	equal(t, "first certificate", serial(first), 2)
	kept := dial(t, s.Endpoint, func(c *clientv3.Config) { c.TLS = first.clientTLS(dir, "client") })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := kept.Put(ctx, "a", "1"); err != nil {
		t.Fatal(err)
	}
	first.issue(dir, "server")
	eventually(t, "the new certificate is served", patience, func() bool { return serial(first) == 4 })
	if _, err := kept.Put(ctx, "a", "2"); err != nil {
		t.Fatal("an open connection goes on: ", err)
	}
	if harness.IsEtcd() {
		return // etcd reads its own pair anew for each handshake, but the authority only at start
	}
	second := newAuthority(t)
	second.serial = 10
	second.publish(dir)
	second.issue(dir, "server")
	second.issue(dir, "client")
	eventually(t, "clients of the new authority are let in", patience, func() bool {
		return tryGet(t, s.Endpoint, second.clientTLS(dir, "client")) == nil
	})
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	// Short, because a socket's path is limited to 107 bytes.
	dir, err := os.MkdirTemp("", "tm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	n := attach(t, harness.StartAt(t, "unix://"+dir+"/client:1"))
	n.put("a", "1")
	equal(t, "read back", text(n.get("a").Kvs[0]), "a=1 c2 m2 v1 l0")
	n.restart(n.Kill) // the socket file is still there
	equal(t, "after a crash", n.get("a").Count, 1)
}

func httpGet(t testing.TB, url string) (int, string) {
	t.Helper()
	r, err := (&http.Client{Timeout: patience}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestHTTPEndpoints(t *testing.T) {
	metrics := fmt.Sprintf("http://127.0.0.1:%d", harness.FreePort(t))
	n := fresh(t, "--listen-metrics-urls", metrics)
	for _, base := range []string{n.Endpoint, metrics} {
		for path, want := range map[string]string{
			"/health":                   `{"health":"true","reason":""}`,
			"/health?serializable=true": `{"health":"true","reason":""}`,
			"/livez":                    "ok\n",
			"/readyz":                   "ok\n",
			"/livez/serializable_read":  "ok\n",
			"/readyz?verbose":           "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n",
		} {
			code, body := httpGet(t, base+path)
			check(t, fmt.Sprint(path, " answered ", code, " ", body), code == 200 && strings.TrimSpace(body) == strings.TrimSpace(want))
		}
		code, body := httpGet(t, base+"/metrics")
		check(t, "metrics", code == 200 && strings.Contains(body, "etcd_server_has_leader 1"))
	}
	code, body := httpGet(t, n.Endpoint+"/version")
	var version map[string]string
	check(t, "version "+body, code == 200 && json.Unmarshal([]byte(body), &version) == nil && strings.HasPrefix(version["etcdserver"], "3.7.") &&
		version["etcdcluster"] == "3.7.0")
	code, _ = httpGet(t, n.Endpoint+"/no/such/path")
	equal(t, "elsewhere", code, 404)
	r, err := http.Post(n.Endpoint+"/health", "text/plain", nil)
	n.must(err)
	r.Body.Close()
	check(t, "only GET", r.StatusCode == 405 && r.Header.Get("Allow") == "GET")
}

func TestHealthTellsOfAlarms(t *testing.T) {
	n := fresh(t, "--quota-backend-bytes", fmt.Sprint(13*4096))
	eventually(t, "full", patience, func() bool {
		_, err := n.Put(n.ctx, "a", strings.Repeat("x", 4096))
		return err != nil
	})
	code, body := httpGet(t, n.Endpoint+"/health")
	check(t, body, code == 503 && strings.TrimSpace(body) == `{"health":"false","reason":"ALARM NOSPACE"}`)
	code, body = httpGet(t, n.Endpoint+"/health?exclude=NOSPACE")
	check(t, body, code == 200)
	code, body = httpGet(t, n.Endpoint+"/readyz")
	check(t, body, code == 200)
}

func TestManyConnectionsAndStreams(t *testing.T) {
	n := fresh(t)
	const connections, streams = 200, 20
	var group sync.WaitGroup
	channels := make(chan clientv3.WatchChan, connections*streams)
	for i := range connections {
		c := dial(t, n.Endpoint, nil)
		group.Add(1)
		go func() {
			defer group.Done()
			for j := range streams {
				// A context value makes the client library open a stream of its own.
				ctx := clientv3.WithRequireLeader(n.ctx)
				w := c.Watch(ctx, fmt.Sprintf("k%d/%d", i, j), clientv3.WithCreatedNotify())
				if r := <-w; r.Err() != nil || !r.Created {
					t.Error("watch not created: ", r.Err())
					return
				}
				channels <- w
			}
			if _, err := c.Put(n.ctx, fmt.Sprint("own", i), "v"); err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
	close(channels)
	for i := range connections {
		for j := range streams {
			n.put(fmt.Sprintf("k%d/%d", i, j), "v")
		}
	}
	for w := range channels {
		select {
		case r := <-w:
			check(t, "one event each", len(r.Events) == 1)
		case <-time.After(patience):
			t.Fatal("an event is missing")
		}
	}
}

func TestManyStreamsOnOneConnection(t *testing.T) {
	n := fresh(t)
	const streams = 1000
	open := make([]interface{ CloseSend() error }, 0, streams)
	for range streams {
		s := n.raw(create(watchAll))
		check(t, "created", n.next(s).Created)
		open = append(open, s)
	}
	s := n.raw(create(watchAll))
	n.next(s)
	n.put("a", "1")
	equal(t, "the last stream works", n.next(s).Events[0].Kv.ModRevision, 2)
	for _, s := range open {
		n.must(s.CloseSend())
	}
}

func TestStreamLimitIsAnnounced(t *testing.T) {
	n := fresh(t, "--max-concurrent-streams", "4")
	ctx, cancel := context.WithTimeout(n.ctx, 10*time.Second)
	defer cancel()
	for range 4 {
		s, err := n.watch().Watch(ctx)
		n.must(err)
		n.must(s.Send(create(watchAll)))
		n.next(s)
	}
	short, stop := context.WithTimeout(ctx, 500*time.Millisecond)
	defer stop()
	_, err := n.Get(short, "a")
	check(t, fmt.Sprint("a fifth waits in the client: ", err), err == context.DeadlineExceeded)
}

func TestKeepAlivePingsEveryFewSeconds(t *testing.T) {
	n := fresh(t, "--grpc-keepalive-min-time", "1s")
	c := dial(t, n.Endpoint, func(c *clientv3.Config) {
		c.DialKeepAliveTime = 10 * time.Second // the client library allows no less
		c.DialKeepAliveTimeout = 3 * time.Second
	})
	watch := c.Watch(n.ctx, "a", clientv3.WithCreatedNotify())
	<-watch
	select {
	case r := <-watch:
		t.Fatal("the stream broke: ", r.Err())
	case <-time.After(12 * time.Second):
	}
	n.put("a", "1")
	n.events(watch, 1)
}

// Whatever arrives on the port, the server goes on serving others.
func TestGarbageOnThePort(t *testing.T) {
	n := fresh(t)
	address := strings.TrimPrefix(n.Endpoint, "http://")
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for name, bytes := range map[string]string{
		"nothing":             "",
		"half a preface":      preface[:10],
		"text":                "HELO example.org\r\n\r\n",
		"zeros":               strings.Repeat("\x00", 4096),
		"ones":                strings.Repeat("\xff", 4096),
		"TLS":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 500),
		"huge frame":          preface + settings + "\xff\xff\xff\x00\x00\x00\x00\x00\x01",
		"data on no stream":   preface + settings + "\x00\x00\x04\x00\x01\x00\x00\x00\x01abcd",
		"broken headers":      preface + settings + "\x00\x00\x08\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff",
		"window overflow":     preface + settings + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff",
		"long request line":   "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\n",
		"endless header":      "GET /health HTTP/1.1\r\nX: " + strings.Repeat("b", 1<<20),
		"settings out of law": preface + "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x01",
	} {
		connection, err := net.Dial("tcp", address)
		n.must(err)
		connection.SetDeadline(time.Now().Add(200 * time.Millisecond))
		connection.Write([]byte(bytes))
		bufio.NewReader(connection).WriteTo(io.Discard)
		connection.Close()
		check(t, "alive after "+name, n.Alive())
	}
	n.put("a", "1")
}

func TestGracefulStopFinishesCalls(t *testing.T) {
	n := fresh(t)
	acknowledged := make(chan int64, 100000)
	stopped := make(chan struct{})
	var group sync.WaitGroup
	for w := range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; ; i++ {
				select {
				case <-stopped:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(n.ctx, 2*time.Second)
				if r, err := n.Put(ctx, fmt.Sprintf("w%d/%d", w, i), "v"); err == nil {
					acknowledged <- r.Header.Revision
				}
				cancel()
			}
		}()
	}
	eventually(t, "writes flow", patience, func() bool { return len(acknowledged) > 100 })
	begin := time.Now()
	n.Stop()
	check(t, fmt.Sprint("stopped within seconds: ", time.Since(begin)), time.Since(begin) < 10*time.Second)
	close(stopped)
	group.Wait()
	close(acknowledged)
	highest := int64(0)
	count := int64(0)
	for revision := range acknowledged {
		highest = max(highest, revision)
		count++
	}
	n.Run()
	check(t, "everything acknowledged is there", n.get("w", clientv3.WithPrefix()).Count >= count && n.revision() >= highest)
}
