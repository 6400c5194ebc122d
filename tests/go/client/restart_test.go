package client

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"tidemark.test/clients/harness"
)

var watchAll = &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}}

// Writers, a watcher and kills: what was acknowledged is there once, at its revision, and the watcher saw it.
func TestKillsUnderLoad(t *testing.T) {
	n := fresh(t)
	const writers, kills = 6, 8
	prefixes := []string{"/registry/pods/", "/registry/leases/", "/registry/minions/", "/registry/events/", "/registry/x/", "y/"}
	type write struct {
		key      string
		revision int64
	}
	var mutex sync.Mutex
	var acknowledged []write
	count := func() int {
		mutex.Lock()
		defer mutex.Unlock()
		return len(acknowledged)
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for w := range writers {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("%sw%d/%06d", prefixes[w], w, i)
				ctx, cancel := context.WithTimeout(n.ctx, 3*time.Second)
				r, err := n.Put(ctx, key, key)
				cancel()
				if err == nil {
					mutex.Lock()
					acknowledged = append(acknowledged, write{key, r.Header.Revision})
					mutex.Unlock()
				}
			}
		}()
	}
	seen := map[int64]string{}
	watch := n.Watch(n.ctx, "", clientv3.WithPrefix(), clientv3.WithRev(1))
	last := int64(1)
	take := func(r clientv3.WatchResponse) {
		t.Helper()
		n.must(r.Err())
		for _, event := range r.Events {
			check(t, fmt.Sprintf("event %d after %d", event.Kv.ModRevision, last), event.Kv.ModRevision == last+1)
			last = event.Kv.ModRevision
			seen[last] = string(event.Kv.Key)
		}
	}
	for kill := range kills {
		target := (kill + 1) * 150
		for deadline := time.Now().Add(patience); count() < target; {
			check(t, "writes go on", time.Now().Before(deadline))
			select {
			case r := <-watch:
				take(r)
			case <-time.After(10 * time.Millisecond):
			}
		}
		n.Kill()
		n.Run()
	}
	close(stop)
	group.Wait()
	final := n.revision()
	for deadline := time.Now().Add(patience); last < final; {
		check(t, "the watcher catches up", time.Now().Before(deadline))
		select {
		case r := <-watch:
			take(r)
		case <-time.After(10 * time.Millisecond):
		}
	}
	once := map[int64]bool{}
	for _, w := range acknowledged {
		check(t, "a revision is given once", !once[w.revision])
		once[w.revision] = true
		equal(t, fmt.Sprint("watched at ", w.revision), seen[w.revision], w.key)
		got := n.get(w.key)
		check(t, "read back: "+w.key, len(got.Kvs) == 1 && got.Kvs[0].ModRevision == w.revision && got.Kvs[0].Version == 1)
	}
	t.Logf("%d acknowledged writes over %d kills", len(acknowledged), kills)
}

func TestSecondProcessIsKeptOut(t *testing.T) {
	n := fresh(t)
	port := harness.FreePort(t)
	command := exec.Command(harness.Binary(t), "--name", "only", "--data-dir", n.DataDir,
		"--listen-client-urls", fmt.Sprint("http://127.0.0.1:", port), "--advertise-client-urls", fmt.Sprint("http://127.0.0.1:", port),
		"--listen-peer-urls", fmt.Sprint("http://127.0.0.1:", harness.FreePort(t)))
	done := make(chan error, 1)
	command.Env = append(os.Environ(), "ETCD_MEMORY_DIR="+harness.MemoryDir(t))
	var output strings.Builder
	command.Stdout, command.Stderr = &output, &output
	n.must(command.Start())
	go func() { done <- command.Wait() }()
	select {
	case err := <-done:
		check(t, "it says so by its exit status", err != nil)
		check(t, "and in words: "+output.String(), strings.Contains(output.String(), "lock") || strings.Contains(output.String(), "in use"))
	case <-time.After(3 * time.Second):
		// etcd waits for the lock instead of giving up.
		check(t, "only etcd waits", harness.IsEtcd())
		command.Process.Kill()
		<-done
	}
	n.put("a", "1")
}

func TestBadStarts(t *testing.T) {
	t.Parallel()
	dir := harness.NewDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":         {[]string{"--no-such-flag"}, "no-such-flag"},
		"stray argument":       {[]string{"stray"}, "stray"},
		"data dir is a file":   {[]string{"--data-dir", file}, "file"},
		"TLS without a key":    {[]string{"--listen-client-urls", "https://127.0.0.1:0", "--advertise-client-urls", "https://127.0.0.1:0"}, "--cert-file"},
		"bad URL":              {[]string{"--listen-client-urls", "127.0.0.1:1"}, "127.0.0.1:1"},
		"missing config file":  {[]string{"--config-file", dir + "/none.yaml"}, "none.yaml"},
		"not a number":         {[]string{"--max-txn-ops", "many"}, "many"},
		"unknown feature gate": {[]string{"--feature-gates", "NoSuchGate=true"}, "NoSuchGate"},
	} {
		args := append([]string{"--data-dir", filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))}, c.args...)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		command := exec.CommandContext(ctx, harness.Binary(t), args...)
		command.Dir = dir
		command.Env = append(os.Environ(), "ETCD_MEMORY_DIR="+harness.MemoryDir(t))
		output, err := command.CombinedOutput()
		cancel()
		check(t, name+": it must not start", err != nil)
		check(t, fmt.Sprintf("%s: the message names %q: %s", name, c.want, output), strings.Contains(string(output), c.want))
		check(t, name+": it ended by itself", command.ProcessState.Exited() && command.ProcessState.ExitCode() > 0)
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	output, err := exec.Command(harness.Binary(t), "--version").Output()
	check(t, string(output), err == nil && strings.HasPrefix(string(output), "etcd Version: 3.7."))
	output, err = exec.Command(harness.Binary(t), "--help").CombinedOutput()
	check(t, "help names the flags", err == nil && strings.Contains(string(output), "--listen-client-urls"))
}

func TestEnvironmentAndConfigFile(t *testing.T) {
	dir := harness.NewDir(t)
	config := filepath.Join(dir, "config.yaml")
	client := fmt.Sprintf("http://127.0.0.1:%d", harness.FreePort(t))
	peer := fmt.Sprintf("http://127.0.0.1:%d", harness.FreePort(t))
	err := os.WriteFile(config, fmt.Appendf(nil, "name: from-file\ndata-dir: %s/data\nlisten-client-urls: %s\nadvertise-client-urls: %s\n"+
		"listen-peer-urls: %s\ninitial-advertise-peer-urls: %s\ninitial-cluster: from-file=%s\nmax-txn-ops: 3\n",
		dir, client, client, peer, peer, peer), 0o600)
	if err == nil && !harness.IsEtcd() {
		// With a configuration file other flags and variables are ignored.
		file, openErr := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
		if openErr != nil {
			t.Fatal(openErr)
		}
		_, err = fmt.Fprintf(file, "memory-dir: %s\n", harness.MemoryDir(t))
		file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]*exec.Cmd{
		"file": exec.Command(harness.Binary(t), "--config-file", config),
		"environment": {Path: harness.Binary(t), Args: []string{"server"}, Env: []string{"ETCD_NAME=from-file", "ETCD_DATA_DIR=" + dir + "/data2",
			"ETCD_LISTEN_CLIENT_URLS=" + client, "ETCD_ADVERTISE_CLIENT_URLS=" + client, "ETCD_LISTEN_PEER_URLS=" + peer,
			"ETCD_INITIAL_ADVERTISE_PEER_URLS=" + peer, "ETCD_INITIAL_CLUSTER=from-file=" + peer, "ETCD_MAX_TXN_OPS=3", "ETCD_MEMORY_DIR=" + harness.MemoryDir(t)}},
	} {
		log, err := os.Create(filepath.Join(dir, name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		command.Stdout, command.Stderr = log, log
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		c := dial(t, client, nil)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		var ops []clientv3.Op
		for i := range 4 {
			ops = append(ops, clientv3.OpPut(fmt.Sprint("k", i), "v"))
		}
		eventually(t, name+": up", patience, func() bool {
			short, stop := context.WithTimeout(ctx, time.Second)
			defer stop()
			_, err := c.Get(short, "a")
			return err == nil
		})
		_, err = c.Txn(ctx).Then(ops...).Commit()
		check(t, fmt.Sprint(name, ": the limit holds: ", err), err != nil && strings.Contains(err.Error(), "too many operations"))
		members, err := c.MemberList(ctx)
		check(t, fmt.Sprint(name, ": the name is known: ", err), err == nil && members.Members[0].Name == "from-file")
		cancel()
		command.Process.Kill()
		command.Wait()
		log.Close()
	}
}
