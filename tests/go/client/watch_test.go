package client

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// events reads from a watch until n events came.
func (n *node) events(watch clientv3.WatchChan, count int) []string {
	n.t.Helper()
	var got []string
	for len(got) < count {
		select {
		case r, ok := <-watch:
			if !ok || r.Err() != nil {
				n.t.Fatalf("the watch ended after %v: %v", got, r.Err())
			}
			for _, event := range r.Events {
				got = append(got, eventText(event))
			}
		case <-time.After(patience):
			n.t.Fatalf("no event for %v after %v", patience, got)
		}
	}
	return got
}

func eventText(event *mvccpb.Event) string {
	line := event.Type.String() + " " + text(event.Kv)
	if event.PrevKv != nil {
		line += " before " + text(event.PrevKv)
	}
	return line
}

// quiet wants that nothing comes before an event that is made now.
func (n *node) quiet(watch clientv3.WatchChan, key string) {
	n.t.Helper()
	n.put(key, "end")
	got := n.events(watch, 1)
	check(n.t, fmt.Sprint("nothing more was sent: ", got), strings.HasPrefix(got[0], "PUT "+key+"=end"))
}

func TestWatchLive(t *testing.T) {
	n := fresh(t)
	watch := n.Watch(n.ctx, "k", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	created := <-watch
	check(t, "created", created.Created && created.Header.Revision == 1 && len(created.Events) == 0)
	n.put("k1", "a")
	n.put("other", "x")
	n.put("k1", "b")
	n.del("k1")
	n.put("k1", "c")
	equal(t, "events", n.events(watch, 4), []string{
		"PUT k1=a c2 m2 v1 l0",
		"PUT k1=b c2 m4 v2 l0 before k1=a c2 m2 v1 l0",
		"DELETE k1= c0 m5 v0 l0 before k1=b c2 m4 v2 l0",
		"PUT k1=c c6 m6 v1 l0",
	})
	n.quiet(watch, "k9")
}

func TestWatchHistory(t *testing.T) {
	n := fresh(t)
	n.put("a", "1")
	n.put("b", "1")
	n.put("a", "2")
	n.del("a")
	from := func(revision int64, opts ...clientv3.OpOption) clientv3.WatchChan {
		return n.Watch(n.ctx, "a", append(opts, clientv3.WithRev(revision), clientv3.WithPrevKV())...)
	}
	all := []string{
		"PUT a=1 c2 m2 v1 l0",
		"PUT a=2 c2 m4 v2 l0 before a=1 c2 m2 v1 l0",
		"DELETE a= c0 m5 v0 l0 before a=2 c2 m4 v2 l0",
	}
	equal(t, "from the start", n.events(from(1), 3), all)
	equal(t, "from the middle", n.events(from(3), 2), all[1:])
	equal(t, "from its own revision", n.events(from(5), 1), all[2:])
	equal(t, "a range", n.events(from(3, clientv3.WithRange("c")), 3), append([]string{"PUT b=1 c3 m3 v1 l0"}, all[1:]...))
	future := from(8)
	n.put("a", "6")
	n.put("a", "7")
	n.put("a", "8")
	equal(t, "from the future", n.events(future, 1), []string{"PUT a=8 c6 m8 v3 l0 before a=7 c6 m7 v2 l0"})
}

func TestWatchTransactionComesWhole(t *testing.T) {
	n := fresh(t)
	const keysPerTxn = 100
	live := n.Watch(n.ctx, "k", clientv3.WithPrefix())
	n.put("k", "first")
	n.events(live, 1)
	var puts []clientv3.Op
	for i := range keysPerTxn {
		puts = append(puts, clientv3.OpPut(fmt.Sprintf("k%03d", i), "v"))
	}
	for range 3 {
		n.txn(nil, puts, nil)
	}
	history := n.Watch(n.ctx, "k0", clientv3.WithPrefix(), clientv3.WithRev(1))
	for name, watch := range map[string]clientv3.WatchChan{"live": live, "history": history} {
		byRevision := map[int64]int{}
		for len(byRevision) < 3 {
			r := <-watch
			inThis := map[int64]int{}
			last := ""
			for _, event := range r.Events {
				if inThis[event.Kv.ModRevision] == 0 {
					last = ""
				}
				inThis[event.Kv.ModRevision]++
				check(t, name+": in the order of the transaction", string(event.Kv.Key) > last)
				last = string(event.Kv.Key)
			}
			for revision, count := range inThis {
				equal(t, fmt.Sprint(name, ": events of revision ", revision, " in one response"), count, keysPerTxn)
				byRevision[revision] += count
			}
		}
	}
}

func TestWatchFilters(t *testing.T) {
	n := fresh(t)
	noPut := n.Watch(n.ctx, "a", clientv3.WithFilterPut())
	noDelete := n.Watch(n.ctx, "a", clientv3.WithFilterDelete())
	old := n.Watch(n.ctx, "a", clientv3.WithFilterPut(), clientv3.WithRev(1))
	for range 2 {
		n.put("a", "1")
		n.del("a")
	}
	deletes := []string{"DELETE a= c0 m3 v0 l0", "DELETE a= c0 m5 v0 l0"}
	equal(t, "no puts", n.events(noPut, 2), deletes)
	equal(t, "no puts, history", n.events(old, 2), deletes)
	equal(t, "no deletes", n.events(noDelete, 2), []string{"PUT a=1 c2 m2 v1 l0", "PUT a=1 c4 m4 v1 l0"})
}

func TestWatchCompacted(t *testing.T) {
	n := fresh(t)
	for i := range 10 {
		n.put("a", fmt.Sprint(i))
	}
	live := n.Watch(n.ctx, "a")
	n.compact(8)
	r := <-n.Watch(n.ctx, "a", clientv3.WithRev(7))
	check(t, "cancelled with the compact revision", r.Canceled && r.CompactRevision == 8 && r.Err() == rpctypes.ErrCompacted)
	equal(t, "from the compact revision", n.events(n.Watch(n.ctx, "a", clientv3.WithRev(8)), 4)[0], "PUT a=6 c2 m8 v7 l0")
	n.quiet(live, "a")
	// The deletion at the compact revision is still told.
	n.del("a")
	n.compact(n.revision())
	equal(t, "tombstone", n.events(n.Watch(n.ctx, "a", clientv3.WithRev(13)), 1), []string{"DELETE a= c0 m13 v0 l0"})
}

func TestWatchManyOnOneStream(t *testing.T) {
	n := fresh(t)
	const watchers = 500
	channels := make([]clientv3.WatchChan, watchers)
	for i := range channels {
		channels[i] = n.Watch(n.ctx, fmt.Sprintf("k%d", i))
	}
	overlapping := n.Watch(n.ctx, "k", clientv3.WithPrefix())
	historic := n.Watch(n.ctx, "k", clientv3.WithPrefix(), clientv3.WithRev(1))
	n.put("k", "marker")
	n.events(overlapping, 1)
	for i := range watchers {
		n.put(fmt.Sprintf("k%d", i), "v")
	}
	for i, watch := range channels {
		equal(t, "own event", n.events(watch, 1), []string{fmt.Sprintf("PUT k%d=v c%d m%d v1 l0", i, i+3, i+3)})
	}
	n.events(overlapping, watchers)
	n.events(historic, watchers+1)
	// On many streams too: another metadata value makes another stream.
	for i := range 50 {
		channels[i] = n.Watch(clientv3.WithRequireLeader(context.WithValue(n.ctx, patience, i)), "new")
	}
	n.quiet(channels[0], "new")
}

func TestWatchClientCancels(t *testing.T) {
	n := fresh(t)
	ctx, cancel := context.WithCancel(n.ctx)
	first := n.Watch(ctx, "a")
	second := n.Watch(n.ctx, "a")
	n.put("a", "1")
	n.events(first, 1)
	n.events(second, 1)
	cancel()
	for range first {
	}
	n.put("a", "2")
	equal(t, "the other lives on", n.events(second, 1), []string{"PUT a=2 c2 m3 v2 l0"})
}

func TestWatchProgressOnRequest(t *testing.T) {
	n := fresh(t)
	var watches []clientv3.WatchChan
	for _, prefix := range []string{"/registry/pods/", "/registry/leases/", "rest"} {
		watches = append(watches, n.Watch(n.ctx, prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify()))
		<-watches[len(watches)-1]
	}
	everything := n.Watch(n.ctx, "", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-everything
	for round := range 20 {
		revision := n.put("/registry/pods/a", fmt.Sprint(round)).Header.Revision
		seen := map[int]bool{}
		eventSeen := false
		// The server may stay silent while a watcher lags: ask again, as kube-apiserver does.
		for deadline := time.Now().Add(patience); len(seen) < 4; {
			check(t, "progress in time", time.Now().Before(deadline))
			n.must(n.RequestProgress(n.ctx))
			tick := time.After(50 * time.Millisecond)
			for waiting := true; waiting && len(seen) < 4; {
				var r clientv3.WatchResponse
				which := -1
				select {
				case r = <-watches[0]:
					which = 0
				case r = <-watches[1]:
					which = 1
				case r = <-watches[2]:
					which = 2
				case r = <-everything:
					which = 3
				case <-tick:
					waiting = false
					continue
				}
				n.must(r.Err())
				if r.IsProgressNotify() {
					if which == 0 && r.Header.Revision >= revision {
						check(t, "no progress ahead of the event", eventSeen)
					}
					if r.Header.Revision >= revision {
						seen[which] = true
					}
				} else if which == 0 && len(r.Events) > 0 && r.Events[0].Kv.ModRevision == revision {
					eventSeen = true
				}
			}
		}
	}
}

func TestWatchProgressNotify(t *testing.T) {
	n := fresh(t, "--watch-progress-notify-interval", "200ms")
	n.put("elsewhere", "1")
	watch := n.Watch(n.ctx, "a", clientv3.WithProgressNotify(), clientv3.WithRev(1))
	deadline := time.After(patience)
	for notified := false; !notified; {
		select {
		case r := <-watch:
			n.must(r.Err())
			if r.IsProgressNotify() {
				check(t, "at the store's revision, although nothing matched", r.Header.Revision == 2)
				notified = true
			}
		case <-deadline:
			t.Fatal("no progress notification")
		}
	}
}

// raw opens a stream without the client library's help.
func (n *node) raw(requests ...*pb.WatchRequest) pb.Watch_WatchClient {
	n.t.Helper()
	stream, err := n.watch().Watch(n.ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	n.must(err)
	for _, r := range requests {
		n.must(stream.Send(r))
	}
	return stream
}

func create(r *pb.WatchCreateRequest) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}
}

func cancelWatch(id int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}
}

func (n *node) next(stream pb.Watch_WatchClient) *pb.WatchResponse {
	n.t.Helper()
	r, err := stream.Recv()
	n.must(err)
	return r
}

func TestWatchStreamRules(t *testing.T) {
	n := fresh(t)
	n.put("a", "1")
	s := n.raw()
	send := func(r *pb.WatchRequest) {
		t.Helper()
		n.must(s.Send(r))
	}
	for id := range int64(2) {
		send(create(&pb.WatchCreateRequest{Key: []byte("a")}))
		r := n.next(s)
		check(t, "ids count from 0", r.Created && !r.Canceled && r.WatchId == id && r.Header.Revision == 2)
	}
	send(create(&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 1}))
	r := n.next(s)
	check(t, "taken", r.Created && r.Canceled && r.WatchId == -1)
	equal(t, "reason", r.CancelReason, "mvcc: duplicate watch ID provided on the WatchStream")
	send(create(&pb.WatchCreateRequest{Key: []byte("a"), WatchId: -7}))
	equal(t, "an id of the client's choice", n.next(s).WatchId, -7)
	send(create(&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")}))
	r = n.next(s)
	check(t, "empty range", r.Created && r.Canceled && r.WatchId == -1)
	equal(t, "reason", r.CancelReason, "mvcc: watcher range is empty")
	send(create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: -1}))
	r = n.next(s)
	check(t, "before all time", r.Created && r.Canceled && r.WatchId == -1 && r.CompactRevision == 0)
	equal(t, "reason", r.CancelReason, "etcdserver: mvcc: required revision has been compacted")
	send(&pb.WatchRequest{})
	send(cancelWatch(99)) // unknown: no answer
	send(cancelWatch(1))
	r = n.next(s)
	check(t, "cancelled", r.Canceled && r.WatchId == 1 && r.CompactRevision == 0 && r.CancelReason == "")
	// Half-closing does not end the other watches.
	n.must(s.CloseSend())
	n.put("a", "2")
	for range 2 {
		r = n.next(s)
		check(t, "the rest live on", (r.WatchId == 0 || r.WatchId == -7) && len(r.Events) == 1 && r.Events[0].Kv.ModRevision == 3)
	}
}

func TestWatchEmptyKeyMeansEverything(t *testing.T) {
	n := fresh(t)
	s := n.raw(create(&pb.WatchCreateRequest{RangeEnd: []byte{0}}))
	check(t, "created", n.next(s).Created)
	n.put("\x00", "1")
	n.put("\xff", "1")
	equal(t, "lowest", string(n.next(s).Events[0].Kv.Key), "\x00")
	equal(t, "highest", string(n.next(s).Events[0].Kv.Key), "\xff")
}

// One revision larger than the fragment limit: many deletions with what was there before.
func TestWatchFragments(t *testing.T) {
	n := fresh(t)
	value := strings.Repeat("f", 100<<10)
	for i := range 60 {
		n.put(fmt.Sprintf("k%02d", i), value)
	}
	request := pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), PrevKv: true, Fragment: true}
	cut := n.raw(create(&request))
	n.next(cut)
	whole := n.raw(create(&pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), PrevKv: true}))
	n.next(whole)
	joined := n.Watch(n.ctx, "k", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithFragment(), clientv3.WithCreatedNotify())
	<-joined
	n.del("k", clientv3.WithPrefix())
	events := 0
	for parts := 1; ; parts++ {
		r := n.next(cut)
		size := 0
		for _, event := range r.Events {
			size += len(event.PrevKv.Value)
		}
		check(t, "a part stays below the limit", size < 2<<20 && r.Header.Revision == 62)
		events += len(r.Events)
		if !r.Fragment {
			check(t, fmt.Sprint("it was cut into ", parts), parts > 1 && events == 60)
			break
		}
	}
	r := n.next(whole)
	check(t, "not unless asked for", len(r.Events) == 60 && !r.Fragment)
	equal(t, "the client library joins the parts", len((<-joined).Events), 60)
}

func TestWatchLargeResponseWithoutFragments(t *testing.T) {
	n := fresh(t)
	value := strings.Repeat("f", 1<<20)
	for i := range 8 {
		n.put(fmt.Sprintf("k%d", i), value)
	}
	equal(t, "events", len(n.events(n.Watch(n.ctx, "k", clientv3.WithPrefix(), clientv3.WithRev(1)), 8)), 8)
}

func TestWatchSlowReaderHoldsNobodyUp(t *testing.T) {
	n := fresh(t)
	slow := n.raw(create(&pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), PrevKv: true}))
	n.next(slow)
	fast := n.Watch(n.ctx, "k", clientv3.WithPrefix())
	const writes = 3000
	value := strings.Repeat("s", 10<<10)
	go func() {
		for i := range writes {
			if _, err := n.Put(n.ctx, fmt.Sprintf("k%d", i%7), value); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	n.events(fast, writes)
	// Nobody has read from the slow stream; now everything is there, in order, once.
	for revision := int64(2); revision < writes+2; {
		for _, event := range n.next(slow).Events {
			equal(t, "no gap, no repeat", event.Kv.ModRevision, revision)
			revision++
		}
	}
}

func TestWatchEndsWithTheConnection(t *testing.T) {
	n := fresh(t)
	c := dial(t, n.Endpoint, nil)
	watch := c.Watch(n.ctx, "a")
	n.put("a", "1")
	n.events(watch, 1)
	c.Close()
	for r := range watch {
		check(t, "ended by the client", r.Canceled)
	}
	ctx, cancel := context.WithCancel(n.ctx)
	stream, err := n.watch().Watch(ctx)
	n.must(err)
	n.must(stream.Send(create(&pb.WatchCreateRequest{Key: []byte("a")})))
	n.next(stream)
	cancel()
	_, err = stream.Recv()
	check(t, "cancelled", err != nil && err != io.EOF)
}

func TestWatchResumesOverRestarts(t *testing.T) {
	n := fresh(t)
	prefixes := []string{"/registry/pods/", "/registry/leases/", "x/"}
	watch := n.Watch(n.ctx, "", clientv3.WithPrefix(), clientv3.WithRev(1))
	expected := int64(2)
	for round := range 4 {
		last := int64(0)
		for i := range 50 {
			last = n.put(fmt.Sprint(prefixes[i%3], i), "v").Header.Revision
		}
		if round%2 == 0 {
			n.restart(n.Kill)
		} else {
			n.restart(n.Stop)
		}
		for expected <= last {
			select {
			case r := <-watch:
				n.must(r.Err())
				for _, event := range r.Events {
					equal(t, "no gap, no repeat", event.Kv.ModRevision, expected)
					expected++
				}
			case <-time.After(patience):
				t.Fatalf("round %d: no event %d", round, expected)
			}
		}
	}
}
