package client

// What a stock etcd 3.7.3 answered to the history of TestHashKV.
const (
	hashEmpty           = 1084519789
	hashAll             = 1946282287
	hashAt30            = 1039790670
	hashAfterCompaction = 3999637886
)
