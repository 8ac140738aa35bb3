#include "authenticate/tag_keys.hpp"

#include <unordered_set>

#include <gtest/gtest.h>

#include "base/text.hpp"
#include "support/mutations.hpp"

namespace sallyport::authenticate {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

TagKeys keys_of(std::initializer_list<char> letters) {
  std::vector<Secret> secrets;
  for (const char letter : letters) secrets.emplace_back(std::string(32, letter));
  return TagKeys(std::move(secrets));
}

TEST(TagKeys, WantsALongSecret) {
  EXPECT_THROW(TagKeys(std::vector<Secret>{}), std::invalid_argument);
  std::vector<Secret> one_short;
  one_short.emplace_back(std::string(32, 'a'));
  one_short.emplace_back(std::string(31, 'b'));
  EXPECT_THROW(TagKeys(std::move(one_short)), std::invalid_argument);
}

TEST(TagKeys, OpensTheSessionIdsThatItMade) {
  const TagKeys keys = keys_of({'a'});
  const TagKeys::NewSessionId made = keys.make_session_id();
  EXPECT_EQ(made.text.size(), kTaggedIdChars);
  EXPECT_EQ(made.text.find_first_not_of(kAlphabet), std::string::npos);
  const auto opened = keys.open_session_id(made.text);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->key, made.key);
  EXPECT_EQ(made.key, sha256(std::string_view(*base64url_decode(made.text)).substr(0, 32)));
}

TEST(TagKeys, OpensTheRefreshTokensThatItMade) {
  const TagKeys keys = keys_of({'a'});
  const std::string family = keys.make_family_id();
  ASSERT_EQ(family.size(), 24U);
  for (const std::uint64_t generation : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{0x0102030405060708}, ~std::uint64_t{0}}) {
    const std::string text = keys.refresh_token(family, generation);
    EXPECT_EQ(text.size(), kTaggedIdChars);
    EXPECT_EQ(text, keys.refresh_token(family, generation)) << "always the same";
    const auto opened = keys.open_refresh_token(text);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->family_id, family);
    EXPECT_EQ(opened->family_key, sha256(family));
    EXPECT_EQ(opened->generation, generation);
  }
  const std::string bytes = *base64url_decode(keys.refresh_token(family, 0x0102030405060708));
  EXPECT_EQ(std::string_view(bytes).substr(24, 8), "\x01\x02\x03\x04\x05\x06\x07\x08");
}

TEST(TagKeys, MakesNoRefreshTokenOfNothing) {
  const TagKeys keys = keys_of({'a'});
  EXPECT_THROW((void)keys.refresh_token(std::string(23, 'x'), 1), std::invalid_argument);
  EXPECT_THROW((void)keys.refresh_token(std::string(25, 'x'), 1), std::invalid_argument);
  EXPECT_THROW((void)keys.refresh_token(std::string(24, 'x'), 0), std::invalid_argument);
}

TEST(TagKeys, F10_RefusesEveryFlippedBit) {
  const TagKeys keys = keys_of({'a', 'b'});
  const std::string session = keys.make_session_id().text;
  const std::string refresh = keys.refresh_token(keys.make_family_id(), 7);
  // Of the bytes, so that the text stays base64url.
  testing::for_each_flipped_bit(*base64url_decode(session), [&](std::string_view mutant, std::size_t bit) {
    ASSERT_FALSE(keys.open_session_id(base64url_encode(mutant))) << bit;
  });
  testing::for_each_flipped_bit(*base64url_decode(refresh), [&](std::string_view mutant, std::size_t bit) {
    ASSERT_FALSE(keys.open_refresh_token(base64url_encode(mutant))) << bit;
  });
  // Of the text too: most mutants are no base64url.
  testing::for_each_flipped_bit(session,
                                [&](std::string_view mutant, std::size_t bit) { ASSERT_FALSE(keys.open_session_id(mutant)) << bit; });
  testing::for_each_flipped_bit(refresh,
                                [&](std::string_view mutant, std::size_t bit) { ASSERT_FALSE(keys.open_refresh_token(mutant)) << bit; });
  EXPECT_TRUE(keys.open_session_id(session));
  EXPECT_TRUE(keys.open_refresh_token(refresh));
}

TEST(TagKeys, F10_RefusesWhatIsCutLengthenedOrSwapped) {
  const TagKeys keys = keys_of({'a'});
  const std::string session = keys.make_session_id().text;
  const std::string other = keys.make_session_id().text;
  testing::for_each_cut(session, [&](std::string_view cut) { ASSERT_FALSE(keys.open_session_id(cut)) << cut.size(); });
  for (const char* more : {"A", "AAAA", "=", " ", "\n"}) EXPECT_FALSE(keys.open_session_id(session + more)) << more;
  EXPECT_FALSE(keys.open_session_id(" " + session));
  EXPECT_FALSE(keys.open_session_id(session.substr(32) + session.substr(0, 32))) << "halves";
  EXPECT_FALSE(keys.open_session_id(session.substr(0, 42) + other.substr(42))) << "the tag of another";
}

TEST(TagKeys, F10_RefusesWhatAnotherSecretMade) {
  const std::string session = keys_of({'a'}).make_session_id().text;
  const std::string refresh = keys_of({'a'}).refresh_token(std::string(24, 'f'), 1);
  EXPECT_FALSE(keys_of({'b'}).open_session_id(session));
  EXPECT_FALSE(keys_of({'b'}).open_refresh_token(refresh));
  EXPECT_FALSE(keys_of({'b', 'c'}).open_session_id(session)) << "after the rotation ended";
}

TEST(TagKeys, F10_OpensWhatTheOldSecretMadeWhileItIsKept) {
  const std::string session = keys_of({'a'}).make_session_id().text;
  const std::string refresh = keys_of({'a'}).refresh_token(std::string(24, 'f'), 1);
  const TagKeys rotated = keys_of({'b', 'a'});
  EXPECT_TRUE(rotated.open_session_id(session));
  EXPECT_TRUE(rotated.open_refresh_token(refresh));
  EXPECT_TRUE(keys_of({'b'}).open_session_id(rotated.make_session_id().text)) << "the first makes";
  EXPECT_FALSE(keys_of({'a'}).open_session_id(rotated.make_session_id().text));
  EXPECT_EQ(rotated.refresh_token(std::string(24, 'f'), 1), keys_of({'b'}).refresh_token(std::string(24, 'f'), 1));
}

TEST(TagKeys, KeepsTheKindsApart) {
  const TagKeys keys = keys_of({'a'});
  const std::string family(24, 'f');
  EXPECT_FALSE(keys.open_refresh_token(keys.make_session_id().text));
  EXPECT_FALSE(keys.open_session_id(keys.refresh_token(family, 1)));
  // A CSRF token of the same bytes starts with no tag of theirs.
  const std::string body = base64url_decode(keys.refresh_token(family, 1))->substr(0, 32);
  const std::string csrf_tag = base64url_decode(keys.csrf_token(body))->substr(0, 16);
  EXPECT_FALSE(keys.open_refresh_token(base64url_encode(body + csrf_tag)));
  EXPECT_FALSE(keys.open_session_id(base64url_encode(body + csrf_tag)));
  const std::string token_id = *base64url_decode(keys.token_id(family, 1));
  ASSERT_EQ(token_id.size(), 16U);
  EXPECT_FALSE(keys.open_refresh_token(base64url_encode(body + token_id))) << "a jti is in every log";
  EXPECT_FALSE(keys.open_session_id(base64url_encode(body + token_id)));
}

TEST(TagKeys, G01_RefusesWhatIsNoIdAtAll) {
  const TagKeys keys = keys_of({'a'});
  const std::string good = keys.make_session_id().text;
  const std::vector<std::string> bad{"",
                                     "x",
                                     std::string(63, 'A'),
                                     std::string(64, 'A'),
                                     std::string(65, 'A'),
                                     std::string(10 * 1024, 'A'),
                                     std::string(64, '+'),
                                     std::string(64, '/'),
                                     std::string(63, 'A') + "=",
                                     std::string(64, '\0'),
                                     good.substr(0, 63) + "\xC3",
                                     "\"" + good.substr(1)};
  for (const std::string& text : bad) {
    EXPECT_FALSE(keys.open_session_id(text)) << text.size();
    EXPECT_FALSE(keys.open_refresh_token(text)) << text.size();
  }
}

TEST(TagKeys, G02_G03_RefusesIdsThatAreKeysOfAStore) {
  const TagKeys keys = keys_of({'a'});
  for (std::string text : {"*", "?", "[a-z]", "a b", "a\r\nGET x", "sess:1", "refresh:x", "lock:x", "config", "{a}{b}"}) {
    EXPECT_FALSE(keys.open_session_id(text)) << text;
    text.resize(64, '*');
    EXPECT_FALSE(keys.open_session_id(text)) << text;
  }
}

TEST(TagKeys, G09_MakesAMillionIdsOfWhichNoTwoAreAlike) {
  constexpr std::size_t kCount = 1'000'000;
  const TagKeys keys = keys_of({'a'});
  std::unordered_set<std::string> halves;  // of 128 bits: what must not repeat among so few
  std::array<std::size_t, 256> bytes{};
  halves.reserve(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::string id = *base64url_decode(keys.make_session_id().text);
    ASSERT_TRUE(halves.insert(id.substr(0, 16)).second) << i;
    for (std::size_t at = 0; at < 32; ++at) ++bytes[static_cast<unsigned char>(id[at])];
  }
  // Each value of a byte is expected 125,000 times with a deviation of 353: ten of them are no accident.
  for (std::size_t value = 0; value < bytes.size(); ++value) EXPECT_NEAR(static_cast<double>(bytes[value]), 125'000.0, 3'530.0) << value;
}

TEST(TagKeys, MakesFamiliesThatDiffer) {
  const TagKeys keys = keys_of({'a'});
  EXPECT_NE(keys.make_family_id(), keys.make_family_id());
}

TEST(TagKeys, NamesAccessTokensTheSameEachTimeAndEachGenerationDifferently) {
  const TagKeys keys = keys_of({'a'});
  const std::string family(24, 'f');
  EXPECT_EQ(keys.token_id(family, 1), keys.token_id(family, 1));
  EXPECT_NE(keys.token_id(family, 1), keys.token_id(family, 2));
  EXPECT_NE(keys.token_id(family, 1), keys.token_id(std::string(24, 'g'), 1));
  EXPECT_EQ(keys.token_id(family, 1).size(), 22U);
  EXPECT_EQ(keys.refresh_token(family, 1).find(keys.token_id(family, 1)), std::string::npos) << "a jti tells nothing of the refresh token";
}

TEST(TagKeys, BindsCsrfTokens) {
  const TagKeys keys = keys_of({'a'});
  const std::string token = keys.csrf_token("session:1");
  EXPECT_EQ(token.size(), 43U);
  EXPECT_TRUE(keys.is_csrf_token(token, "session:1"));
  EXPECT_FALSE(keys.is_csrf_token(token, "session:2"));
  EXPECT_FALSE(keys.is_csrf_token(token, ""));
  EXPECT_FALSE(keys.is_csrf_token("", "session:1"));
  testing::for_each_flipped_bit(
      token, [&](std::string_view mutant, std::size_t bit) { ASSERT_FALSE(keys.is_csrf_token(mutant, "session:1")) << bit; });
  testing::for_each_cut(token, [&](std::string_view cut) { ASSERT_FALSE(keys.is_csrf_token(cut, "session:1")) << cut.size(); });
  EXPECT_FALSE(keys.is_csrf_token(token + "A", "session:1"));
  EXPECT_TRUE(keys_of({'b', 'a'}).is_csrf_token(token, "session:1")) << "the old secret is kept";
  EXPECT_FALSE(keys_of({'b'}).is_csrf_token(token, "session:1"));
}

TEST(TagKeys, BindsNoCsrfTokenToNobody) {
  const TagKeys keys = keys_of({'a'});
  EXPECT_THROW((void)keys.csrf_token(""), std::invalid_argument);
  // What HMAC makes of the empty text, if somebody found it, would be good for everybody without a binding.
  EXPECT_FALSE(keys.is_csrf_token("", ""));
  const auto text = [](const Sha256& digest) { return std::string(digest.begin(), digest.end()); };
  const Secret derived(text(hmac_sha256(Secret(std::string(32, 'a')), "sallyport csrf token")));
  ASSERT_EQ(base64url_encode(text(hmac_sha256(derived, "x"))), keys.csrf_token("x"));
  EXPECT_FALSE(keys.is_csrf_token(base64url_encode(text(hmac_sha256(derived, ""))), ""));
}

}  // namespace
}  // namespace sallyport::authenticate
