package client

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tidemark.test/clients/harness"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// node is a server with one client to it. Methods end the test on an unexpected error.
type node struct {
	*clientv3.Client
	*harness.Server
	t   testing.TB
	ctx context.Context
}

func fresh(t testing.TB, flags ...string) *node {
	t.Helper()
	if p, ok := t.(*testing.T); ok {
		p.Parallel()
	}
	return attach(t, harness.Start(t, flags...))
}

// another is a further server of a test that has called fresh.
func another(t testing.TB, flags ...string) *node {
	t.Helper()
	return attach(t, harness.Start(t, flags...))
}

func attach(t testing.TB, s *harness.Server) *node {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return &node{Client: dial(t, s.Endpoint, nil), Server: s, t: t, ctx: ctx}
}

func dial(t testing.TB, endpoint string, change func(*clientv3.Config)) *clientv3.Client {
	t.Helper()
	config := clientv3.Config{
		Endpoints:          []string{endpoint},
		DialTimeout:        patience,
		MaxCallSendMsgSize: 16 << 20,
		Logger:             zap.NewNop(),
	}
	if change != nil {
		change(&config)
	}
	c, err := clientv3.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (n *node) put(key, value string, opts ...clientv3.OpOption) *clientv3.PutResponse {
	n.t.Helper()
	r, err := n.Put(n.ctx, key, value, opts...)
	n.must(err)
	return r
}

func (n *node) get(key string, opts ...clientv3.OpOption) *clientv3.GetResponse {
	n.t.Helper()
	r, err := n.Get(n.ctx, key, opts...)
	n.must(err)
	return r
}

func (n *node) del(key string, opts ...clientv3.OpOption) *clientv3.DeleteResponse {
	n.t.Helper()
	r, err := n.Delete(n.ctx, key, opts...)
	n.must(err)
	return r
}

func (n *node) txn(compares []clientv3.Cmp, then, otherwise []clientv3.Op) *clientv3.TxnResponse {
	n.t.Helper()
	r, err := n.Txn(n.ctx).If(compares...).Then(then...).Else(otherwise...).Commit()
	n.must(err)
	return r
}

func (n *node) compact(revision int64) {
	n.t.Helper()
	_, err := n.Compact(n.ctx, revision, clientv3.WithCompactPhysical())
	n.must(err)
}

func (n *node) grant(seconds int64) clientv3.LeaseID {
	n.t.Helper()
	r, err := n.Grant(n.ctx, seconds)
	n.must(err)
	return r.ID
}

// revision asks the server for the current one.
func (n *node) revision() int64 {
	n.t.Helper()
	return n.get("no such key").Header.Revision
}

func (n *node) kv() pb.KVClient       { return pb.NewKVClient(n.ActiveConnection()) }
func (n *node) watch() pb.WatchClient { return pb.NewWatchClient(n.ActiveConnection()) }

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// restart kills the server (or stops it) and starts it again on the same data.
func (n *node) restart(stop func()) {
	n.t.Helper()
	stop()
	n.Run()
	eventually(n.t, "the client is connected again", patience, func() bool {
		_, err := n.Get(n.ctx, "no such key")
		return err == nil
	})
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func check(t testing.TB, what string, condition bool) {
	t.Helper()
	if !condition {
		t.Fatal(what)
	}
}

// refused wants exactly this error of rpctypes: code and text.
func refused(t testing.TB, what string, got, want error) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got error %v (%T), want %v", what, got, got, want)
	}
}

// refusedWith wants a code and a text from a raw call.
func refusedWith(t testing.TB, what string, got error, code codes.Code, text string) {
	t.Helper()
	if s, ok := status.FromError(got); !ok || got == nil || s.Code() != code || s.Message() != text {
		t.Fatalf("%s: got error %v, want code %v with %q", what, got, code, text)
	}
}

func keys(kvs []*mvccpb.KeyValue) []string {
	names := []string{}
	for _, kv := range kvs {
		names = append(names, string(kv.Key))
	}
	return names
}

// text writes an item completely, so that one comparison checks all its fields.
func text(kv *mvccpb.KeyValue) string {
	if kv == nil {
		return "none"
	}
	return fmt.Sprintf("%s=%s c%d m%d v%d l%d", kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease)
}

func texts(kvs []*mvccpb.KeyValue) []string {
	all := []string{}
	for _, kv := range kvs {
		all = append(all, text(kv))
	}
	return all
}

// eventually polls what has no event to wait for (expiry, metrics) until it holds.
func eventually(t testing.TB, what string, limit time.Duration, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
