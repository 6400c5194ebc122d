package client

import (
	"fmt"
	"math"
	"sort"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestLeaseGrant(t *testing.T) {
	n := fresh(t)
	r, err := n.Grant(n.ctx, 100)
	n.must(err)
	check(t, "an id of the server's choice", r.ID > 0 && r.TTL == 100 && r.Revision == 1)
	raw := pb.NewLeaseClient(n.ActiveConnection())
	for _, id := range []int64{7, -7} {
		g, err := raw.LeaseGrant(n.ctx, &pb.LeaseGrantRequest{ID: id, TTL: 100})
		n.must(err)
		equal(t, "an id of the client's choice", g.ID, id)
		_, err = raw.LeaseGrant(n.ctx, &pb.LeaseGrantRequest{ID: id, TTL: 100})
		refused(t, "taken", rpctypes.Error(err), rpctypes.ErrLeaseExist)
	}
	for _, seconds := range []int64{1, 0, -5} {
		g, err := n.Grant(n.ctx, seconds)
		n.must(err)
		equal(t, fmt.Sprint(seconds, " is raised to the minimum"), g.TTL, 2)
	}
	g, err := n.Grant(n.ctx, 9000000000)
	n.must(err)
	equal(t, "the largest", g.TTL, 9000000000)
	_, err = n.Grant(n.ctx, 9000000001)
	refused(t, "too large", err, rpctypes.ErrLeaseTTLTooLarge)
	_, err = n.Grant(n.ctx, math.MaxInt64)
	refused(t, "far too large", err, rpctypes.ErrLeaseTTLTooLarge)
}

func TestLeaseRevoke(t *testing.T) {
	n := fresh(t)
	lease, idle := n.grant(600), n.grant(600)
	for _, key := range []string{"/registry/pods/b", "x", "/registry/events/a", "gone", "moved"} {
		n.put(key, "v", clientv3.WithLease(lease))
	}
	n.put("x", "v") // without a lease: detached
	n.put("moved", "v", clientv3.WithLease(idle))
	n.del("gone")
	watch := n.Watch(n.ctx, "", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	<-watch
	_, err := n.Revoke(n.ctx, lease)
	n.must(err)
	equal(t, "deleted in key order at one revision", n.events(watch, 2), []string{
		fmt.Sprintf("DELETE /registry/events/a= c0 m10 v0 l0 before /registry/events/a=v c4 m4 v1 l%d", lease),
		fmt.Sprintf("DELETE /registry/pods/b= c0 m10 v0 l0 before /registry/pods/b=v c2 m2 v1 l%d", lease),
	})
	equal(t, "left", keys(n.get("", clientv3.WithPrefix()).Kvs), []string{"moved", "x"})
	_, err = n.Revoke(n.ctx, lease)
	refused(t, "twice", err, rpctypes.ErrLeaseNotFound)
	_, err = n.Put(n.ctx, "late", "v", clientv3.WithLease(lease))
	refused(t, "put afterwards", err, rpctypes.ErrLeaseNotFound)
	n.del("moved")
	_, err = n.Revoke(n.ctx, idle)
	n.must(err)
	equal(t, "a lease without keys takes no revision", n.revision(), 11)
}

func TestLeaseTimeToLiveAndList(t *testing.T) {
	n := fresh(t)
	lease := n.grant(100)
	for _, key := range []string{"b", "/registry/leases/a"} {
		n.put(key, "v", clientv3.WithLease(lease))
	}
	r, err := n.TimeToLive(n.ctx, lease, clientv3.WithAttachedKeys())
	n.must(err)
	check(t, "times", r.GrantedTTL == 100 && r.TTL >= 95 && r.TTL <= 100 && r.ID == lease)
	var names []string
	for _, key := range r.Keys {
		names = append(names, string(key))
	}
	sort.Strings(names)
	equal(t, "keys", names, []string{"/registry/leases/a", "b"})
	r, err = n.TimeToLive(n.ctx, lease)
	n.must(err)
	check(t, "keys only if asked", len(r.Keys) == 0)
	r, err = n.TimeToLive(n.ctx, 4711)
	n.must(err)
	check(t, "unknown", r.TTL == -1 && r.GrantedTTL == 0 && r.ID == 4711)
	want := map[clientv3.LeaseID]bool{lease: true, n.grant(50): true, n.grant(500): true}
	l, err := n.Leases(n.ctx)
	n.must(err)
	got := map[clientv3.LeaseID]bool{}
	for _, status := range l.Leases {
		got[status.ID] = true
	}
	equal(t, "list", got, want)
}

func TestLeaseExpires(t *testing.T) {
	n := fresh(t)
	short, kept := n.grant(2), n.grant(2)
	granted := time.Now()
	n.put("/registry/events/a", "v", clientv3.WithLease(short))
	n.put("b", "v", clientv3.WithLease(short))
	n.put("kept", "v", clientv3.WithLease(kept))
	alive, err := n.KeepAlive(n.ctx, kept)
	n.must(err)
	watch := n.Watch(n.ctx, "", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithRev(5))
	got := n.events(watch, 2)
	check(t, fmt.Sprint("not early: ", time.Since(granted)), time.Since(granted) >= 1900*time.Millisecond)
	check(t, fmt.Sprint("not late: ", time.Since(granted)), time.Since(granted) < 8*time.Second)
	equal(t, "one revision, with what was there before", got, []string{
		fmt.Sprintf("DELETE /registry/events/a= c0 m5 v0 l0 before /registry/events/a=v c2 m2 v1 l%d", short),
		fmt.Sprintf("DELETE b= c0 m5 v0 l0 before b=v c3 m3 v1 l%d", short),
	})
	eventually(t, "the lease is forgotten", patience, func() bool {
		r, err := n.TimeToLive(n.ctx, short)
		return err == nil && r.TTL == -1
	})
	for range 3 {
		r := <-alive
		check(t, "kept alive", r != nil && r.TTL == 2)
	}
	equal(t, "the other key lives", n.get("kept").Count, 1)
}

func TestLeaseKeepAlive(t *testing.T) {
	n := fresh(t)
	lease := n.grant(30)
	r, err := n.KeepAliveOnce(n.ctx, lease)
	n.must(err)
	check(t, "full time again", r.TTL == 30 && r.ID == lease)
	_, err = n.KeepAliveOnce(n.ctx, 4711)
	refused(t, "unknown", err, rpctypes.ErrLeaseNotFound)
	stream, err := pb.NewLeaseClient(n.ActiveConnection()).LeaseKeepAlive(n.ctx)
	n.must(err)
	ids := []int64{int64(lease), 4711, int64(lease), int64(n.grant(40))}
	for _, id := range ids {
		n.must(stream.Send(&pb.LeaseKeepAliveRequest{ID: id}))
	}
	for i, want := range []int64{30, 0, 30, 40} {
		r, err := stream.Recv()
		n.must(err)
		check(t, fmt.Sprint("answers in order: ", r), r.ID == ids[i] && r.TTL == want)
	}
}

func TestLeaseSurvivesRestart(t *testing.T) {
	n := fresh(t)
	long, short := n.grant(600), n.grant(3)
	n.put("/registry/events/long", "v", clientv3.WithLease(long))
	n.put("/registry/events/short", "v", clientv3.WithLease(short))
	n.restart(n.Kill)
	r, err := n.TimeToLive(n.ctx, long, clientv3.WithAttachedKeys())
	n.must(err)
	check(t, fmt.Sprint("still there with its key: ", r), r.GrantedTTL == 600 && r.TTL > 550 && r.TTL <= 600 && len(r.Keys) == 1)
	equal(t, "not expired by the restart itself", n.get("/registry/events/short").Count, 1)
	eventually(t, "the short one expires", patience, func() bool { return n.get("/registry/events/short").Count == 0 })
	equal(t, "the long one does not", n.get("/registry/events/long").Count, 1)
	n.restart(n.Stop)
	_, err = n.Put(n.ctx, "late", "v", clientv3.WithLease(short))
	refused(t, "an expired lease stays expired", err, rpctypes.ErrLeaseNotFound)
	_, err = n.Revoke(n.ctx, long)
	n.must(err)
	equal(t, "revoked after restarts", n.get("/registry/", clientv3.WithPrefix()).Count, 0)
}

func TestLeaseWithManyKeys(t *testing.T) {
	n := fresh(t)
	lease := n.grant(600)
	const count = 1000
	for i := 0; i < count; i += 100 {
		var ops []clientv3.Op
		for j := range 100 {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/registry/events/%04d", i+j), "v", clientv3.WithLease(lease)))
		}
		n.txn(nil, ops, nil)
	}
	before := n.revision()
	watch := n.Watch(n.ctx, "/registry/events/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch
	_, err := n.Revoke(n.ctx, lease)
	n.must(err)
	r := <-watch
	equal(t, "all in one response", len(r.Events), count)
	equal(t, "at one revision", n.revision(), before+1)
}
