#include "bench/load/report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tidemark::load {
namespace {

using Field = double Measurement::*;

std::vector<double> Sorted(const std::vector<Measurement>& rounds, Field field) {
  std::vector<double> values;
  for (const Measurement& round : rounds) values.push_back(round.*field);
  std::sort(values.begin(), values.end());
  return values;
}

double Median(const std::vector<Measurement>& rounds, Field field) {
  std::vector<double> values = Sorted(rounds, field);
  size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string Number(double value) {
  return value < 100 ? absl::StrFormat("%.1f", value) : absl::StrFormat("%.0f", value);
}

// "median (lowest-highest)"
std::string Spread(const std::vector<Measurement>& rounds, Field field) {
  std::vector<double> values = Sorted(rounds, field);
  return absl::StrCat(Number(Median(rounds, field)), " (", Number(values.front()), "-",
                      Number(values.back()), ")");
}

std::string Cores(const std::vector<Measurement>& rounds, Field field) {
  return absl::StrFormat("%.2f", Median(rounds, field));
}

std::string FigureRow(const Case& measured, Contender contender,
                      const std::vector<Measurement>& rounds) {
  double cpu_us = Median(rounds, &Measurement::server_cpu_us);
  return absl::StrCat(
      "| ", Name(measured.workload), " | ", measured.callers, " | ", Name(contender), " | ",
      Spread(rounds, &Measurement::server_cpu_us), " | ", Number(1e6 / cpu_us), " | ",
      Spread(rounds, &Measurement::requests_per_s), " | ", Spread(rounds, &Measurement::p50_us),
      " | ", Spread(rounds, &Measurement::p99_us), " | ", Cores(rounds, &Measurement::server_cores),
      " | ", Cores(rounds, &Measurement::client_cores), " | ",
      Cores(rounds, &Measurement::other_cores), " |\n");
}

// Above 1 Tidemark is the better one.
std::string RatioRow(const Case& measured, const std::vector<Measurement>& tidemark,
                     const std::vector<Measurement>& etcd) {
  auto more = [](double a, double b) { return absl::StrFormat("%.1f", a / b); };
  auto median = [](const std::vector<Measurement>& rounds, Field field) {
    return Median(rounds, field);
  };
  return absl::StrCat(
      "| ", Name(measured.workload), " | ", measured.callers, " | ",
      more(median(etcd, &Measurement::server_cpu_us),
           median(tidemark, &Measurement::server_cpu_us)),
      " | ",
      more(median(tidemark, &Measurement::requests_per_s),
           median(etcd, &Measurement::requests_per_s)),
      " | ", more(median(etcd, &Measurement::p50_us), median(tidemark, &Measurement::p50_us)),
      " | ", more(median(etcd, &Measurement::p99_us), median(tidemark, &Measurement::p99_us)),
      " |\n");
}

}  // namespace

std::string Name(Workload workload) {
  switch (workload) {
    case Workload::kPut:
      return "put";
    case Workload::kGet:
      return "get";
    case Workload::kUpdate:
      return "update-Txn";
  }
  return "";
}

std::string Name(Contender contender) {
  return contender == Contender::kTidemark ? "Tidemark" : "etcd";
}

std::string MarkdownReport(const Results& results) {
  std::string figures =
      "| workload | clients | server | server CPU, us/request | requests per CPU-second | "
      "requests/s "
      "| p50, us | p99, us | server, cores | client, cores | others, cores |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|\n";
  std::string ratios =
      "| workload | clients | requests per CPU-second | requests/s | p50 | p99 |\n"
      "|---|---|---|---|---|---|\n";
  for (const auto& [key, rounds] : results) {
    const auto& [measured, contender] = key;
    absl::StrAppend(&figures, FigureRow(measured, contender, rounds));
    if (contender == Contender::kTidemark) continue;
    auto tidemark = results.find({measured, Contender::kTidemark});
    if (tidemark == results.end()) continue;
    absl::StrAppend(&ratios, RatioRow(measured, tidemark->second, rounds));
  }
  return absl::StrCat("Median of the rounds, and in brackets the lowest and the highest round:\n\n",
                      figures, "\nHow many times better Tidemark is (below 1: worse):\n\n", ratios);
}

}  // namespace tidemark::load
