package client

import (
	"fmt"
	"math"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
)

func TestTxnCompares(t *testing.T) {
	n := fresh(t)
	lease := n.grant(600)
	n.put("k", "b")
	n.put("k", "m", clientv3.WithLease(lease)) // create 2, mod 3, version 2
	targets := map[string]func(key string, delta int) (clientv3.Cmp, any){
		"version": func(key string, d int) (clientv3.Cmp, any) { return clientv3.Version(key), 2 + d },
		"create":  func(key string, d int) (clientv3.Cmp, any) { return clientv3.CreateRevision(key), 2 + d },
		"mod":     func(key string, d int) (clientv3.Cmp, any) { return clientv3.ModRevision(key), 3 + d },
		"value":   func(key string, d int) (clientv3.Cmp, any) { return clientv3.Value(key), string(rune('m' + d)) },
		"lease": func(key string, d int) (clientv3.Cmp, any) {
			return clientv3.LeaseValue(key), lease + clientv3.LeaseID(d)
		},
	}
	// delta: the given operand is below, equal to, or above what is stored.
	holds := map[string]map[int]bool{
		"=":  {-1: false, 0: true, 1: false},
		"!=": {-1: true, 0: false, 1: true},
		">":  {-1: true, 0: false, 1: false},
		"<":  {-1: false, 0: false, 1: true},
	}
	for name, target := range targets {
		for operator, byDelta := range holds {
			for delta, want := range byDelta {
				left, right := target("k", delta)
				r := n.txn([]clientv3.Cmp{clientv3.Compare(left, operator, right)}, nil, nil)
				equal(t, fmt.Sprint(name, operator, delta), r.Succeeded, want)
				// A missing key counts as zeros, except that no comparison of its value holds.
				left, right = target("missing", delta)
				r = n.txn([]clientv3.Cmp{clientv3.Compare(left, operator, right)}, nil, nil)
				equal(t, fmt.Sprint("missing: ", name, operator, delta), r.Succeeded, name != "value" && (operator == "!=" || operator == "<"))
			}
		}
	}
	equal(t, "compares change nothing", n.revision(), 3)
	check(t, "no compare is true", n.txn(nil, nil, nil).Succeeded)
	check(t, "all must hold", !n.txn([]clientv3.Cmp{
		clientv3.Compare(clientv3.Version("k"), "=", 2), clientv3.Compare(clientv3.Version("k"), "=", 3)}, nil, nil).Succeeded)
	check(t, "signed", n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.Version("k"), ">", math.MinInt64)}, nil, nil).Succeeded)
}

func TestTxnRangeCompares(t *testing.T) {
	n := fresh(t)
	n.put("p/a", "1")
	n.put("p/b", "1")
	all := func(c clientv3.Cmp) bool { return n.txn([]clientv3.Cmp{c.WithPrefix()}, nil, nil).Succeeded }
	check(t, "every key", all(clientv3.Compare(clientv3.Value("p/"), "=", "1")))
	check(t, "one differs", !all(clientv3.Compare(clientv3.ModRevision("p/"), "=", 2)))
	check(t, "an empty range is like a missing key", all(clientv3.Compare(clientv3.Version("q/"), "=", 0)))
	check(t, "also for values", !all(clientv3.Compare(clientv3.Value("q/"), "!=", "x")))
	check(t, "half open", n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision("p/a"), "=", 2).WithRange("p/b")}, nil, nil).Succeeded)
}

func TestTxnBranchesAndAnswers(t *testing.T) {
	n := fresh(t)
	n.put("a", "0")
	r := n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.Value("a"), "=", "1")},
		[]clientv3.Op{clientv3.OpPut("a", "then")}, []clientv3.Op{clientv3.OpGet("a"), clientv3.OpDelete("none")})
	check(t, "else", !r.Succeeded && len(r.Responses) == 2)
	equal(t, "else's get", texts(r.Responses[0].GetResponseRange().Kvs), []string{"a=0 c2 m2 v1 l0"})
	equal(t, "else's delete", r.Responses[1].GetResponseDeleteRange().Deleted, 0)
	equal(t, "nothing changed", r.Header.Revision, 2)
}

func TestTxnSeesItsOwnWrites(t *testing.T) {
	n := fresh(t)
	n.put("a", "0")
	n.put("c", "0")
	r := n.txn(nil, []clientv3.Op{
		clientv3.OpGet("a", clientv3.WithFromKey()),
		clientv3.OpPut("b", "1", clientv3.WithPrevKV()),
		clientv3.OpGet("b"),
		clientv3.OpDelete("c", clientv3.WithPrevKV()),
		clientv3.OpGet("a", clientv3.WithFromKey(), clientv3.WithKeysOnly()),
		clientv3.OpGet("b", clientv3.WithRev(2)),
		clientv3.OpPut("a", "2", clientv3.WithPrevKV()),
	}, nil)
	equal(t, "one revision", r.Header.Revision, 4)
	equal(t, "before", keys(r.Responses[0].GetResponseRange().Kvs), []string{"a", "c"})
	equal(t, "its header", r.Responses[0].GetResponseRange().Header.Revision, 3)
	check(t, "new key has no previous", r.Responses[1].GetResponsePut().PrevKv == nil)
	equal(t, "own put", texts(r.Responses[2].GetResponseRange().Kvs), []string{"b=1 c4 m4 v1 l0"})
	equal(t, "its header", r.Responses[2].GetResponseRange().Header.Revision, 4)
	equal(t, "deleted", texts(r.Responses[3].GetResponseDeleteRange().PrevKvs), []string{"c=0 c3 m3 v1 l0"})
	equal(t, "after", keys(r.Responses[4].GetResponseRange().Kvs), []string{"a", "b"})
	equal(t, "history is untouched", r.Responses[5].GetResponseRange().Count, 0)
	equal(t, "previous", text(r.Responses[6].GetResponsePut().PrevKv), "a=0 c2 m2 v1 l0")
	equal(t, "after all", texts(n.get("a", clientv3.WithFromKey()).Kvs), []string{"a=2 c2 m4 v2 l0", "b=1 c4 m4 v1 l0"})
}

func TestTxnNested(t *testing.T) {
	n := fresh(t)
	n.put("a", "0")
	inner := clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Value("b"), "=", "1")},
		[]clientv3.Op{clientv3.OpPut("inner", "then")},
		[]clientv3.Op{clientv3.OpPut("inner", "else"), clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpPut("deep", "1")}, nil)})
	r := n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.Value("a"), "=", "0")}, []clientv3.Op{clientv3.OpPut("b", "1"), inner}, nil)
	check(t, "outer", r.Succeeded && r.Header.Revision == 3 && len(r.Responses) == 2)
	nested := r.Responses[1].GetResponseTxn()
	// Compares of all levels look at the state before the transaction: b was not there.
	check(t, "inner", !nested.Succeeded && len(nested.Responses) == 2)
	check(t, "deep", nested.Responses[1].GetResponseTxn().Succeeded)
	equal(t, "all at one revision", texts(n.get("b", clientv3.WithFromKey()).Kvs),
		[]string{"b=1 c3 m3 v1 l0", "deep=1 c3 m3 v1 l0", "inner=else c3 m3 v1 l0"})
}

func TestTxnRefusals(t *testing.T) {
	n := fresh(t)
	put := func(key string) clientv3.Op { return clientv3.OpPut(key, "v") }
	for name, ops := range map[string][]clientv3.Op{
		"two puts":                 {put("a"), put("a")},
		"put and delete":           {put("a"), clientv3.OpDelete("a")},
		"put in a deleted range":   {clientv3.OpDelete("a", clientv3.WithRange("c")), put("b")},
		"put and nested put":       {put("a"), clientv3.OpTxn(nil, []clientv3.Op{put("a")}, nil)},
		"nested delete":            {put("a"), clientv3.OpTxn(nil, nil, []clientv3.Op{clientv3.OpDelete("a")})},
		"puts of two nested":       {clientv3.OpTxn(nil, []clientv3.Op{put("a")}, nil), clientv3.OpTxn(nil, []clientv3.Op{put("a")}, nil)},
		"delete before nested put": {clientv3.OpDelete("a"), clientv3.OpTxn(nil, []clientv3.Op{put("a")}, nil)},
	} {
		_, err := n.Txn(n.ctx).Then(ops...).Commit()
		refused(t, name, err, rpctypes.ErrDuplicateKey)
		_, err = n.Txn(n.ctx).Else(ops...).Commit()
		refused(t, name+" in the other branch", err, rpctypes.ErrDuplicateKey)
	}
	for name, ops := range map[string][]clientv3.Op{
		"two deletes":                {clientv3.OpDelete("a"), clientv3.OpDelete("a", clientv3.WithPrefix())},
		"put and get":                {put("a"), clientv3.OpGet("a")},
		"branches of one nested":     {clientv3.OpTxn(nil, []clientv3.Op{put("a")}, []clientv3.Op{put("a")})},
		"put beside a deleted range": {clientv3.OpDelete("a", clientv3.WithRange("c")), put("c")},
	} {
		_, err := n.Txn(n.ctx).Then(ops...).Commit()
		refused(t, name, err, nil)
	}
	var many []clientv3.Op
	for i := range 129 {
		many = append(many, put(fmt.Sprint("m", i)))
	}
	_, err := n.Txn(n.ctx).Then(many...).Commit()
	refused(t, "129 operations", err, rpctypes.ErrTooManyOps)
	_, err = n.Txn(n.ctx).Then(many[:128]...).Commit()
	refused(t, "128 operations", err, nil)
	_, err = n.Txn(n.ctx).Then(append(many[:64:64], clientv3.OpTxn(nil, many[64:], nil))...).Commit()
	refused(t, "the budget counts nested ones", err, rpctypes.ErrTooManyOps)
	_, err = n.kv().Txn(n.ctx, &pb.TxnRequest{Success: []*pb.RequestOp{{}}})
	refusedWith(t, "an operation without content", err, codes.InvalidArgument, "etcdserver: key not found")
}

func TestTxnFailsWhole(t *testing.T) {
	n := fresh(t)
	n.put("a", "1")
	for name, c := range map[string]struct {
		op   clientv3.Op
		want error
	}{
		"future":        {clientv3.OpGet("a", clientv3.WithRev(3)), rpctypes.ErrFutureRev},
		"unknown lease": {clientv3.OpPut("b", "1", clientv3.WithLease(77)), rpctypes.ErrLeaseNotFound},
		"no value":      {clientv3.OpPut("b", "", clientv3.WithIgnoreValue()), rpctypes.ErrKeyNotFound},
	} {
		_, err := n.Txn(n.ctx).Then(clientv3.OpPut("a", "2"), c.op).Commit()
		refused(t, name, err, c.want)
		equal(t, name+": nothing done", texts(n.get("a").Kvs), []string{"a=1 c2 m2 v1 l0"})
		// On the path not taken it does not matter.
		_, err = n.Txn(n.ctx).If(clientv3.Compare(clientv3.Version("a"), "=", 0)).Then(c.op).Commit()
		refused(t, name+", not taken", err, nil)
	}
	equal(t, "no revision used", n.revision(), 2)
}

func TestTxnAsKubernetesDoes(t *testing.T) {
	n := fresh(t)
	create := func(key, value string) *clientv3.TxnResponse {
		return n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", 0)}, []clientv3.Op{clientv3.OpPut(key, value)}, nil)
	}
	update := func(key, value string, at int64) *clientv3.TxnResponse {
		return n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", at)},
			[]clientv3.Op{clientv3.OpPut(key, value)}, []clientv3.Op{clientv3.OpGet(key)})
	}
	r := create("/registry/pods/a", "1")
	check(t, "created", r.Succeeded && r.Header.Revision == 2)
	r = create("/registry/pods/a", "2")
	check(t, "exists", !r.Succeeded && r.Header.Revision == 2 && len(r.Responses) == 0)
	r = update("/registry/pods/a", "3", 2)
	check(t, "updated", r.Succeeded && r.Header.Revision == 3)
	create("/registry/leases/b", "1")
	r = update("/registry/pods/a", "4", 2)
	check(t, "conflict", !r.Succeeded && r.Header.Revision == 4)
	equal(t, "the current object", texts(r.Responses[0].GetResponseRange().Kvs), []string{"/registry/pods/a=3 c2 m3 v2 l0"})
	r = n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision("/registry/pods/a"), "=", 3)},
		[]clientv3.Op{clientv3.OpDelete("/registry/pods/a")}, []clientv3.Op{clientv3.OpGet("/registry/pods/a")})
	check(t, "deleted at its own revision", r.Succeeded && r.Header.Revision == 5)
}

// The default partition map separates these prefixes; etcd does not. Nothing of that may be seen.
func TestTxnOverManyPrefixes(t *testing.T) {
	n := fresh(t)
	prefixes := []string{"/registry/events/", "/registry/leases/", "/registry/minions/", "/registry/pods/", "/registry/secrets/", "other/"}
	var puts []clientv3.Op
	for _, prefix := range prefixes {
		puts = append(puts, clientv3.OpPut(prefix+"a", "1"), clientv3.OpPut(prefix+"b", "1"))
	}
	r := n.txn([]clientv3.Cmp{
		clientv3.Compare(clientv3.ModRevision("/registry/"), "=", 0).WithPrefix(),
		clientv3.Compare(clientv3.ModRevision("/registry/pods/a"), "=", 0),
	}, puts, nil)
	check(t, "one revision", r.Succeeded && r.Header.Revision == 2 && len(r.Responses) == 12)
	all := n.get("/registry/", clientv3.WithPrefix(), clientv3.WithLimit(7))
	check(t, "range over all", all.Count == 10 && all.More && len(all.Kvs) == 7 && string(all.Kvs[6].Key) == "/registry/pods/a")
	check(t, "a compare over all", n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision("/registry/"), "=", 2).WithPrefix()}, nil, nil).Succeeded)
	n.put("/registry/pods/a", "2")
	check(t, "one differs", !n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision("/registry/"), "=", 2).WithPrefix()}, nil, nil).Succeeded)
	sorted := n.get("/registry/", clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend), clientv3.WithLimit(1))
	equal(t, "sorted over all", texts(sorted.Kvs), []string{"/registry/pods/a=2 c2 m3 v2 l0"})
	r = n.txn(nil, []clientv3.Op{
		clientv3.OpDelete("/registry/minions/", clientv3.WithRange("/registry/pods/b"), clientv3.WithPrevKV()),
		clientv3.OpGet("/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly()),
		clientv3.OpPut("other/c", "1"),
	}, nil)
	equal(t, "deleted over two", keys(r.Responses[0].GetResponseDeleteRange().PrevKvs),
		[]string{"/registry/minions/a", "/registry/minions/b", "/registry/pods/a"})
	check(t, "then counted", r.Responses[1].GetResponseRange().Count == 7 && r.Header.Revision == 4)
	equal(t, "old state", n.get("/registry/", clientv3.WithPrefix(), clientv3.WithRev(3)).Count, 10)
	d := n.del("/registry/", clientv3.WithPrefix())
	check(t, "wiped", d.Deleted == 7 && d.Header.Revision == 5 && n.get("", clientv3.WithPrefix()).Count == 3)
}

// Of several faults the first in the order of operations is told, wherever the keys live.
func TestTxnNamesItsFirstFault(t *testing.T) {
	n := fresh(t)
	for range 9 {
		n.put("/registry/pods/a", "1")
	}
	n.compact(8)
	prefixes := []string{"/registry/pods/", "/registry/minions/", "/registry/leases/", "/registry/events/", "other/"}
	type fault struct {
		op   func(key string) clientv3.Op
		want error
	}
	reads := []fault{
		{func(key string) clientv3.Op { return clientv3.OpGet(key, clientv3.WithRev(3)) }, rpctypes.ErrCompacted},
		{func(key string) clientv3.Op { return clientv3.OpGet(key, clientv3.WithRev(99)) }, rpctypes.ErrFutureRev},
		{func(string) clientv3.Op { return clientv3.OpGet("", clientv3.WithPrefix(), clientv3.WithRev(3)) }, rpctypes.ErrCompacted},
	}
	writes := []fault{
		{func(key string) clientv3.Op { return clientv3.OpPut(key, "", clientv3.WithLease(7)) }, rpctypes.ErrLeaseNotFound},
		{func(key string) clientv3.Op { return clientv3.OpPut(key, "", clientv3.WithIgnoreValue()) }, rpctypes.ErrKeyNotFound},
	}
	for _, faults := range [][]fault{reads, append(writes, reads...)} {
		for i, one := range faults {
			for j, other := range faults {
				for k, prefix := range prefixes {
					key, elsewhere := prefix+"none1", prefixes[(k+1+i+j)%len(prefixes)]+"none2"
					what := fmt.Sprint(one.want, " at ", key, ", then ", other.want, " at ", elsewhere)
					ops := []clientv3.Op{clientv3.OpGet("other/"), one.op(key), other.op(elsewhere)}
					_, err := n.Txn(n.ctx).Then(ops...).Commit()
					refused(t, what, err, one.want)
					_, err = n.Txn(n.ctx).Then(clientv3.OpTxn(nil, ops[:2], nil), ops[2]).Commit()
					refused(t, what+", nested", err, one.want)
				}
			}
		}
	}
}
