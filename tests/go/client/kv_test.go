package client

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestFreshStoreStartsAtRevisionOne(t *testing.T) {
	n := fresh(t)
	r := n.get("a")
	equal(t, "revision", r.Header.Revision, 1)
	check(t, "cluster, member and term are set", r.Header.ClusterId != 0 && r.Header.MemberId != 0 && r.Header.RaftTerm > 0)
	equal(t, "count", r.Count, 0)
	equal(t, "first write", n.put("a", "1").Header.Revision, 2)
}

func TestPutFields(t *testing.T) {
	n := fresh(t)
	lease := n.grant(600)
	n.put("a", "1")
	n.put("a", "2", clientv3.WithLease(lease))
	equal(t, "after two puts", texts(n.get("a").Kvs), []string{fmt.Sprintf("a=2 c2 m3 v2 l%d", lease)})
	equal(t, "previous", text(n.put("a", "3", clientv3.WithPrevKV()).PrevKv), fmt.Sprintf("a=2 c2 m3 v2 l%d", lease))
	check(t, "no previous unless asked", n.put("a", "4").PrevKv == nil)
	check(t, "no previous of a new key", n.put("b", "1", clientv3.WithPrevKV()).PrevKv == nil)
	n.del("a")
	n.put("a", "again")
	equal(t, "a new life", texts(n.get("a").Kvs), []string{"a=again c8 m8 v1 l0"})
	n.put("a", "again")
	equal(t, "the same value is a change", texts(n.get("a").Kvs), []string{"a=again c8 m9 v2 l0"})
}

func TestPutIgnoreOptions(t *testing.T) {
	n := fresh(t)
	lease := n.grant(600)
	_, err := n.Put(n.ctx, "a", "", clientv3.WithIgnoreValue())
	refused(t, "ignore_value of a missing key", err, rpctypes.ErrKeyNotFound)
	_, err = n.Put(n.ctx, "a", "1", clientv3.WithIgnoreLease())
	refused(t, "ignore_lease of a missing key", err, rpctypes.ErrKeyNotFound)
	_, err = n.Put(n.ctx, "a", "1", clientv3.WithLease(12345))
	refused(t, "unknown lease", err, rpctypes.ErrLeaseNotFound)
	n.put("a", "1", clientv3.WithLease(lease))
	_, err = n.Put(n.ctx, "a", "2", clientv3.WithIgnoreValue())
	refused(t, "ignore_value with value", err, rpctypes.ErrValueProvided)
	_, err = n.Put(n.ctx, "a", "2", clientv3.WithIgnoreLease(), clientv3.WithLease(lease))
	refused(t, "ignore_lease with lease", err, rpctypes.ErrLeaseProvided)
	n.put("a", "2", clientv3.WithIgnoreLease())
	equal(t, "lease kept", text(n.get("a").Kvs[0]), fmt.Sprintf("a=2 c2 m3 v2 l%d", lease))
	n.put("a", "", clientv3.WithIgnoreValue())
	equal(t, "value kept, lease gone", text(n.get("a").Kvs[0]), "a=2 c2 m4 v3 l0")
	equal(t, "refusals took no revision", n.revision(), 4)
}

func TestEmptyKeyRefused(t *testing.T) {
	n := fresh(t)
	_, err := n.Put(n.ctx, "", "x")
	refused(t, "put", err, rpctypes.ErrEmptyKey)
	_, err = n.Get(n.ctx, "")
	refused(t, "get", err, rpctypes.ErrEmptyKey)
	_, err = n.Delete(n.ctx, "")
	refused(t, "delete", err, rpctypes.ErrEmptyKey)
	_, err = n.Txn(n.ctx).If(clientv3.Compare(clientv3.Version(""), "=", 0)).Commit()
	refused(t, "compare", err, rpctypes.ErrEmptyKey)
}

func TestBytesAreBytes(t *testing.T) {
	n := fresh(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	key := string(all)
	n.put(key, "")
	r := n.get(key)
	equal(t, "key", string(r.Kvs[0].Key), key)
	equal(t, "an empty value is a value", len(r.Kvs[0].Value), 0)
	n.put("\xff\xff", string(all))
	equal(t, "order is unsigned", keys(n.get("\x00", clientv3.WithFromKey()).Kvs), []string{key, "\xff\xff"})
	equal(t, "prefix of 0xff", keys(n.get("\xff", clientv3.WithPrefix()).Kvs), []string{"\xff\xff"})
}

func TestRangeBounds(t *testing.T) {
	n := fresh(t)
	for _, key := range []string{"a", "b", "b/1", "b/2", "b0", "c"} {
		n.put(key, key)
	}
	for name, c := range map[string]struct {
		key  string
		opts []clientv3.OpOption
		want []string
	}{
		"one":            {"b", nil, []string{"b"}},
		"none":           {"bb", nil, []string{}},
		"half open":      {"b", []clientv3.OpOption{clientv3.WithRange("c")}, []string{"b", "b/1", "b/2", "b0"}},
		"prefix":         {"b/", []clientv3.OpOption{clientv3.WithPrefix()}, []string{"b/1", "b/2"}},
		"from key":       {"b0", []clientv3.OpOption{clientv3.WithFromKey()}, []string{"b0", "c"}},
		"everything":     {"", []clientv3.OpOption{clientv3.WithPrefix()}, []string{"a", "b", "b/1", "b/2", "b0", "c"}},
		"inverted":       {"c", []clientv3.OpOption{clientv3.WithRange("a")}, []string{}},
		"empty":          {"b", []clientv3.OpOption{clientv3.WithRange("b")}, []string{}},
		"between keys":   {"b/11", []clientv3.OpOption{clientv3.WithRange("b/22")}, []string{"b/2"}},
		"serializable":   {"a", []clientv3.OpOption{clientv3.WithSerializable(), clientv3.WithRange("b/")}, []string{"a", "b"}},
		"negative limit": {"a", []clientv3.OpOption{clientv3.WithRange("b/"), clientv3.WithLimit(-1)}, []string{"a", "b"}},
	} {
		r := n.get(c.key, c.opts...)
		equal(t, name, keys(r.Kvs), c.want)
		equal(t, name+": count", r.Count, int64(len(c.want)))
		equal(t, name+": revision", r.Header.Revision, 7)
	}
}

func TestRangeLimitMoreCount(t *testing.T) {
	n := fresh(t)
	for i := range 10 {
		n.put(fmt.Sprintf("k%d", i), "v")
	}
	r := n.get("k", clientv3.WithPrefix(), clientv3.WithLimit(3))
	equal(t, "limited", keys(r.Kvs), []string{"k0", "k1", "k2"})
	check(t, "more", r.More)
	equal(t, "count ignores the limit", r.Count, 10)
	r = n.get("k", clientv3.WithPrefix(), clientv3.WithLimit(10))
	check(t, "exactly the limit is not more", !r.More && len(r.Kvs) == 10)
	r = n.get("k", clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithLimit(3))
	check(t, "count only", r.Count == 10 && len(r.Kvs) == 0 && !r.More)
	r = n.get("k", clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
	equal(t, "keys only", text(r.Kvs[0]), "k0= c2 m2 v1 l0")
	// The next page, as kube-apiserver asks for it.
	r = n.get("k2\x00", clientv3.WithRange(clientv3.GetPrefixRangeEnd("k")), clientv3.WithLimit(3), clientv3.WithRev(r.Header.Revision))
	equal(t, "next page", keys(r.Kvs), []string{"k3", "k4", "k5"})
	equal(t, "count of the rest", r.Count, 7)
}

func TestRangeSort(t *testing.T) {
	n := fresh(t)
	// versions 3 1 2, values c a b, creation order y z x, modification order z x y
	n.put("y", "0")
	n.put("z", "a")
	n.put("x", "0")
	n.put("x", "b")
	n.put("y", "0")
	n.put("y", "c")
	for name, c := range map[string]struct {
		target clientv3.SortTarget
		want   string
	}{
		"key":     {clientv3.SortByKey, "xyz"},
		"version": {clientv3.SortByVersion, "zxy"},
		"create":  {clientv3.SortByCreateRevision, "yzx"},
		"mod":     {clientv3.SortByModRevision, "zxy"},
		"value":   {clientv3.SortByValue, "zxy"},
	} {
		ascending := strings.Join(keys(n.get("x", clientv3.WithFromKey(), clientv3.WithSort(c.target, clientv3.SortAscend)).Kvs), "")
		equal(t, name, ascending, c.want)
		descending := n.get("x", clientv3.WithFromKey(), clientv3.WithSort(c.target, clientv3.SortDescend), clientv3.WithLimit(2))
		equal(t, name+" descending", strings.Join(keys(descending.Kvs), ""), string([]byte{c.want[2], c.want[1]}))
		check(t, name+": more", descending.More && descending.Count == 3)
	}
	// A target without an order sorts ascending what was read in key order: one key more than the limit.
	for target, want := range map[pb.RangeRequest_SortTarget]string{pb.RangeRequest_CREATE: "y", pb.RangeRequest_VERSION: "x"} {
		raw, err := n.kv().Range(n.ctx, &pb.RangeRequest{Key: []byte("x"), RangeEnd: []byte{0}, Limit: 1, SortTarget: target})
		n.must(err)
		equal(t, fmt.Sprint("no order, by ", target), keys(raw.Kvs), []string{want})
	}
	_, err := n.kv().Range(n.ctx, &pb.RangeRequest{Key: []byte("x"), SortOrder: 7})
	refusedWith(t, "unknown order", err, codes.InvalidArgument, "etcdserver: invalid sort option")
	_, err = n.kv().Range(n.ctx, &pb.RangeRequest{Key: []byte("x"), SortTarget: 9})
	refusedWith(t, "unknown target", err, codes.InvalidArgument, "etcdserver: invalid sort option")
}

func TestRangeRevisionFilters(t *testing.T) {
	n := fresh(t)
	for _, key := range []string{"a", "b", "c", "d", "b"} {
		n.put(key, "v")
	}
	// a c2 m2, b c3 m6, c c4 m4, d c5 m5
	for name, c := range map[string]struct {
		opts []clientv3.OpOption
		want string
	}{
		"min mod":    {[]clientv3.OpOption{clientv3.WithMinModRev(5)}, "bd"},
		"max mod":    {[]clientv3.OpOption{clientv3.WithMaxModRev(4)}, "ac"},
		"min create": {[]clientv3.OpOption{clientv3.WithMinCreateRev(4)}, "cd"},
		"max create": {[]clientv3.OpOption{clientv3.WithMaxCreateRev(3)}, "ab"},
		"both":       {[]clientv3.OpOption{clientv3.WithMinModRev(4), clientv3.WithMaxModRev(5)}, "cd"},
		"limit":      {[]clientv3.OpOption{clientv3.WithMinModRev(4), clientv3.WithLimit(2)}, "bc"},
	} {
		r := n.get("a", append(c.opts, clientv3.WithFromKey())...)
		equal(t, name, strings.Join(keys(r.Kvs), ""), c.want)
		equal(t, name+": count ignores filters", r.Count, 4)
		equal(t, name+": more", r.More, name == "limit")
	}
}

func TestHistoricReads(t *testing.T) {
	n := fresh(t)
	n.put("a", "1")
	n.put("b", "1")
	n.put("a", "2")
	n.del("b")
	for revision, want := range map[int64][]string{
		1: {},
		2: {"a=1 c2 m2 v1 l0"},
		3: {"a=1 c2 m2 v1 l0", "b=1 c3 m3 v1 l0"},
		4: {"a=2 c2 m4 v2 l0", "b=1 c3 m3 v1 l0"},
		5: {"a=2 c2 m4 v2 l0"},
	} {
		r := n.get("a", clientv3.WithFromKey(), clientv3.WithRev(revision))
		equal(t, fmt.Sprint("at ", revision), texts(r.Kvs), want)
		equal(t, "the header has the current revision", r.Header.Revision, 5)
		equal(t, "count is of that revision", r.Count, int64(len(want)))
	}
	_, err := n.Get(n.ctx, "a", clientv3.WithRev(6))
	refused(t, "future", err, rpctypes.ErrFutureRev)
}

func TestDelete(t *testing.T) {
	n := fresh(t)
	for _, key := range []string{"a", "b", "c", "d"} {
		n.put(key, key)
	}
	r := n.del("x")
	check(t, "deleting nothing takes no revision", r.Deleted == 0 && r.Header.Revision == 5)
	r = n.del("b", clientv3.WithRange("d"), clientv3.WithPrevKV())
	equal(t, "deleted", r.Deleted, 2)
	equal(t, "previous", texts(r.PrevKvs), []string{"b=b c3 m3 v1 l0", "c=c c4 m4 v1 l0"})
	equal(t, "one revision for all", r.Header.Revision, 6)
	equal(t, "left", keys(n.get("a", clientv3.WithFromKey()).Kvs), []string{"a", "d"})
	r = n.del("\x00", clientv3.WithFromKey())
	check(t, "everything", r.Deleted == 2 && r.PrevKvs == nil)
	equal(t, "gone", n.get("a", clientv3.WithFromKey()).Count, 0)
}

func TestCompaction(t *testing.T) {
	n := fresh(t)
	for i := range 5 {
		n.put("a", fmt.Sprint(i))
	}
	n.put("b", "1")
	n.del("b")
	_, err := n.Compact(n.ctx, 9)
	refused(t, "future", err, rpctypes.ErrFutureRev)
	n.compact(5)
	_, err = n.Compact(n.ctx, 5)
	refused(t, "again", err, rpctypes.ErrCompacted)
	_, err = n.Compact(n.ctx, 2)
	refused(t, "older", err, rpctypes.ErrCompacted)
	_, err = n.Get(n.ctx, "a", clientv3.WithRev(4))
	refused(t, "read below", err, rpctypes.ErrCompacted)
	equal(t, "read at the compact revision", text(n.get("a", clientv3.WithRev(5)).Kvs[0]), "a=3 c2 m5 v4 l0")
	n.compact(8)
	equal(t, "compact to now", text(n.get("a").Kvs[0]), "a=4 c2 m6 v5 l0")
	equal(t, "compaction takes no revision", n.revision(), 8)
	_, err = n.Txn(n.ctx).Then(clientv3.OpPut("c", "1"), clientv3.OpGet("a", clientv3.WithRev(6))).Commit()
	refused(t, "inside a txn", err, rpctypes.ErrCompacted)
	check(t, "and nothing of it happened", n.get("c").Count == 0 && n.revision() == 8)
	n.restart(n.Kill)
	_, err = n.Get(n.ctx, "a", clientv3.WithRev(7))
	refused(t, "compacted stays compacted", err, rpctypes.ErrCompacted)
	equal(t, "revision after the restart", n.revision(), 8)
}

func TestRequestSizes(t *testing.T) {
	n := fresh(t)
	n.put("fits", strings.Repeat("x", 1400<<10))
	equal(t, "read back", len(n.get("fits").Kvs[0].Value), 1400<<10)
	_, err := n.Put(n.ctx, "large", strings.Repeat("x", 1536<<10))
	refused(t, "1.5 MiB", err, rpctypes.ErrRequestTooLarge)
	_, err = n.Txn(n.ctx).Then(clientv3.OpPut("a", strings.Repeat("x", 800<<10)), clientv3.OpPut("b", strings.Repeat("x", 800<<10))).Commit()
	refused(t, "two halves", err, rpctypes.ErrRequestTooLarge)
	_, err = n.Put(n.ctx, "huge", strings.Repeat("x", 3<<20))
	check(t, fmt.Sprint("3 MiB is refused by the transport: ", err), status.Code(err) == codes.ResourceExhausted ||
		strings.Contains(fmt.Sprint(err), "received message larger than max"))
	equal(t, "the connection still works", n.put("after", "").Header.Revision, 3)
	small := another(t, "--max-request-bytes", "2048")
	_, err = small.Put(small.ctx, "a", strings.Repeat("x", 2100))
	refused(t, "the flag", err, rpctypes.ErrRequestTooLarge)
	small.put("a", strings.Repeat("x", 1900))
}

func TestLargeAnswers(t *testing.T) {
	n := fresh(t)
	value := strings.Repeat("v", 1<<20)
	for i := range 24 {
		n.put(fmt.Sprintf("k%02d", i), value)
	}
	r := n.get("k", clientv3.WithPrefix())
	equal(t, "items", len(r.Kvs), 24)
	for _, kv := range r.Kvs {
		check(t, "value arrived whole", string(kv.Value) == value)
	}
}

func TestRangeStream(t *testing.T) {
	n := fresh(t)
	const items = 500
	value := strings.Repeat("s", 4000)
	for i := range items {
		n.put(fmt.Sprintf("k%04d", i), value)
	}
	for name, opts := range map[string][]clientv3.OpOption{
		"all":       {},
		"limit":     {clientv3.WithLimit(77)},
		"old":       {clientv3.WithRev(100)},
		"keys only": {clientv3.WithKeysOnly()},
		"count":     {clientv3.WithCountOnly()},
	} {
		opts = append(opts, clientv3.WithPrefix())
		stream, err := n.GetStream(n.ctx, "k", opts...)
		n.must(err)
		got, err := clientv3.GetStreamToGetResponse(stream)
		n.must(err)
		want := n.get("k", opts...)
		equal(t, name+": items", texts(got.Kvs), texts(want.Kvs))
		equal(t, name+": count", got.Count, want.Count)
		equal(t, name+": more", got.More, want.More)
		equal(t, name+": revision", got.Header.Revision, want.Header.Revision)
	}
	stream, err := n.kv().RangeStream(n.ctx, &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")})
	n.must(err)
	first, err := stream.Recv()
	n.must(err)
	check(t, "the first chunk has no header", first.RangeResponse.Header == nil && len(first.RangeResponse.Kvs) > 0)
	stream, err = n.kv().RangeStream(n.ctx, &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), SortOrder: pb.RangeRequest_DESCEND})
	if err == nil {
		_, err = stream.Recv()
	}
	refusedWith(t, "sorted", err, codes.Unimplemented, "RangeStream does not support custom sort orders")
	stream, err = n.kv().RangeStream(n.ctx, &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), MinModRevision: 3})
	if err == nil {
		_, err = stream.Recv()
	}
	refusedWith(t, "filtered", err, codes.Unimplemented, "RangeStream does not support revision filters")
}

func TestConcurrentWritesGetDenseRevisions(t *testing.T) {
	n := fresh(t)
	const writers, each = 32, 50
	revisions := make([][]int64, writers)
	var group sync.WaitGroup
	for w := range writers {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range each {
				key := fmt.Sprintf("w%d/%d", w, i)
				r, err := n.Put(n.ctx, key, "v")
				if err != nil {
					t.Error(err)
					return
				}
				got, err := n.Get(n.ctx, key)
				if err != nil || len(got.Kvs) != 1 || got.Kvs[0].ModRevision != r.Header.Revision || got.Header.Revision < r.Header.Revision {
					t.Errorf("own write %s at %d: read %v, %v", key, r.Header.Revision, got, err)
					return
				}
				revisions[w] = append(revisions[w], r.Header.Revision)
			}
		}()
	}
	group.Wait()
	var all []int64
	for _, own := range revisions {
		check(t, "one client's revisions rise", sort.SliceIsSorted(own, func(i, j int) bool { return own[i] < own[j] }))
		all = append(all, own...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	for i, revision := range all {
		equal(t, "dense", revision, int64(i+2))
	}
}

func TestCallerGivesUp(t *testing.T) {
	n := fresh(t)
	cancelled, cancel := context.WithCancel(n.ctx)
	cancel()
	_, err := n.Get(cancelled, "a")
	equal(t, "cancelled", err, context.Canceled)
	late, cancel2 := context.WithDeadline(n.ctx, time.Now().Add(-time.Second))
	defer cancel2()
	_, err = n.Put(late, "a", "1")
	equal(t, "too late", err, context.DeadlineExceeded)
	equal(t, "not written", n.revision(), 1)
}

func TestUnknownMethod(t *testing.T) {
	n := fresh(t)
	err := n.ActiveConnection().Invoke(n.ctx, "/etcdserverpb.KV/Increment", &pb.RangeRequest{}, &pb.RangeResponse{})
	equal(t, "code", status.Code(err), codes.Unimplemented)
	err = n.ActiveConnection().Invoke(n.ctx, "/no.such.Service/Get", &pb.RangeRequest{}, &pb.RangeResponse{})
	equal(t, "code", status.Code(err), codes.Unimplemented)
}
