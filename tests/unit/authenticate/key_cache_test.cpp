#include "authenticate/key_cache.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "support/temporary_folder.hpp"

namespace sallyport::authenticate {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kKeysUrl = "https://issuer.example/keys";
const CachedKeys kKeys{R"({"keys":[]})", WallTime(1'700'000'000s)};

class KeyCacheTest : public ::testing::Test {
 protected:
  std::string content() const {
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  void overwrite(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

  test::TemporaryFolder folder_;
  std::string path_ = folder_.path() / "store.keys" / "corp.json";
};

TEST_F(KeyCacheTest, KeepsWhatWasServedAndWhen) {
  for (const std::string& jwks : {std::string(R"({"keys":[]})"), std::string("{\"keys\":[]}\n"), std::string("{\"keys\":[\n]}\n\n")}) {
    ASSERT_TRUE(write_cached_keys(path_, kKeysUrl, {jwks, kKeys.fetched_at}));
    const auto read = read_cached_keys(path_, kKeysUrl);
    ASSERT_TRUE(read) << read.error().detail;
    EXPECT_EQ(read->jwks, jwks);
    EXPECT_EQ(read->fetched_at, kKeys.fetched_at);
  }
}

TEST_F(KeyCacheTest, IsForItsOwnerAlone) {
  ASSERT_TRUE(write_cached_keys(path_, kKeysUrl, kKeys));
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(KeyCacheTest, OfAnotherUrlIsNotUsed) {
  ASSERT_TRUE(write_cached_keys(path_, kKeysUrl, kKeys));
  EXPECT_EQ(read_cached_keys(path_, "https://other.example/keys").error().fault, Fault::mismatch);
}

TEST_F(KeyCacheTest, TornOrForgedIsNotUsed) {
  ASSERT_TRUE(write_cached_keys(path_, kKeysUrl, kKeys));
  const std::string good = content();
  for (std::size_t length = 0; length < good.size(); ++length) {
    overwrite(good.substr(0, length));
    EXPECT_FALSE(read_cached_keys(path_, kKeysUrl)) << length;
  }
  overwrite(good + " ");
  EXPECT_FALSE(read_cached_keys(path_, kKeysUrl));
  overwrite(good);
  EXPECT_TRUE(read_cached_keys(path_, kKeysUrl));
}

TEST_F(KeyCacheTest, MissingIsNotFound) { EXPECT_EQ(read_cached_keys(path_, kKeysUrl).error().fault, Fault::not_found); }

TEST_F(KeyCacheTest, WhatCannotBeWrittenLeavesTheOldOne) {
  ASSERT_TRUE(write_cached_keys(path_, kKeysUrl, kKeys));
  const std::string deep = folder_.path() / "no" / "such" / "folder" / "corp.json";
  EXPECT_EQ(write_cached_keys(deep, kKeysUrl, kKeys).error().fault, Fault::unavailable);
  std::filesystem::create_directory(folder_.path() / "taken");
  EXPECT_FALSE(write_cached_keys(folder_.path() / "taken", kKeysUrl, kKeys));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) files += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files, 1U) << "a temporary file was left";
  EXPECT_TRUE(read_cached_keys(path_, kKeysUrl));
}

}  // namespace
}  // namespace sallyport::authenticate
