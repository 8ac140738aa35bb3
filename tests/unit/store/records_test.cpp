#include "store/records.hpp"

#include <gtest/gtest.h>

namespace sallyport::store {
namespace {

TEST(Handle, IsTheDigestInLowerCaseHex) {
  Digest digest{};
  for (std::size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<unsigned char>(i * 8 + 7);
  EXPECT_EQ(handle_of(digest), "070f171f272f373f474f575f676f777f878f979fa7afb7bfc7cfd7dfe7eff7ff");
}

TEST(Handle, ReadsBackWhatItWrote) {
  const Digest digest = sha256("a session");
  EXPECT_EQ(digest_of_handle(handle_of(digest)), digest);
  EXPECT_EQ(digest_of_handle(std::string(64, '0')), Digest{});
}

TEST(Handle, RefusesEverythingElse) {
  const std::string good = handle_of(sha256("a session"));
  ASSERT_TRUE(digest_of_handle(good));
  for (std::size_t length = 0; length < good.size(); ++length) EXPECT_FALSE(digest_of_handle(good.substr(0, length))) << length;
  EXPECT_FALSE(digest_of_handle(good + "0"));
  EXPECT_FALSE(digest_of_handle(good + good));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      std::string text = good;
      text[at] = c;
      const bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      EXPECT_EQ(digest_of_handle(text).has_value(), is_digit) << "byte " << byte << " at " << at;
    }
  }
}

TEST(RevocationKind, HasAStableNameThatReadsBack) {
  const std::pair<Revocation::Kind, std::string_view> names[] = {
      {Revocation::Kind::everything, "everything"}, {Revocation::Kind::subject, "subject"}, {Revocation::Kind::session, "session"},
      {Revocation::Kind::token_id, "token_id"},     {Revocation::Kind::family, "family"},
  };
  for (const auto& [kind, text] : names) {
    EXPECT_EQ(name(kind), text);
    EXPECT_EQ(parse_revocation_kind(text), kind);
  }
}

TEST(RevocationKind, RefusesOtherNames) {
  for (const std::string_view text : {"", "Subject", "subject ", "token-id", "tokenid", "all", "0"}) {
    EXPECT_FALSE(parse_revocation_kind(text)) << text;
  }
}

}  // namespace
}  // namespace sallyport::store
