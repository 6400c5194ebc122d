package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"tidemark.test/clients/harness"
)

func TestStatus(t *testing.T) {
	n := fresh(t)
	before, err := n.Status(n.ctx, n.Endpoint)
	n.must(err)
	check(t, fmt.Sprint("a version that clients accept: ", before.Version), strings.HasPrefix(before.Version, "3.7."))
	check(t, "it leads itself", before.Leader == before.Header.MemberId && before.Leader != 0 && before.RaftTerm > 0)
	check(t, "small when empty", before.DbSize > 0 && before.DbSize <= 40<<10 && before.DbSizeInUse <= before.DbSize)
	check(t, "no trouble", len(before.Errors) == 0 && !before.IsLearner)
	equal(t, "quota", before.DbSizeQuota, 2<<30)
	for range 50 {
		n.put("a", strings.Repeat("x", 4096))
	}
	var after *clientv3.StatusResponse
	eventually(t, "the size grows with what is kept", patience, func() bool {
		after, err = n.Status(n.ctx, n.Endpoint)
		n.must(err)
		return after.DbSize >= 50*4096
	})
	check(t, "indexes grow", after.RaftIndex > before.RaftIndex && after.RaftAppliedIndex <= after.RaftIndex)
	equal(t, "revision", after.Header.Revision, 51)
}

func TestMemberList(t *testing.T) {
	n := fresh(t)
	r, err := n.MemberList(n.ctx)
	n.must(err)
	check(t, fmt.Sprint("one member: ", r.Members), len(r.Members) == 1)
	m := r.Members[0]
	check(t, "itself", m.Name == "only" && m.ID == r.Header.MemberId && !m.IsLearner)
	equal(t, "client URL", m.ClientURLs, []string{n.Endpoint})
	equal(t, "peer URLs", len(m.PeerURLs), 1)
	equal(t, "no revision here", r.Header.Revision, 0)
	n.must(n.Sync(n.ctx))
	equal(t, "the client found it", n.Endpoints(), []string{n.Endpoint})
}

func TestMemberIdentitySurvivesRestart(t *testing.T) {
	n := fresh(t)
	before := n.get("a").Header
	n.restart(n.Kill)
	after := n.get("a").Header
	check(t, "same ids", before.ClusterId == after.ClusterId && before.MemberId == after.MemberId)
	check(t, "the term does not go back", after.RaftTerm >= before.RaftTerm)
}

// A quota of 13 pages: full after a few puts of one key, empty again by compaction, defragmentation and disarm.
func TestQuotaAlarm(t *testing.T) {
	n := fresh(t, "--quota-backend-bytes", fmt.Sprint(13*4096))
	lease := n.grant(600)
	n.put("a", "small", clientv3.WithLease(lease))
	value := strings.Repeat("q", 4096)
	var err error
	for range 1000 {
		if _, err = n.Put(n.ctx, "a", value); err != nil {
			break
		}
	}
	refused(t, "full", err, rpctypes.ErrNoSpace)
	_, err = n.Txn(n.ctx).Then(clientv3.OpPut("b", "1")).Commit()
	refused(t, "a txn that puts", err, rpctypes.ErrNoSpace)
	_, err = n.Grant(n.ctx, 100)
	refused(t, "a lease", err, rpctypes.ErrNoSpace)
	alarms, err := n.AlarmList(n.ctx)
	n.must(err)
	check(t, fmt.Sprint("alarm raised: ", alarms.Alarms), len(alarms.Alarms) == 1 && alarms.Alarms[0].Alarm == pb.AlarmType_NOSPACE &&
		alarms.Alarms[0].MemberID == alarms.Header.MemberId)
	s, err := n.Status(n.ctx, n.Endpoint)
	n.must(err)
	check(t, fmt.Sprint("status tells: ", s.Errors), len(s.Errors) == 1 && strings.Contains(s.Errors[0], "NOSPACE"))
	n.get("a")
	n.txn([]clientv3.Cmp{clientv3.Compare(clientv3.Version("a"), ">", 0)}, []clientv3.Op{clientv3.OpDelete("none")}, nil)
	_, err = n.KeepAliveOnce(n.ctx, lease)
	n.must(err)
	n.restart(n.Kill)
	_, err = n.Put(n.ctx, "a", "x")
	refused(t, "the alarm survives a restart", err, rpctypes.ErrNoSpace)
	n.del("a")
	n.compact(n.revision())
	_, err = n.Defragment(n.ctx, n.Endpoint)
	n.must(err)
	disarmed, err := n.AlarmDisarm(n.ctx, &clientv3.AlarmMember{})
	n.must(err)
	// Tidemark's own alarm ends by itself when there is space again; etcd's waits for the operator.
	check(t, "disarmed", len(disarmed.Alarms) == 1 || !harness.IsEtcd())
	n.put("a", "again")
	alarms, err = n.AlarmList(n.ctx)
	n.must(err)
	equal(t, "no alarms", len(alarms.Alarms), 0)
}

func TestAlarmByHand(t *testing.T) {
	n := fresh(t)
	m := pb.NewMaintenanceClient(n.ActiveConnection())
	alarm := func(action pb.AlarmRequest_AlarmAction, member uint64, kind pb.AlarmType) []*pb.AlarmMember {
		t.Helper()
		r, err := m.Alarm(n.ctx, &pb.AlarmRequest{Action: action, MemberID: member, Alarm: kind})
		n.must(err)
		return r.Alarms
	}
	equal(t, "activate", len(alarm(pb.AlarmRequest_ACTIVATE, 5, pb.AlarmType_CORRUPT)), 1)
	equal(t, "again", len(alarm(pb.AlarmRequest_ACTIVATE, 5, pb.AlarmType_CORRUPT)), 1)
	equal(t, "activate nothing", len(alarm(pb.AlarmRequest_ACTIVATE, 5, pb.AlarmType_NONE)), 0)
	equal(t, "other kind", len(alarm(pb.AlarmRequest_GET, 0, pb.AlarmType_NOSPACE)), 0)
	_, err := n.Put(n.ctx, "a", "1")
	refused(t, "put", err, rpctypes.ErrCorrupt)
	_, err = n.Delete(n.ctx, "a")
	refused(t, "delete", err, rpctypes.ErrCorrupt)
	_, err = n.Compact(n.ctx, 1)
	refused(t, "compact", err, rpctypes.ErrCorrupt)
	_, err = n.Grant(n.ctx, 100)
	refused(t, "grant", err, rpctypes.ErrCorrupt)
	n.get("a")
	equal(t, "deactivate another", len(alarm(pb.AlarmRequest_DEACTIVATE, 6, pb.AlarmType_CORRUPT)), 0)
	equal(t, "deactivate", len(alarm(pb.AlarmRequest_DEACTIVATE, 5, pb.AlarmType_CORRUPT)), 1)
	n.put("a", "1")
}

// The hashes are a stock etcd 3.7.3's for the same history.
func TestHashKV(t *testing.T) {
	n := fresh(t)
	hash := func(revision int64) *pb.HashKVResponse {
		t.Helper()
		r, err := pb.NewMaintenanceClient(n.ActiveConnection()).HashKV(n.ctx, &pb.HashKVRequest{Revision: revision})
		n.must(err)
		return r
	}
	expect := func(what string, r *pb.HashKVResponse, want uint32, compacted, at, current int64) {
		t.Helper()
		equal(t, what, fmt.Sprint(r.Hash, r.CompactRevision, r.HashRevision, r.Header.Revision), fmt.Sprint(want, compacted, at, current))
	}
	expect("empty", hash(0), hashEmpty, -1, 1, 1)
	for i := range 20 {
		n.put(fmt.Sprintf("/registry/pods/%d", i%5), fmt.Sprint("value ", i))
		n.put(fmt.Sprintf("/registry/minions/%d", i%3), "node")
		if i%4 == 0 {
			n.del(fmt.Sprintf("/registry/pods/%d", i%5))
		}
	}
	n.txn(nil, []clientv3.Op{clientv3.OpPut("t1", "x"), clientv3.OpPut("t2", "")}, nil)
	now := n.revision()
	equal(t, "history", now, 47)
	expect("all", hash(0), hashAll, -1, 47, 47)
	expect("past", hash(30), hashAt30, -1, 30, 47)
	n.compact(30)
	expect("stored by the compaction, as before it", hash(30), hashAt30, -1, 30, 47)
	expect("now", hash(0), hashAfterCompaction, 30, 47, 47)
	_, err := n.Defragment(n.ctx, n.Endpoint)
	n.must(err)
	expect("unchanged by defragmentation", hash(0), hashAfterCompaction, 30, 47, 47)
	n.restart(n.Kill)
	expect("and by a restart", hash(0), hashAfterCompaction, 30, 47, 47)
	_, err = pb.NewMaintenanceClient(n.ActiveConnection()).HashKV(n.ctx, &pb.HashKVRequest{Revision: 29})
	refused(t, "compacted", rpctypes.Error(err), rpctypes.ErrCompacted)
	_, err = pb.NewMaintenanceClient(n.ActiveConnection()).HashKV(n.ctx, &pb.HashKVRequest{Revision: 48})
	refused(t, "future", rpctypes.Error(err), rpctypes.ErrFutureRev)
	r, err := pb.NewMaintenanceClient(n.ActiveConnection()).Hash(n.ctx, &pb.HashRequest{})
	n.must(err)
	check(t, "a whole hash", r.Hash != 0 && r.Header.Revision == 47)
}

func TestAutoCompaction(t *testing.T) {
	n := fresh(t, "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1s")
	n.put("a", "1")
	n.put("a", "2")
	eventually(t, "the first revision is compacted away", 30*time.Second, func() bool {
		_, err := n.Get(n.ctx, "a", clientv3.WithRev(2))
		return err == rpctypes.ErrCompacted
	})
	equal(t, "the value is there", text(n.get("a").Kvs[0]), "a=2 c2 m3 v2 l0")
}

func TestHealthService(t *testing.T) {
	n := fresh(t)
	health := grpc_health_v1.NewHealthClient(n.ActiveConnection())
	r, err := health.Check(n.ctx, &grpc_health_v1.HealthCheckRequest{})
	n.must(err)
	equal(t, "status", r.Status, grpc_health_v1.HealthCheckResponse_SERVING)
	_, err = health.Check(n.ctx, &grpc_health_v1.HealthCheckRequest{Service: "nothing"})
	equal(t, "unknown service", status.Code(err), codes.NotFound)
	watch, err := health.Watch(n.ctx, &grpc_health_v1.HealthCheckRequest{})
	n.must(err)
	w, err := watch.Recv()
	n.must(err)
	equal(t, "watched", w.Status, grpc_health_v1.HealthCheckResponse_SERVING)
}
