// A configuration and, behind a line of three '%', its policy file: loaded as `sallyport check` would.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "app/config_loader.hpp"
#include "support/configuration_folder.hpp"

namespace {

using namespace sallyport;
using app::Loaded;
using app::Problem;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

std::optional<std::string> environment(const std::string& name) {
  if (name == "PORT") return "8443";
  if (name == "NAME") return "value";
  if (name == "EMPTY") return "";
  return std::nullopt;
}

// A problem is one line, and points into the file that it names.
void check_problem(const Problem& problem, const std::string& file, std::string_view content) {
  require(!problem.message.empty() && !problem.file.empty(), "a problem says where and what");
  require(std::none_of(problem.message.begin(), problem.message.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }),
          "a problem is one line");
  if (problem.file != file) return;
  const auto lines = std::count(content.begin(), content.end(), '\n') + 1;
  require(problem.line >= 1 && problem.line <= lines + 1, "the line is one of the file");
  require(problem.column >= 1 && static_cast<std::size_t>(problem.column) <= content.size() + 2, "the column is one of the file");
}

// What holds of everything that may be served.
void check_settings(const app::Settings& settings) {
  require(settings.workers >= 1, "there is a worker");
  require(!settings.listeners.empty() && !settings.upstreams.empty(), "there is something to listen to and to forward to");
  require(settings.snapshot != nullptr && !settings.snapshot->routes.empty(), "there is a route");
  for (const authenticate::IssuerPtr& issuer : settings.snapshot->issuers) {
    const authenticate::Expectations& expectations = issuer->settings.expectations;
    require(!expectations.issuer.empty() && !expectations.audiences.empty() && !expectations.algorithms.empty(), "an issuer is complete");
    require(expectations.clock_tolerance <= std::chrono::minutes(5), "the tolerance is small");
    require(!issuer->settings.token_from.empty(), "tokens stand somewhere");
  }
  for (const pipeline::Route& route : settings.snapshot->routes) {
    const bool is_public = route.policy.access == authorize::Access::public_;
    require(route.upstream < settings.upstreams.size(), "the upstream is there");
    require(is_public == route.outbound.is_public, "access is one thing to both stages");
    require(is_public || route.policy.access != authorize::Access::authenticated || !route.credentials.issuers.empty(),
            "somebody can pass");
    require(!is_public || !route.policy.require, "nothing is required of nobody");
    require(!route.match.path.segments().empty(), "the route has a path");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const testing::ConfigurationFolder folder;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t border = input.find("\n%%%\n");
  const std::string config(input.substr(0, border == std::string_view::npos ? border : border + 1));
  const std::string policy(border == std::string_view::npos ? std::string_view() : input.substr(border + 5));
  const std::string config_file = folder.write("config/gateway.yaml", config);
  const std::string policy_file = folder.write("policies/p.yaml", policy);

  const Loaded loaded = app::load_config(config_file, environment);
  require(loaded.settings.has_value() == loaded.problems.empty(), "either it serves or it says why not");
  require(std::is_sorted(loaded.problems.begin(), loaded.problems.end()), "problems come in order");
  for (const auto* problems : {&loaded.problems, &loaded.warnings}) {
    for (const Problem& problem : *problems) {
      check_problem(problem, config_file, config);
      check_problem(problem, policy_file, policy);
    }
  }
  if (loaded.settings) check_settings(*loaded.settings);

  // Loading costs milliseconds (keys, certificates): a part of the inputs is enough to see a difference.
  if (size % 4 != 0) return 0;
  const Loaded again = app::load_config(config_file, environment);
  require(again.problems == loaded.problems && again.warnings == loaded.warnings, "the same file has the same problems");
  return 0;
}
