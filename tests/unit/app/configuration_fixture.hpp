// A small configuration that is valid, and what becomes of it when a part is exchanged.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/config_loader.hpp"
#include "support/configuration_folder.hpp"

namespace sallyport::app {

inline std::optional<std::string> environment(const std::string& name) {
  if (name == "PORT") return "8099";
  if (name == "SECRET") return "hunter2";
  if (name == "ISSUER") return "https://from.environment.example";
  if (name == "EMPTY") return "";
  return std::nullopt;
}

inline const char* const kConfig = R"(version: 1
listeners:
  - { name: plain, address: 127.0.0.1:8080 }
issuers:
  - name: corp
    issuer: https://issuer.example
    audiences: [api]
    algorithms: [ES256, RS256]
    keys: { jwks_file: keys/corp.jwks.json }
upstreams:
  - { name: web, servers: [ { url: http://127.0.0.1:9001 } ] }
policies: [ ../policies/p.yaml ]
)";
inline const char* const kPolicy = R"(version: 1
routes:
  - name: api
    match: { path: /api/** }
    access: authenticated
    upstream: web
)";

class ConfigurationFixture : public ::testing::Test {
 protected:
  // `old` is exchanged for `text`, once, in the configuration or else in the policy.
  Loaded load(const std::string& old = "", const std::string& text = "") {
    std::string config = kConfig;
    std::string policy = kPolicy;
    if (!old.empty()) {
      std::string& target = config.find(old) != std::string::npos ? config : policy;
      const std::size_t at = target.find(old);
      if (at == std::string::npos) throw std::runtime_error("the test exchanges what is not there: " + old);
      target.replace(at, old.size(), text);
    }
    return load_texts(config, policy);
  }
  Loaded load_texts(const std::string& config, const std::string& policy) {
    folder().write("policies/p.yaml", policy);
    return load_config(folder().write("config/gateway.yaml", config), environment);
  }
  Settings settings(const std::string& old = "", const std::string& text = "") {
    Loaded loaded = load(old, text);
    for (const Problem& problem : loaded.problems) ADD_FAILURE() << problem.text();
    if (!loaded.settings) throw std::runtime_error("not loaded");
    return std::move(*loaded.settings);
  }
  std::vector<std::string> problems(const std::string& old = "", const std::string& text = "") {
    return messages(load(old, text).problems);
  }
  std::vector<std::string> warnings(const std::string& old = "", const std::string& text = "") {
    const Loaded loaded = load(old, text);
    EXPECT_TRUE(loaded.settings);
    return messages(loaded.warnings);
  }
  static std::vector<std::string> messages(const std::vector<Problem>& problems) {
    std::vector<std::string> lines;
    for (const Problem& problem : problems) lines.push_back(problem.message);
    return lines;
  }
  // One for all tests: making keys takes its time.
  static const testing::ConfigurationFolder& folder() {
    static const testing::ConfigurationFolder made;
    return made;
  }
};

}  // namespace sallyport::app
