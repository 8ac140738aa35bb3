// The embedded store as the tests open it.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "store/embedded_store.hpp"
#include "store_contract.hpp"
#include "support/manual_clock.hpp"
#include "support/temporary_folder.hpp"

namespace sallyport::store {

class EmbeddedKind final : public StoreUnderTest {
 public:
  // In a folder of its own, or in memory when `path` is empty.
  EmbeddedKind() : path_(folder_.file("sallyport.db")) {}
  explicit EmbeddedKind(std::string path, EngineLimits limits = {}) : path_(std::move(path)), limits_(limits) {}

  Result<std::unique_ptr<StoreService>> open(const StoreSurroundings& surroundings) override {
    StoreSettings settings;
    settings.path = path_;
    return open_embedded_store(settings, surroundings, limits_);
  }
  bool is_shared() const override { return false; }
  bool is_durable() const override { return !path_.empty(); }
  const Clock& clock() const override { return clock_; }
  void advance(std::chrono::milliseconds time) override { clock_.advance(time); }
  bool is_exact() const override { return true; }
  std::chrono::milliseconds unit() const override { return std::chrono::seconds(1); }

 private:
  test::TemporaryFolder folder_;
  std::string path_;
  EngineLimits limits_;
  test::ManualClock clock_;
};

}  // namespace sallyport::store
