#include "store/embedded_store.hpp"

#include <filesystem>

#include "store_contract.hpp"
#include "support/manual_clock.hpp"

namespace sallyport::store {
namespace {

using std::chrono::milliseconds;

// The folder of one test; gone with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sallyport-store-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

class EmbeddedKind final : public StoreUnderTest {
 public:
  Result<std::unique_ptr<StoreService>> open(const StoreSurroundings& surroundings) override {
    StoreSettings settings;
    settings.path = folder_.file("sallyport.db");
    return open_embedded_store(settings, surroundings);
  }
  bool is_shared() const override { return false; }
  const Clock& clock() const override { return clock_; }
  void advance(milliseconds time) override { clock_.advance(time); }
  bool is_exact() const override { return true; }
  milliseconds unit() const override { return std::chrono::seconds(1); }

 private:
  TemporaryFolder folder_;
  test::ManualClock clock_;
};

std::unique_ptr<StoreUnderTest> make_embedded() { return std::make_unique<EmbeddedKind>(); }

INSTANTIATE_TEST_SUITE_P(Embedded, StoreContract, testing::Values(KindOfStore{"file", &make_embedded}), name_of_kind);

}  // namespace
}  // namespace sallyport::store
