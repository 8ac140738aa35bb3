#include "base/secret.hpp"

#include <filesystem>
#include <fstream>
#include <set>

#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/text.hpp"

namespace sallyport {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

class SecretFile : public testing::Test {
 protected:
  SecretFile() {
    std::string pattern = (fs::temp_directory_path() / "secret-file-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~SecretFile() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string file(const std::string& name, std::string_view content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }

 private:
  fs::path folder_;
};

TEST_F(SecretFile, GivesTheBytesWithoutOneTrailingNewline) {
  EXPECT_EQ(text_of(*read_secret_file(file("a", "s3cret"))), "s3cret");
  EXPECT_EQ(text_of(*read_secret_file(file("b", "s3cret\n"))), "s3cret");
  EXPECT_EQ(text_of(*read_secret_file(file("c", "s3cret\n\n"))), "s3cret\n");
  EXPECT_EQ(text_of(*read_secret_file(file("d", "\0\xff \n"s))), "\0\xff "s);
}

TEST_F(SecretFile, IsMalformedWhenEmpty) {
  EXPECT_EQ(read_secret_file(file("a", "")).error().fault, Fault::malformed);
  EXPECT_EQ(read_secret_file(file("b", "\n")).error().fault, Fault::malformed);
}

TEST_F(SecretFile, IsTooLargeOneByteOverTheCap) {
  EXPECT_EQ(read_secret_file(file("a", std::string(100, 'x')), 100)->size(), 100U);
  EXPECT_EQ(read_secret_file(file("b", std::string(100, 'x').append("\n")), 100)->size(), 100U);
  EXPECT_EQ(read_secret_file(file("c", std::string(101, 'x')), 100).error().fault, Fault::too_large);
  EXPECT_EQ(read_secret_file(file("d", std::string(101, 'x').append("\n")), 100).error().fault, Fault::too_large);
  EXPECT_EQ(read_secret_file(file("e", std::string(1'000'000, 'x')), 100).error().fault, Fault::too_large);
}

TEST_F(SecretFile, IsNotFoundWhereThereIsNone) {
  EXPECT_EQ(read_secret_file(path("none")).error().fault, Fault::not_found);
  EXPECT_EQ(read_secret_file(file("a", "x") + "/below").error().fault, Fault::not_found);
  EXPECT_EQ(read_secret_file(path("a") + "\0tail"s).error().fault, Fault::not_found);
  EXPECT_EQ(read_secret_file("").error().fault, Fault::not_found);
}

TEST_F(SecretFile, NamesTheFileInItsError) {
  EXPECT_NE(read_secret_file(path("none")).error().detail.find(path("none")), std::string::npos);
}

TEST_F(SecretFile, IsUnavailableWhenItIsADirectory) { EXPECT_EQ(read_secret_file(path("")).error().fault, Fault::unavailable); }

TEST_F(SecretFile, DoesNotWaitForTheWriterOfAFifo) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_secret_file(path("fifo")).error().fault, Fault::unavailable);
  EXPECT_EQ(read_secret_file("/dev/null").error().fault, Fault::unavailable);
}

TEST_F(SecretFile, FollowsSymbolicLinks) {
  fs::create_symlink(file("target", "linked"), path("link"));
  EXPECT_EQ(text_of(*read_secret_file(path("link"))), "linked");
  fs::create_symlink(path("nowhere"), path("dangling"));
  EXPECT_EQ(read_secret_file(path("dangling")).error().fault, Fault::not_found);
  fs::create_symlink(path("loop"), path("loop"));
  EXPECT_EQ(read_secret_file(path("loop")).error().fault, Fault::unavailable);
}

TEST_F(SecretFile, IsUnavailableWhenItMayNotBeRead) {
  const std::string locked = file("locked", "x");
  fs::permissions(locked, fs::perms::none);
  // Root may read everything, so a test that runs as root becomes nobody for a moment.
  constexpr uid_t kNobody = 65534;
  const bool is_root = ::geteuid() == 0;
  ASSERT_TRUE(!is_root || ::seteuid(kNobody) == 0);
  const Result<Secret> result = read_secret_file(locked);
  ASSERT_TRUE(!is_root || ::seteuid(0) == 0);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().fault, Fault::unavailable);
}

TEST(Secret, LeavesNothingBehindWhenMoved) {
  for (const std::string& bytes : {"short"s, std::string(100, 'x')}) {
    Secret a{std::string(bytes)};
    Secret b(std::move(a));
    EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): what it leaves is what is tested
    EXPECT_EQ(text_of(b), bytes);
    Secret c{"older"s};
    c = std::move(b);
    EXPECT_TRUE(b.empty());  // NOLINT(bugprone-use-after-move): as above
    EXPECT_EQ(text_of(c), bytes);
    Secret& same = c;
    c = std::move(same);
    EXPECT_EQ(text_of(c), bytes);
  }
}

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string_view> && !std::is_convertible_v<std::string, Secret>);

// RFC 4231 §4.3 (test case 2).
TEST(HmacSha256, GivesThePublishedValue) {
  const Sha256 tag = hmac_sha256(Secret("Jefe"s), "what do ya want for nothing?");
  EXPECT_EQ(hex_encode({reinterpret_cast<const char*>(tag.data()), tag.size()}),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

// RFC 4231 §4.2 and §4.7 (test cases 1 and 6): shorter and longer than a block, one after the other.
TEST(HmacSha256, KeepsNothingOfTheKeyBefore) {
  const auto tag_of = [](std::string key, std::string_view text) {
    const Sha256 tag = hmac_sha256(Secret(std::move(key)), text);
    return hex_encode({reinterpret_cast<const char*>(tag.data()), tag.size()});
  };
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(tag_of(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    EXPECT_EQ(tag_of(std::string(20, '\x0b'), "Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  }
}

TEST(HmacSha256, RefusesTheEmptyKeyThatEverybodyKnows) {
  EXPECT_THROW((void)hmac_sha256(Secret(), "text"), std::invalid_argument);
}

TEST(ConstantTime, ComparesWholeValues) {
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
  EXPECT_FALSE(equal_in_constant_time("", "a"));
  EXPECT_TRUE(equal_in_constant_time("a\0b"s, "a\0b"s));
  EXPECT_FALSE(equal_in_constant_time("a\0b"s, "a\0c"s));
}

TEST(Random, DoesNotRepeat) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random_u64());
  EXPECT_EQ(seen.size(), 1000U);
  std::array<unsigned char, 64> a{};
  std::array<unsigned char, 64> b{};
  fill_random(a);
  fill_random(b);
  EXPECT_NE(a, b);
  fill_random({});
}

TEST(Sha256, KnowsTheVectorsOfFips180) {
  const auto hex = [](std::string_view bytes) {
    const Sha256 digest = sha256(bytes);
    return hex_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
  };
  EXPECT_EQ(hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace sallyport
