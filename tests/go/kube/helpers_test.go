// Package kube runs a real kube-apiserver on the server under test and uses it as kubectl and controllers do.
package kube

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"tidemark.test/clients/harness"
)

const patience = 30 * time.Second

// object is a Kubernetes object as JSON.
type object = map[string]any

type cluster struct {
	*harness.APIServer
	store *harness.Server
	t     testing.TB
}

// start runs a store and an apiserver for one test, beside those of other tests.
func start(t *testing.T, flags ...string) *cluster {
	t.Helper()
	t.Parallel()
	store := harness.Start(t, "--watch-progress-notify-interval=5s")
	return &cluster{APIServer: harness.StartAPIServer(t, store, flags...), store: store, t: t}
}

// as is the same cluster for a subtest.
func (c *cluster) as(t testing.TB) *cluster {
	copied := *c
	copied.t = t
	return &copied
}

const (
	jsonType   = "application/json"
	mergePatch = "application/merge-patch+json"
	jsonPatch  = "application/json-patch+json"
	strategic  = "application/strategic-merge-patch+json"
	applyPatch = "application/apply-patch+yaml"
)

func encode(body any) []byte {
	switch b := body.(type) {
	case nil:
		return nil
	case string:
		return []byte(b)
	}
	content, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return content
}

// call sends a request that must answer with this code.
func (c *cluster) call(code int, method, path, contentType string, body any) object {
	c.t.Helper()
	got, content, err := c.Try(method, path, contentType, encode(body))
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	if got != code {
		c.t.Fatalf("%s %s: got %d, want %d: %.2000s", method, path, got, code, content)
	}
	var answer object
	if err := json.Unmarshal(content, &answer); err != nil {
		c.t.Fatalf("%s %s: %v in %.500s", method, path, err, content)
	}
	return answer
}

func (c *cluster) get(path string) object { c.t.Helper(); return c.call(200, "GET", path, "", nil) }
func (c *cluster) create(path string, body any) object {
	c.t.Helper()
	return c.call(201, "POST", path, jsonType, body)
}
func (c *cluster) update(path string, body any) object {
	c.t.Helper()
	return c.call(200, "PUT", path, jsonType, body)
}
func (c *cluster) patch(path, kind string, body any) object {
	c.t.Helper()
	return c.call(200, "PATCH", path, kind, body)
}
func (c *cluster) remove(path string) object {
	c.t.Helper()
	return c.call(200, "DELETE", path, "", nil)
}

// namespace makes one that only this test uses and returns its path.
func (c *cluster) namespace(name string) string {
	c.t.Helper()
	c.create("/api/v1/namespaces", object{"metadata": object{"name": name}})
	return "/api/v1/namespaces/" + name
}

// at walks into an object: fields by name, list items by number.
func at(o any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, ok := o.(object)
			if !ok {
				return nil
			}
			o = m[s]
		case int:
			l, ok := o.([]any)
			if !ok || s >= len(l) {
				return nil
			}
			o = l[s]
		}
	}
	return o
}

func field(o any, path ...any) string {
	if value := at(o, path...); value != nil {
		return fmt.Sprint(value)
	}
	return ""
}

func version(o object) string { return field(o, "metadata", "resourceVersion") }

func number(text string) int64 {
	var n int64
	fmt.Sscan(text, &n)
	return n
}

func items(list object) []object {
	var all []object
	for _, item := range at(list, "items").([]any) {
		all = append(all, item.(object))
	}
	return all
}

func names(list object) string {
	var all []string
	for _, item := range items(list) {
		all = append(all, field(item, "metadata", "name"))
	}
	return strings.Join(all, " ")
}

func configMap(name, value string) object {
	return object{"metadata": object{"name": name}, "data": object{"key": value}}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func check(t testing.TB, what string, condition bool) {
	t.Helper()
	if !condition {
		t.Fatal(what)
	}
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// event is one line of a watch.
type event struct {
	Type   string
	Object object
}

func (e event) String() string {
	return e.Type + " " + field(e.Object, "metadata", "name") + "=" + field(e.Object, "data", "key")
}

type watch struct {
	c        *cluster
	response *http.Response
	events   chan event
	once     sync.Once
}

func (c *cluster) watch(path string, query string) *watch {
	c.t.Helper()
	response, err := c.Open("GET", path+"?watch=1&"+query, "", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode != 200 {
		c.t.Fatalf("watch %s: %s", path, response.Status)
	}
	w := &watch{c: c, response: response, events: make(chan event, 100000)}
	c.t.Cleanup(w.stop)
	go func() {
		defer close(w.events)
		scanner := bufio.NewScanner(response.Body)
		scanner.Buffer(nil, 16<<20)
		for scanner.Scan() {
			var e event
			if json.Unmarshal(scanner.Bytes(), &e) != nil {
				return
			}
			w.events <- e
		}
	}()
	return w
}

func (w *watch) stop() { w.once.Do(func() { w.response.Body.Close() }) }

// next is the next event that is no bookmark.
func (w *watch) next() event {
	w.c.t.Helper()
	for {
		if e := w.any(); e.Type != "BOOKMARK" {
			return e
		}
	}
}

func (w *watch) any() event {
	w.c.t.Helper()
	select {
	case e, ok := <-w.events:
		if !ok {
			w.c.t.Fatal("the watch ended")
		}
		return e
	case <-time.After(patience):
		w.c.t.Fatal("no event")
	}
	return event{}
}

func escape(text string) string { return url.QueryEscape(text) }
