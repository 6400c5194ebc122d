package harness

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const apiserverToken = "test-admin"

// APIServer is a kube-apiserver process in front of a Server.
type APIServer struct {
	URL     string
	LogPath string

	t      testing.TB
	args   []string
	cmd    *exec.Cmd
	exited chan struct{}
	client *http.Client
}

// StartAPIServer runs KUBE_APISERVER_BIN on the store, with its cache checked against the store every few seconds.
func StartAPIServer(t testing.TB, store *Server, flags ...string) *APIServer {
	t.Helper()
	binary := os.Getenv("KUBE_APISERVER_BIN")
	if binary == "" {
		t.Skip("KUBE_APISERVER_BIN is not set")
	}
	dir := NewDir(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile, tokenFile := filepath.Join(dir, "sa.key"), filepath.Join(dir, "tokens.csv")
	for path, content := range map[string][]byte{
		keyFile:   pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		tokenFile: []byte(apiserverToken + ",admin,admin,system:masters\n"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := FreePort(t)
	a := &APIServer{
		URL:     fmt.Sprintf("https://127.0.0.1:%d", port),
		LogPath: filepath.Join(dir, "apiserver.log"),
		t:       t,
		args: append([]string{binary,
			"--etcd-servers=" + store.Endpoint,
			fmt.Sprintf("--secure-port=%d", port),
			"--bind-address=127.0.0.1",
			"--advertise-address=127.0.0.1",
			"--cert-dir=" + filepath.Join(dir, "certificates"),
			"--service-cluster-ip-range=10.0.0.0/24",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + keyFile,
			"--service-account-signing-key-file=" + keyFile,
			"--authorization-mode=RBAC",
			"--token-auth-file=" + tokenFile,
			"--allow-privileged=true",
			"--disable-admission-plugins=ServiceAccount",
			"--endpoint-reconciler-type=none",
		}, flags...),
		client: &http.Client{Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
			MaxIdleConnsPerHost: 32,
		}},
	}
	a.Run()
	t.Cleanup(func() {
		a.Kill()
		if t.Failed() {
			t.Logf("the end of %s:\n%s", a.LogPath, a.tail())
		}
	})
	return a
}

// Run starts the process and waits until it is ready.
func (a *APIServer) Run() {
	a.t.Helper()
	log, err := os.OpenFile(a.LogPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		a.t.Fatal(err)
	}
	defer log.Close()
	a.cmd = exec.Command(a.args[0], a.args[1:]...)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	a.cmd.Env = append(os.Environ(), "KUBE_WATCHCACHE_CONSISTENCY_CHECKER=true", "KUBE_PANIC_WATCH_DECODE_ERROR=true",
		"TIDEMARK_CONSISTENCY_CHECK_PERIOD=3s")
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	exited := make(chan struct{})
	a.exited = exited
	go func(cmd *exec.Cmd) {
		cmd.Wait()
		close(exited)
	}(a.cmd)
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if !a.Alive() || time.Now().After(deadline) {
			a.t.Fatalf("the apiserver is not ready; the end of its log:\n%s", a.tail())
		}
		if code, _, err := a.Try("GET", "/readyz", "", nil); err == nil && code == 200 {
			return
		}
	}
}

// Alive tells whether the process still runs: it panics when its cache and the store disagree.
func (a *APIServer) Alive() bool {
	select {
	case <-a.exited:
		return false
	default:
		return true
	}
}

// Kill ends the process as a crash would.
func (a *APIServer) Kill() {
	if a.cmd != nil {
		a.cmd.Process.Kill()
		<-a.exited
		a.cmd = nil
	}
}

// Open sends one request and leaves the answer's body to the caller.
func (a *APIServer) Open(method, path, contentType string, body []byte) (*http.Response, error) {
	request, err := http.NewRequest(method, a.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+apiserverToken)
	request.Header.Set("Accept", "application/json")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return a.client.Do(request)
}

// Try sends one request and reads the whole answer.
func (a *APIServer) Try(method, path, contentType string, body []byte) (int, []byte, error) {
	response, err := a.Open(method, path, contentType, body)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, content, err
}

// Log is everything the process wrote.
func (a *APIServer) Log() string {
	content, _ := os.ReadFile(a.LogPath)
	return string(content)
}

func (a *APIServer) tail() string {
	lines := strings.Split(a.Log(), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}
