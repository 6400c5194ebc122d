package kube

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// One apiserver serves all these: its start is what costs time.
func TestAPI(t *testing.T) {
	c := start(t, "--event-ttl=3s")
	for _, part := range []struct {
		name string
		run  func(*cluster)
	}{
		{"ConfigMapsAndSecrets", configMapsAndSecrets},
		{"LeaseLoop", leaseLoop},
		{"Events", shortLivedEvents},
		{"Pods", podLife},
		{"Patches", patches},
		{"ServerSideApply", serverSideApply},
		{"CustomResources", customResources},
		{"Pages", pages},
		{"ResourceVersions", resourceVersions},
		{"Watches", watches},
		{"DeleteCollection", deleteCollection},
		{"HealthAndMetrics", healthAndMetrics},
		{"CacheConsistency", cacheConsistency},
		{"CompactionMakesOldVersionsGone", compaction},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(c.as(t)) })
	}
}

const consistencyMetric = "apiserver_storage_consistency_checks_total{"

// Every resource's cache is compared with the store at an exact revision; a difference ends the process.
func cacheConsistency(c *cluster) {
	eventually(c.t, "each cache was compared", func() bool {
		_, body, err := c.Try("GET", "/metrics", "", nil)
		return err == nil && strings.Count(string(body), `status="success"`) >= 40
	})
	_, body, _ := c.Try("GET", "/metrics", "", nil)
	for _, line := range strings.Split(string(body), "\n") {
		check(c.t, line, !strings.HasPrefix(line, consistencyMetric) || !strings.Contains(line, `status="failure"`))
	}
}

func configMapsAndSecrets(c *cluster) {
	path := c.namespace("basic") + "/configmaps"
	created := c.create(path, configMap("a", "1"))
	again := c.call(409, "POST", path, jsonType, configMap("a", "2"))
	equal(c.t, "exists", field(again, "reason"), "AlreadyExists")
	created["data"] = object{"key": "2"}
	updated := c.update(path+"/a", created)
	check(c.t, "the version rises", number(version(updated)) > number(version(created)))
	equal(c.t, "read", field(c.get(path+"/a"), "data", "key"), "2")
	created["data"] = object{"key": "3"}
	equal(c.t, "stale", field(c.call(409, "PUT", path+"/a", jsonType, created), "reason"), "Conflict")
	same := c.update(path+"/a", updated)
	equal(c.t, "an update without a change writes nothing", version(same), version(updated))
	c.call(201, "POST", path+"?dryRun=All", jsonType, configMap("dry", "1"))
	c.call(404, "GET", path+"/dry", "", nil)
	c.remove(path + "/a?dryRun=All")
	c.get(path + "/a")
	c.remove(path + "/a")
	c.call(404, "GET", path+"/a", "", nil)
	c.call(404, "DELETE", path+"/a", "", nil)

	c.create(path, configMap("large", strings.Repeat("x", 1000<<10)))
	equal(c.t, "large", len(field(c.get(path+"/large"), "data", "key")), 1000<<10)
	c.call(422, "POST", path, jsonType, configMap("too-large", strings.Repeat("x", 1100<<10)))
	secret := c.create("/api/v1/namespaces/basic/secrets", object{"metadata": object{"name": "s"},
		"data": object{"bytes": base64.StdEncoding.EncodeToString([]byte{0, 1, 255})}, "type": "Opaque"})
	equal(c.t, "bytes", field(secret, "data", "bytes"), "AAH/")
	check(c.t, "listed", len(items(c.get("/api/v1/namespaces"))) >= 5)
	c.remove("/api/v1/namespaces/basic")
	equal(c.t, "a namespace goes through its finalizer", field(c.get("/api/v1/namespaces/basic"), "status", "phase"), "Terminating")
}

func leaseLoop(c *cluster) {
	c.namespace("leases")
	path := "/apis/coordination.k8s.io/v1/namespaces/leases/leases"
	lease := c.create(path, object{"metadata": object{"name": "node"}, "spec": object{"holderIdentity": "node", "leaseDurationSeconds": 40}})
	for i := range 200 {
		lease["spec"].(object)["renewTime"] = fmt.Sprintf("2026-01-01T00:%02d:%02d.000000Z", i/60, i%60)
		next := c.update(path+"/node", lease)
		check(c.t, "the version rises", number(version(next)) > number(version(lease)))
		if i == 100 {
			lease["spec"].(object)["holderIdentity"] = "somebody else"
			c.call(409, "PUT", path+"/node", jsonType, lease)
		}
		lease = next
	}
	equal(c.t, "the last renewal is there", field(c.get(path+"/node"), "spec", "renewTime"), "2026-01-01T00:03:19.000000Z")
	equal(c.t, "the holder did not change", field(lease, "spec", "holderIdentity"), "node")
}

func shortLivedEvents(c *cluster) {
	path := c.namespace("events") + "/events"
	w := c.watch(path, "")
	for i := range 10 {
		c.create(path, object{"metadata": object{"name": fmt.Sprint("e", i)}, "reason": "Test", "message": "m", "type": "Normal",
			"involvedObject": object{"kind": "Pod", "namespace": "events", "name": "p"}})
	}
	equal(c.t, "listed", len(items(c.get(path))), 10)
	equal(c.t, "in the other group too", len(items(c.get("/apis/events.k8s.io/v1/namespaces/events/events"))), 10)
	gone := map[string]bool{}
	for len(gone) < 10 {
		e := w.next()
		if e.Type == "DELETED" {
			equal(c.t, "the deletion carries the object", field(e.Object, "reason"), "Test")
			gone[field(e.Object, "metadata", "name")] = true
		} else {
			equal(c.t, "only creations before", e.Type, "ADDED")
		}
	}
	equal(c.t, "all expired", len(items(c.get(path))), 0)
}

func pod(name string) object {
	return object{"metadata": object{"name": name, "labels": object{"app": name[:1]}},
		"spec": object{"containers": []object{{"name": "main", "image": "image"}}}}
}

func podLife(c *cluster) {
	c.create("/api/v1/nodes", object{"metadata": object{"name": "node1"}})
	path := c.namespace("pods") + "/pods"
	w := c.watch(path, "fieldSelector="+escape("spec.nodeName=node1"))
	c.create(path, pod("a"))
	c.create(path, pod("b"))
	c.create(path+"/a/binding", object{"metadata": object{"name": "a"}, "target": object{"kind": "Node", "name": "node1"}})
	c.call(409, "POST", path+"/a/binding", jsonType, object{"metadata": object{"name": "a"}, "target": object{"kind": "Node", "name": "node2"}})
	c.patch(path+"/a/status", mergePatch, object{"status": object{"phase": "Running", "podIP": "10.1.1.1"}})
	bound := c.get(path + "/a")
	check(c.t, "bound and running", field(bound, "spec", "nodeName") == "node1" && field(bound, "status", "phase") == "Running")
	equal(c.t, "the kubelet sees it when bound", w.next().Type, "ADDED")
	equal(c.t, "then its status", w.next().Type, "MODIFIED")
	equal(c.t, "by label", names(c.get(path+"?labelSelector="+escape("app=b"))), "b")
	equal(c.t, "by field", names(c.get(path+"?fieldSelector="+escape("spec.nodeName=node1"))), "a")
	c.remove(path + "/b")
	c.call(404, "GET", path+"/b", "", nil)
	deleting := c.remove(path + "/a")
	check(c.t, "a bound pod waits for its kubelet", at(deleting, "metadata", "deletionTimestamp") != nil)
	c.remove(path + "/a?gracePeriodSeconds=0")
	last := w.next()
	equal(c.t, "marked", last.Type, "MODIFIED")
	for last.Type == "MODIFIED" { // the marks may come one by one
		last = w.next()
	}
	equal(c.t, "gone", last.Type, "DELETED")
}

func patches(c *cluster) {
	path := c.namespace("patches") + "/configmaps"
	c.create(path, object{"metadata": object{"name": "a", "labels": object{"x": "1"}}, "data": object{"one": "1", "two": "2"}})
	got := c.patch(path+"/a", mergePatch, object{"data": object{"one": nil, "three": "3"}})
	check(c.t, "merge", at(got, "data", "one") == nil && field(got, "data", "three") == "3" && field(got, "data", "two") == "2")
	got = c.patch(path+"/a", jsonPatch, []object{{"op": "test", "path": "/data/two", "value": "2"}, {"op": "replace", "path": "/data/two", "value": "zwei"}})
	equal(c.t, "JSON patch", field(got, "data", "two"), "zwei")
	c.call(422, "PATCH", path+"/a", jsonPatch, []object{{"op": "test", "path": "/data/two", "value": "2"}})
	c.create("/api/v1/namespaces/patches/pods", pod("p"))
	got = c.patch("/api/v1/namespaces/patches/pods/p", strategic, object{"spec": object{"containers": []object{{"name": "main", "image": "other"}}}})
	equal(c.t, "strategic", field(got, "spec", "containers", 0, "image"), "other")
	before := version(c.get(path + "/a"))
	c.call(409, "PATCH", path+"/a", mergePatch, object{"metadata": object{"resourceVersion": "1"}, "data": object{"x": "y"}})
	equal(c.t, "a stale patch writes nothing", version(c.get(path+"/a")), before)
}

func serverSideApply(c *cluster) {
	path := c.namespace("apply") + "/configmaps/a"
	body := func(value string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"key":%q}}`, value)
	}
	c.call(201, "PATCH", path+"?fieldManager=first", applyPatch, body("1"))
	got := c.patch(path+"?fieldManager=first", applyPatch, body("2"))
	equal(c.t, "applied", field(got, "data", "key"), "2")
	equal(c.t, "again without a change", version(c.patch(path+"?fieldManager=first", applyPatch, body("2"))), version(got))
	equal(c.t, "another's field", field(c.call(409, "PATCH", path+"?fieldManager=second", applyPatch, body("3")), "reason"), "Conflict")
	got = c.patch(path+"?fieldManager=second&force=true", applyPatch, body("3"))
	equal(c.t, "forced", field(got, "data", "key"), "3")
	equal(c.t, "managers", len(at(got, "metadata", "managedFields").([]any)), 1)
	c.call(200, "PATCH", path+"?fieldManager=second&dryRun=All", applyPatch, body("4"))
	equal(c.t, "dry run", field(c.get(path), "data", "key"), "3")
}

func customResources(c *cluster) {
	schema := object{"openAPIV3Schema": object{"type": "object", "properties": object{"spec": object{"type": "object",
		"properties": object{"size": object{"type": "integer"}}}}}}
	definition := "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	c.create(definition, object{"metadata": object{"name": "boats.tide.example"},
		"spec": object{"group": "tide.example", "scope": "Namespaced", "names": object{"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"},
			"versions": []object{{"name": "v1", "served": true, "storage": true, "schema": schema},
				{"name": "v2", "served": true, "storage": false, "schema": schema}}}})
	c.namespace("boats")
	one, two := "/apis/tide.example/v1/namespaces/boats/boats", "/apis/tide.example/v2/namespaces/boats/boats"
	eventually(c.t, "both versions are served", func() bool {
		a, _, _ := c.Try("GET", one, "", nil)
		b, _, _ := c.Try("GET", two, "", nil)
		return a == 200 && b == 200
	})
	boat := func(name, version string, size int) object {
		return object{"apiVersion": "tide.example/" + version, "kind": "Boat", "metadata": object{"name": name}, "spec": object{"size": size}}
	}
	w := c.watch(two, "")
	created := c.create(one, boat("a", "v1", 1))
	equal(c.t, "seen in the other version", w.next().Type, "ADDED")
	read := c.get(two + "/a")
	equal(c.t, "one object, one version number", version(read), version(created))
	read["spec"] = object{"size": 2}
	c.update(two+"/a", read)
	equal(c.t, "updated through the other version", field(c.get(one+"/a"), "spec", "size"), "2")
	for i := range 30 {
		c.create(one, boat(fmt.Sprintf("b%02d", i), "v1", i))
	}
	equal(c.t, "listed", len(items(c.get(two))), 31)
	c.call(422, "POST", one, jsonType, object{"apiVersion": "tide.example/v1", "kind": "Boat", "metadata": object{"name": "x"}, "spec": object{"size": "large"}})
	c.remove(definition + "/boats.tide.example")
	eventually(c.t, "the definition's end takes its objects along", func() bool {
		code, _, err := c.Try("GET", definition+"/boats.tide.example", "", nil)
		return err == nil && code == 404
	})
}

func fill(c *cluster, path string, count int) {
	c.t.Helper()
	for i := range count {
		c.create(path, configMap(fmt.Sprintf("m%03d", i), fmt.Sprint(i)))
	}
}

func pages(c *cluster) {
	path := c.namespace("pages") + "/configmaps"
	fill(c, path, 25)
	var got []string
	list := c.get(path + "?limit=10")
	first := version(list)
	equal(c.t, "remaining", field(list, "metadata", "remainingItemCount"), "15")
	c.create(path, configMap("m0005-between", "later"))
	c.remove(path + "/m020")
	for {
		got = append(got, names(list))
		equal(c.t, "all pages are of one version", version(list), first)
		token := field(list, "metadata", "continue")
		if token == "" {
			break
		}
		list = c.get(path + "?limit=10&continue=" + escape(token))
	}
	all := strings.Join(got, " ")
	check(c.t, "as it was at the first page: "+all, !strings.Contains(all, "between") && strings.Contains(all, "m020") && len(strings.Fields(all)) == 25)
}

func resourceVersions(c *cluster) {
	path := c.namespace("versions") + "/configmaps"
	c.create(path, configMap("a", "1"))
	old := c.get(path)
	at := version(old)
	c.create(path, configMap("b", "1"))
	c.remove(path + "/a")
	exact := "&resourceVersionMatch=Exact&resourceVersion="
	equal(c.t, "exact", names(c.get(path+"?x=y"+exact+at)), "a")
	equal(c.t, "exact, paged", names(c.get(path+"?limit=1"+exact+at)), "a")
	equal(c.t, "not older than", names(c.get(path+"?resourceVersionMatch=NotOlderThan&resourceVersion="+at)), "b")
	equal(c.t, "newest", names(c.get(path)), "b")
	c.get(path + "?resourceVersion=0")
	future := fmt.Sprint(number(at) + 100000)
	code, body, err := c.Try("GET", path+"?x=y"+exact+future, "", nil)
	check(c.t, fmt.Sprint("the future is too large: ", code, string(body)), err == nil && code == 504 && strings.Contains(string(body), "Too large resource version"))
	c.call(400, "GET", path+"?resourceVersion=abc", "", nil)
	// A write of another kind raises the version that a consistent list reports: one clock for everything.
	before := number(version(c.get(path)))
	c.create("/api/v1/namespaces/versions/secrets", object{"metadata": object{"name": "s"}})
	after := number(version(c.get(path)))
	check(c.t, "one clock over all kinds", after > before)
}

func watches(c *cluster) {
	path := c.namespace("watches") + "/configmaps"
	c.create(path, configMap("a", "1"))
	from := version(c.get(path))
	b := c.create(path, configMap("b", "1"))
	c.patch(path+"/a", mergePatch, object{"data": object{"key": "2"}})
	c.remove(path + "/b")
	w := c.watch(path, "resourceVersion="+from)
	for _, want := range []string{"ADDED b=1", "MODIFIED a=2", "DELETED b=1"} {
		e := w.next()
		equal(c.t, "from a version", e.String(), want)
		if e.Type == "DELETED" {
			check(c.t, "a deletion has a version of its own", number(version(e.Object)) > number(version(b)))
		}
	}
	zero := c.watch(path, "resourceVersion=0")
	equal(c.t, "from 0: what is there", zero.next().String(), "ADDED a=2")
	initial := c.watch(path, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
	equal(c.t, "initial events", initial.next().String(), "ADDED a=2")
	mark := initial.any()
	check(c.t, "then the bookmark that ends them", mark.Type == "BOOKMARK" && field(mark.Object, "metadata", "annotations", "k8s.io/initial-events-end") == "true")
	c.patch(path+"/a", mergePatch, object{"data": object{"key": "3"}})
	for _, each := range []*watch{w, zero, initial} {
		equal(c.t, "live", each.next().String(), "MODIFIED a=3")
	}
	selected := c.watch(path, "labelSelector="+escape("color=red")+"&resourceVersion="+version(c.get(path)))
	c.patch(path+"/a", mergePatch, object{"metadata": object{"labels": object{"color": "red"}}})
	c.patch(path+"/a", mergePatch, object{"metadata": object{"labels": object{"color": "blue"}}})
	equal(c.t, "enters the selection", selected.next().Type, "ADDED")
	equal(c.t, "leaves the selection", selected.next().Type, "DELETED")
	// The apiserver's bookmarks are fed by progress notifications of the store.
	marks := c.watch(path, "allowWatchBookmarks=true&timeoutSeconds=15&resourceVersion="+version(c.get(path)))
	c.create("/api/v1/namespaces/watches/secrets", object{"metadata": object{"name": "elsewhere"}})
	equal(c.t, "a bookmark before the end", marks.any().Type, "BOOKMARK")
}

func deleteCollection(c *cluster) {
	path := c.namespace("collection") + "/configmaps"
	fill(c, path, 40)
	c.patch(path+"/m007", mergePatch, object{"metadata": object{"labels": object{"keep": "yes"}}})
	w := c.watch(path, "resourceVersion="+version(c.get(path)))
	c.remove(path + "?labelSelector=" + escape("keep!=yes"))
	equal(c.t, "left", names(c.get(path)), "m007")
	for range 39 {
		equal(c.t, "each deletion is told", w.next().Type, "DELETED")
	}
}

func healthAndMetrics(c *cluster) {
	for _, path := range []string{"/livez/etcd", "/readyz/etcd-readiness", "/readyz"} {
		code, body, err := c.Try("GET", path, "", nil)
		check(c.t, fmt.Sprint(path, code, string(body)), err == nil && code == 200)
	}
	code, body, err := c.Try("GET", "/metrics", "", nil)
	check(c.t, fmt.Sprint("the store's size is known: ", err), code == 200 && strings.Contains(string(body), "apiserver_storage_size_bytes{"))
}

func compaction(c *cluster) {
	path := c.namespace("compaction") + "/configmaps"
	fill(c, path, 12)
	list := c.get(path + "?limit=5")
	old := version(list)
	for i := range 3 {
		c.patch(path+"/m000", mergePatch, object{"data": object{"key": fmt.Sprint("new", i)}})
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{c.store.Endpoint}, DialTimeout: patience, Logger: zap.NewNop()})
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := client.Compact(ctx, number(version(c.get(path))), clientv3.WithCompactPhysical()); err != nil {
		c.t.Fatal(err)
	}
	// Events are not cached: their lists and watches at an old version reach the store.
	events := "/api/v1/namespaces/compaction/events"
	gone := c.call(410, "GET", events+"?resourceVersionMatch=Exact&resourceVersion="+old, "", nil)
	equal(c.t, "list", field(gone, "reason"), "Expired")
	equal(c.t, "watch", field(c.watch(events, "resourceVersion="+old).any().Object, "code"), "410")
	// The cache serves what it still holds, so that page may come or be gone, but it must not be wrong.
	code, body, err := c.Try("GET", path+"?limit=5&continue="+escape(field(list, "metadata", "continue")), "", nil)
	check(c.t, fmt.Sprint("continued: ", code, " ", string(body)), err == nil && (code == 410 || code == 200))
	equal(c.t, "a fresh list is whole", len(items(c.get(path))), 12)
}
