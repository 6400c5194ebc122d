// A stock kube-apiserver whose cache consistency checker can run every few seconds: with
// KUBE_WATCHCACHE_CONSISTENCY_CHECKER=true it panics when its watch cache and the store disagree.
package main

import (
	"fmt"
	"os"
	"time"

	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if text := os.Getenv("TIDEMARK_CONSISTENCY_CHECK_PERIOD"); text != "" {
		period, err := time.ParseDuration(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, "TIDEMARK_CONSISTENCY_CHECK_PERIOD:", err)
			os.Exit(2)
		}
		cacher.ConsistencyCheckPeriod = period
	}
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
