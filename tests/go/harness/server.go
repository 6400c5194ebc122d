// Package harness starts the server under test as a process of its own, as an operator would: TIDEMARK_BIN, or
// ETCD_BIN to prove a test's expectations against a stock etcd. Both are started with etcd's flags.
package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const startTimeout = 30 * time.Second

// Server is one process with its data directory and ports; they stay the same over restarts.
type Server struct {
	Endpoint string // of the client port, with its scheme
	DataDir  string
	LogPath  string

	t       testing.TB
	args    []string
	memory  string
	cmd     *exec.Cmd
	exited  chan struct{}
	exitErr error
}

// IsEtcd tells whether the stock etcd is under test.
func IsEtcd() bool { return os.Getenv("TIDEMARK_BIN") == "" && os.Getenv("ETCD_BIN") != "" }

// Binary is the server under test; a test without one cannot run.
func Binary(t testing.TB) string {
	for _, name := range []string{"TIDEMARK_BIN", "ETCD_BIN"} {
		if path := os.Getenv(name); path != "" {
			return path
		}
	}
	t.Skip("neither TIDEMARK_BIN nor ETCD_BIN is set")
	return ""
}

var serial atomic.Int64

// NewDir makes a directory on a real disk (TIDEMARK_TEST_DATA), removed when the test passed.
func NewDir(t testing.TB) string {
	base := os.Getenv("TIDEMARK_TEST_DATA")
	if base == "" {
		base = "../../../build/test-data"
	}
	base, err := filepath.Abs(base)
	if err == nil {
		err = os.MkdirAll(base, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := strings.NewReplacer("/", "_", " ", "_").Replace(t.Name())
	dir, err := os.MkdirTemp(base, fmt.Sprintf("%s-%d-", name, serial.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(dir)
		}
	})
	return dir
}

// MemoryDir names a place on tmpfs for a server's memory (ETCD_MEMORY_DIR; etcd does not mind), removed with the test: a
// server that is killed leaves it behind.
func MemoryDir(t testing.TB) string {
	dir := fmt.Sprintf("/dev/shm/tidemark-test-%d-%d", os.Getpid(), serial.Add(1))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Ports below the kernel's ephemeral range, counted up, so that neither a parallel test nor an outgoing connection
// takes one between the check and its use. Test processes that run at once start at different places.
var nextPort = func() *atomic.Int64 {
	var counter atomic.Int64
	counter.Store(int64(os.Getpid()*37) % 20000)
	return &counter
}()

// FreePort finds a port that nothing listens on.
func FreePort(t testing.TB) int {
	for range 1000 {
		port := 12000 + int(nextPort.Add(1)%20000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// Start runs a server with a fresh data directory; flags are added to those that give it ports and a place.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	return StartAt(t, fmt.Sprintf("http://127.0.0.1:%d", FreePort(t)), flags...)
}

// StartAt is Start with the client URL given.
func StartAt(t testing.TB, clientURL string, flags ...string) *Server {
	t.Helper()
	dir := NewDir(t)
	peer := fmt.Sprintf("http://127.0.0.1:%d", FreePort(t))
	s := &Server{
		Endpoint: clientURL,
		DataDir:  filepath.Join(dir, "data"),
		LogPath:  filepath.Join(dir, "log"),
		t:        t,
		memory:   MemoryDir(t),
	}
	s.args = append([]string{
		"--name", "only",
		"--data-dir", s.DataDir,
		"--listen-client-urls", clientURL,
		"--advertise-client-urls", clientURL,
		"--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer,
		"--initial-cluster", "only=" + peer,
	}, flags...)
	s.Run()
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("the end of %s:\n%s", s.LogPath, s.tail())
		}
	})
	return s
}

// Run starts the process again after Stop or Kill and waits until it serves.
func (s *Server) Run() {
	s.t.Helper()
	if err := s.TryRun(); err != nil {
		s.t.Fatalf("%v; the end of its log:\n%s", err, s.tail())
	}
}

// TryRun is Run for servers that are expected to fail.
func (s *Server) TryRun() error {
	log, err := os.OpenFile(s.LogPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	start, err := log.Seek(0, 2)
	if err != nil {
		return err
	}
	s.cmd = exec.Command(Binary(s.t), s.args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Dir = filepath.Dir(s.LogPath)
	s.cmd.Env = append(os.Environ(), "ETCD_MEMORY_DIR="+s.memory)
	// A test process that dies must not leave servers behind.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(cmd *exec.Cmd) {
		s.exitErr = cmd.Wait()
		close(exited)
	}(s.cmd)
	return s.waitReady(start)
}

func (s *Server) waitReady(from int64) error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		if content, err := os.ReadFile(s.LogPath); err == nil && int64(len(content)) > from &&
			bytes.Contains(content[from:], []byte("ready to serve client requests")) {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server ended: %v", s.exitErr)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("the server is not ready after %v", startTimeout)
}

// Kill ends the process as a crash would.
func (s *Server) Kill() { s.signalAndWait(syscall.SIGKILL) }

// Stop asks the process to end and waits for it.
func (s *Server) Stop() { s.signalAndWait(syscall.SIGTERM) }

func (s *Server) signalAndWait(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(signal)
	select {
	case <-s.exited:
	case <-time.After(startTimeout):
		s.cmd.Process.Kill()
		<-s.exited
		s.t.Errorf("the server did not end within %v of signal %v", startTimeout, signal)
	}
	s.cmd = nil
}

// Alive tells whether the process still runs.
func (s *Server) Alive() bool {
	select {
	case <-s.exited:
		return false
	default:
		return s.cmd != nil
	}
}

// Pid of the running process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// LogContains searches the whole log.
func (s *Server) LogContains(text string) bool {
	content, err := os.ReadFile(s.LogPath)
	return err == nil && bytes.Contains(content, []byte(text))
}

func (s *Server) tail() string {
	file, err := os.Open(s.LogPath)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	var lines []string
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		if len(lines) > 30 {
			lines = lines[1:]
		}
	}
	return strings.Join(lines, "\n")
}
