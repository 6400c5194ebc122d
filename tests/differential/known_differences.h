// The differences from etcd that are allowed, each with its reason: the whole list.
//
// An answer of either server is rewritten so that only these differences disappear; everything else
// must be equal.
#pragma once

#include "tests/differential/request_generator.h"
#include "tests/differential/server_client.h"

namespace tidemark::differential {

enum class EtcdLine { k34, k37 };

// Rewrites `answer` in place.
void RemoveKnownDifferences(const Request& request, EtcdLine line, Answer* answer);
void RemoveKnownDifferences(const etcdserverpb::RangeRequest& request, EtcdLine line,
                            etcdserverpb::RangeResponse* response);
void RemoveKnownDifferences(EtcdLine line, etcdserverpb::WatchResponse* response);

// Two refusals that count as one.
bool SameRefusal(EtcdLine line, const Request& request, const grpc::Status& etcd,
                 const grpc::Status& tidemark);

// Requests that the older line answers differently altogether; reason in the .cc file.
bool Comparable(const Request& request, EtcdLine line);

}  // namespace tidemark::differential
