package kube

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Writers, watchers and two kinds of crash. Afterwards nothing acknowledged is missing, versions never went back, and
// each watcher saw every change of every object once.
func TestKills(t *testing.T) {
	c := start(t)
	path := c.namespace("kills") + "/configmaps"
	const writers = 4
	type ack struct {
		name  string
		value int
	}
	var mutex sync.Mutex
	acknowledged := map[string]ack{}
	total := 0
	written := func() int {
		mutex.Lock()
		defer mutex.Unlock()
		return total
	}
	for w := range writers {
		c.create(path, configMap(fmt.Sprint("w", w), "0"))
	}
	w := c.watch(path, "resourceVersion="+version(c.get(path)))
	stop := make(chan struct{})
	var group sync.WaitGroup
	for id := range writers {
		group.Add(1)
		go func() {
			defer group.Done()
			name := fmt.Sprint("w", id)
			last := int64(0)
			for value := 1; ; value++ {
				select {
				case <-stop:
					return
				default:
				}
				code, body, err := c.Try("PATCH", path+"/"+name, mergePatch, encode(object{"data": object{"key": fmt.Sprint(value)}}))
				if err != nil || code != 200 {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				var rv int64
				if i := strings.Index(string(body), `"resourceVersion":"`); i >= 0 {
					fmt.Sscanf(string(body[i:]), `"resourceVersion":"%d"`, &rv)
				}
				if rv <= last {
					t.Errorf("%s: version %d after %d", name, rv, last)
				}
				last = rv
				mutex.Lock()
				acknowledged[name] = ack{name, value}
				total++
				mutex.Unlock()
			}
		}()
	}
	progress := func(more int) {
		t.Helper()
		target := written() + more
		eventually(t, "writes go on", func() bool { return written() >= target })
	}
	progress(100)
	for range 3 {
		c.store.Kill()
		c.store.Run()
		progress(60)
	}
	// A watcher of the apiserver outlives crashes of the store.
	seen := drain(t, w)
	c.Kill()
	c.Run()
	// A fresh apiserver knows no history: list again, as clients do, and go on from there.
	list := c.get(path)
	check(t, "the version did not go back", number(version(list)) >= seen.version)
	for _, item := range items(list) {
		seen.values[field(item, "metadata", "name")] = field(item, "data", "key")
	}
	w = c.watch(path, "resourceVersion="+version(list))
	progress(60)
	c.store.Kill()
	c.store.Run()
	progress(30)
	close(stop)
	group.Wait()
	final := c.get(path)
	eventually(t, "the watcher reaches the end", func() bool {
		seen.merge(drain(t, w))
		for _, item := range items(final) {
			if seen.values[field(item, "metadata", "name")] != field(item, "data", "key") {
				return false
			}
		}
		return true
	})
	for _, item := range items(final) {
		name := field(item, "metadata", "name")
		value := int(number(field(item, "data", "key")))
		check(t, fmt.Sprintf("%s ends at %d, acknowledged %d", name, value, acknowledged[name].value), value >= acknowledged[name].value)
	}
	cacheConsistency(c)
	check(t, "the apiserver lives", c.Alive())
	t.Logf("%d acknowledged updates, 4 kills of the store, 1 of the apiserver", written())
}

type history struct {
	version int64
	values  map[string]string
}

func (h *history) merge(later *history) {
	h.version = max(h.version, later.version)
	for name, value := range later.values {
		h.values[name] = value
	}
}

// drain takes what the watch delivers, for a second at most, and checks its order.
func drain(t *testing.T, w *watch) *history {
	t.Helper()
	h := &history{values: map[string]string{}}
	enough := time.After(time.Second)
	for {
		select {
		case <-enough:
			return h
		case e, ok := <-w.events:
			if !ok {
				return h
			}
			if e.Type == "ERROR" {
				t.Fatalf("the watch failed: %v", e.Object)
			}
			rv := number(version(e.Object))
			check(t, fmt.Sprintf("version %d after %d", rv, h.version), rv > h.version)
			h.version = rv
			if e.Type == "MODIFIED" {
				name, value := field(e.Object, "metadata", "name"), field(e.Object, "data", "key")
				h.values[name] = value
			}
		case <-time.After(300 * time.Millisecond):
			return h
		}
	}
}

func TestRestartOfTheStoreKeepsEverything(t *testing.T) {
	c := start(t)
	path := c.namespace("restart") + "/configmaps"
	fill(c, path, 50)
	before := c.get(path)
	c.Kill()
	c.store.Stop()
	c.store.Run()
	c.Run()
	after := c.get(path)
	equal(t, "the same objects", fmt.Sprint(before["items"]), fmt.Sprint(after["items"]))
	check(t, "the version did not go back", number(version(after)) >= number(version(before)))
	c.create(path, configMap("one-more", "1"))
}
