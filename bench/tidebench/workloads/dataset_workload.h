// What workloads on one dataset share: it is filled before, and its requests are one load.
//
// Bound to one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/load.h"
#include "bench/tidebench/workloads/key_share.h"
#include "bench/tidebench/workloads/point_ops.h"
#include "bench/tidebench/workloads/read_back.h"
#include "bench/tidebench/workloads/workload.h"

namespace tidemark::bench {

// Stores the first keys of datasets, as many with one request as fit.
class Filler {
 public:
  struct Part {
    Dataset* dataset;
    int64_t keys;
  };
  explicit Filler(std::vector<Part> parts) : parts_(std::move(parts)) {}
  std::unique_ptr<Activity> Make(Client& client);
  int64_t requests() const;

 private:
  FillBatch Next();

  const std::vector<Part> parts_;
  size_t part_ = 0;
  int64_t next_ = 0;
};

// A load of `count` ops, made one after the other, on the first `connections` of the client.
struct LoadShape {
  std::string name = "requests";
  int64_t count = 1;
  int64_t first_connection = 0;
  int64_t connections = 1;
  std::optional<Arrivals> arrivals;
  bool is_main = true;
  std::function<void(int64_t due_ns, int64_t now_ns)> on_never_sent = nullptr;
};
using OpFactory = std::function<std::unique_ptr<Op>(Connection& connection, int64_t number)>;
std::unique_ptr<Activity> MakeLoad(Client& client, LoadShape shape, const OpFactory& make);

// Closed or open as the options say.
std::optional<Arrivals> ArrivalsOf(const WorkloadOptions& options);

class DatasetWorkload : public Workload {
 public:
  DatasetWorkload(const WorkloadOptions& options, Dataset::Options dataset)
      : options_(options),
        dataset_(std::move(dataset)),
        filler_({{&dataset_, dataset_.size()}}),
        read_back_({&dataset_}, options.seed) {}

  int64_t connections() const override { return options_.connections; }
  std::unique_ptr<Activity> MakeFill(Client& client) override { return filler_.Make(client); }
  int64_t fill_requests() const override { return filler_.requests(); }
  std::vector<std::unique_ptr<Activity>> MakeActivities(Client& client) override;
  std::unique_ptr<Activity> MakeReadBack(Client& client) override {
    return read_back_.Make(client);
  }

 protected:
  virtual std::unique_ptr<Op> MakeOp(Connection& connection, int64_t number) = 0;
  KeyShare Share(int64_t number) {
    return KeyShare(&dataset_, number, options_.clients, options_.seed);
  }
  const WorkloadOptions& options() const { return options_; }
  Dataset& dataset() { return dataset_; }

 private:
  const WorkloadOptions options_;
  Dataset dataset_;
  Filler filler_;
  ReadBack read_back_;
};

}  // namespace tidemark::bench
