// Times every stage and its floor (Google Benchmark), and prints how far they are apart.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <map>

#include "stage.hpp"

namespace {

using sallyport::micro::Body;
using sallyport::micro::Stage;

void run(benchmark::State& state, const std::function<Body()>& make) {
  const Body body = make();
  for (auto _ : state) body();
}

// The usual table, and the times by name.
class Reporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) times_[run.benchmark_name()] = run.GetAdjustedCPUTime();
  }
  void compare(const std::vector<Stage>& stages) const {
    std::printf("\n%-24s %10s %10s %7s  %s\n", "stage, ns", "takes", "floor", "times", "the floor is");
    for (const Stage& stage : stages) {
      const auto own = times_.find(stage.name + "/stage");
      const auto floor = times_.find(stage.name + "/floor");
      if (own == times_.end() || floor == times_.end()) continue;
      std::printf("%-24s %10.0f %10.0f %7.1f  %s\n", stage.name.c_str(), own->second, floor->second, own->second / floor->second,
                  stage.floor_is.c_str());
    }
  }

 private:
  std::map<std::string, double> times_;
};

// JSON and CSV go to programs, which find both numbers themselves.
bool is_for_people(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).starts_with("--benchmark_format=")) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Stage> stages = sallyport::micro::stages();
  for (const Stage& stage : stages) {
    benchmark::RegisterBenchmark((stage.name + "/stage").c_str(), run, stage.stage);
    benchmark::RegisterBenchmark((stage.name + "/floor").c_str(), run, stage.floor);
  }
  const bool for_people = is_for_people(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  if (!for_people) {
    benchmark::RunSpecifiedBenchmarks();
    return 0;
  }
  Reporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  reporter.compare(stages);
}
