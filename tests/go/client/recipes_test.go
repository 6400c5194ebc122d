package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	recipes "go.etcd.io/etcd/client/v3/experimental/recipes"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
)

func (n *node) session(opts ...concurrency.SessionOption) *concurrency.Session {
	n.t.Helper()
	s, err := concurrency.NewSession(n.Client, opts...)
	n.must(err)
	return s
}

func TestMutex(t *testing.T) {
	n := fresh(t)
	var inside, entries atomic.Int64
	var group sync.WaitGroup
	for range 10 {
		session := n.session()
		group.Add(1)
		go func() {
			defer group.Done()
			m := concurrency.NewMutex(session, "/lock")
			for range 5 {
				if err := m.Lock(n.ctx); err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two inside")
				}
				entries.Add(1)
				inside.Add(-1)
				if err := m.Unlock(n.ctx); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	equal(t, "entries", entries.Load(), 50)
	first, second := concurrency.NewMutex(n.session(), "/try"), concurrency.NewMutex(n.session(), "/try")
	n.must(first.TryLock(n.ctx))
	equal(t, "taken", second.TryLock(n.ctx), concurrency.ErrLocked)
}

func TestMutexOfADeadClient(t *testing.T) {
	n := fresh(t)
	c := dial(t, n.Endpoint, nil)
	session, err := concurrency.NewSession(c, concurrency.WithTTL(2))
	n.must(err)
	n.must(concurrency.NewMutex(session, "/lock").Lock(n.ctx))
	session.Orphan() // its keep-alives end, as if the client had died
	begin := time.Now()
	n.must(concurrency.NewMutex(n.session(), "/lock").Lock(n.ctx))
	check(t, fmt.Sprint("freed by expiry: ", time.Since(begin)), time.Since(begin) > time.Second)
}

func TestElection(t *testing.T) {
	n := fresh(t)
	first := n.session()
	a, b := concurrency.NewElection(first, "/president"), concurrency.NewElection(n.session(), "/president")
	n.must(a.Campaign(n.ctx, "a"))
	observed := b.Observe(n.ctx)
	equal(t, "observed", string((<-observed).Kvs[0].Value), "a")
	elected := make(chan error, 1)
	go func() { elected <- b.Campaign(n.ctx, "b") }()
	n.must(a.Proclaim(n.ctx, "a2"))
	equal(t, "proclaimed", string((<-observed).Kvs[0].Value), "a2")
	leader, err := b.Leader(n.ctx)
	n.must(err)
	equal(t, "leader", string(leader.Kvs[0].Value), "a2")
	n.must(a.Resign(n.ctx))
	n.must(<-elected)
	equal(t, "the next one", string((<-observed).Kvs[0].Value), "b")
	equal(t, "no longer", a.Proclaim(n.ctx, "a3"), concurrency.ErrElectionNotLeader)
}

func TestSoftwareTransactions(t *testing.T) {
	n := fresh(t)
	const accounts, workers, transfers = 5, 8, 20
	for i := range accounts {
		n.put(fmt.Sprintf("/registry/pods/account%d", i), "100")
	}
	var group sync.WaitGroup
	for w := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range transfers {
				from := fmt.Sprintf("/registry/pods/account%d", (w+i)%accounts)
				to := fmt.Sprintf("/registry/pods/account%d", (w+2*i+1)%accounts)
				_, err := concurrency.NewSTM(n.Client, func(s concurrency.STM) error {
					if from == to {
						return nil
					}
					var a, b int
					fmt.Sscan(s.Get(from), &a)
					fmt.Sscan(s.Get(to), &b)
					s.Put(from, fmt.Sprint(a-1))
					s.Put(to, fmt.Sprint(b+1))
					return nil
				}, concurrency.WithIsolation(concurrency.SerializableSnapshot))
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	sum := 0
	for _, kv := range n.get("/registry/pods/account", clientv3.WithPrefix()).Kvs {
		value := 0
		fmt.Sscan(string(kv.Value), &value)
		sum += value
	}
	equal(t, "nothing is lost", sum, accounts*100)
}

func TestQueueAndBarrier(t *testing.T) {
	n := fresh(t)
	queue := recipes.NewQueue(n.Client, "/queue")
	for i := range 5 {
		n.must(queue.Enqueue(fmt.Sprint(i)))
	}
	for i := range 5 {
		got, err := queue.Dequeue()
		n.must(err)
		equal(t, "first in, first out", got, fmt.Sprint(i))
	}
	priorities := recipes.NewPriorityQueue(n.Client, "/priorities")
	for _, p := range []uint16{3, 1, 2} {
		n.must(priorities.Enqueue(fmt.Sprint(p), p))
	}
	for i := 1; i <= 3; i++ {
		got, err := priorities.Dequeue()
		n.must(err)
		equal(t, "by priority", got, fmt.Sprint(i))
	}
	barrier := recipes.NewBarrier(n.Client, "/barrier")
	n.must(barrier.Hold())
	released := make(chan error, 1)
	go func() { released <- recipes.NewBarrier(n.Client, "/barrier").Wait() }()
	n.must(barrier.Release())
	n.must(<-released)
	lock := recipes.NewRWMutex(n.session(), "/rw")
	n.must(lock.RLock())
	other := recipes.NewRWMutex(n.session(), "/rw")
	n.must(other.RLock())
	n.must(other.RUnlock())
	n.must(lock.RUnlock())
	n.must(other.Lock())
	n.must(other.Unlock())
}

func TestNamespaceAndMirror(t *testing.T) {
	n := fresh(t)
	inside := namespace.NewKV(n.Client.KV, "ns/")
	_, err := inside.Put(n.ctx, "a", "1")
	n.must(err)
	equal(t, "prefixed", text(n.get("ns/a").Kvs[0]), "ns/a=1 c2 m2 v1 l0")
	r, err := inside.Get(n.ctx, "", clientv3.WithPrefix())
	n.must(err)
	equal(t, "stripped", keys(r.Kvs), []string{"a"})
	syncer := mirror.NewSyncer(n.Client, "ns/", 0)
	base, failures := syncer.SyncBase(n.ctx)
	var names []string
	for page := range base {
		names = append(names, keys(page.Kvs)...)
	}
	for err := range failures {
		t.Fatal(err)
	}
	equal(t, "base", names, []string{"ns/a"})
	updates := syncer.SyncUpdates(n.ctx)
	n.put("ns/b", "1")
	equal(t, "updates", n.events(updates, 1), []string{"PUT ns/b=1 c3 m3 v1 l0"})
}

// etcd's kubernetes client: list and watch one prefix while it changes, and end with the same map.
func TestListThenWatchMakesTheSameMap(t *testing.T) {
	n := fresh(t)
	const prefix = "/registry/pods/"
	stop := make(chan struct{})
	var group sync.WaitGroup
	for w := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("%s%d/%d", prefix, w, i%20)
				if i%5 == 4 {
					n.Delete(n.ctx, key)
				} else {
					n.Put(n.ctx, key, fmt.Sprint(i))
				}
			}
		}()
	}
	eventually(t, "writes flow", patience, func() bool { return n.revision() > 200 })
	state := map[string]string{}
	at := int64(0)
	for key, more := prefix, true; more; {
		opts := []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithLimit(7)}
		if at != 0 {
			opts = append(opts, clientv3.WithRev(at))
		}
		r := n.get(key, opts...)
		if at == 0 {
			at = r.Header.Revision
		}
		for _, kv := range r.Kvs {
			state[string(kv.Key)] = text(kv)
			key = string(kv.Key) + "\x00"
		}
		more = r.More
	}
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	watch := n.Watch(clientv3.WithRequireLeader(ctx), prefix, clientv3.WithPrefix(), clientv3.WithRev(at+1), clientv3.WithPrevKV(), clientv3.WithProgressNotify())
	time.AfterFunc(time.Second, func() { close(stop) })
	<-stop
	group.Wait()
	final := n.get(prefix, clientv3.WithPrefix())
	want := map[string]string{}
	for _, kv := range final.Kvs {
		want[string(kv.Key)] = text(kv)
	}
	for applied := at; applied < final.Header.Revision; {
		r := <-watch
		n.must(r.Err())
		for _, event := range r.Events {
			key := string(event.Kv.Key)
			if before, had := state[key]; had {
				equal(t, "the previous value is what was known", text(event.PrevKv), before)
			} else {
				check(t, "a new key has no previous value", event.PrevKv == nil && event.IsCreate())
			}
			if event.Type == clientv3.EventTypeDelete {
				delete(state, key)
			} else {
				state[key] = text(event.Kv)
			}
			applied = event.Kv.ModRevision
		}
	}
	equal(t, "the same map", state, want)
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	n := fresh(t)
	_, err := n.Revoke(n.ctx, 99)
	refused(t, "lease", err, rpctypes.ErrLeaseNotFound)
	_, err = n.Get(n.ctx, "a", clientv3.WithRev(99))
	refused(t, "revision", err, rpctypes.ErrFutureRev)
	_, err = n.MemberRemove(n.ctx, 99)
	check(t, "no such member, or not built yet", err != nil)
	equal(t, "nothing happened", n.revision(), 1)
}
