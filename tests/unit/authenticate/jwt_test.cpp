// The JOSE header (hazards A) and the compact form (B).
#include "authenticate/jwt.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "support/mutations.hpp"
#include "unit/authenticate/judging.hpp"

namespace sallyport::authenticate {
namespace {

using testing::compact;
using testing::good_token;
using testing::header_for;
using testing::need;
using testing::test_key;
using namespace std::string_literals;
using namespace std::string_view_literals;

// A token with this header, well signed by the ES256 key.
std::string with_header(std::string_view header) { return compact(header, testing::Claims().text(), test_key(Algorithm::es256).signing); }
std::optional<RefusalReason> judge_header(std::string_view header) { return verify(with_header(header), Algorithm::es256); }
// A header that is good but for the members given.
std::optional<RefusalReason> judge_members(const std::string& members) {
  return judge_header(R"({"alg":"ES256","kid":"test-key",)" + members + "}");
}

class TokenOfEveryAlgorithm : public ::testing::TestWithParam<Algorithm> {};
INSTANTIATE_TEST_SUITE_P(JwtVerifier, TokenOfEveryAlgorithm, ::testing::ValuesIn(testing::all_algorithms()),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST_P(TokenOfEveryAlgorithm, AcceptsAGoodToken) { EXPECT_EQ(verify(good_token(GetParam()), GetParam()), kAccepted); }

TEST_P(TokenOfEveryAlgorithm, A06_RefusesWhatIsNotOnTheList) {
  std::vector<Algorithm> others = testing::all_algorithms();
  std::erase(others, GetParam());
  EXPECT_EQ(verify(good_token(GetParam()), test_key(GetParam()).verifying, testing::expectations(others)),
            RefusalReason::algorithm_refused);
  EXPECT_EQ(verify(good_token(GetParam()), test_key(GetParam()).verifying, testing::expectations({})), RefusalReason::algorithm_refused);
}

// The fast algorithms take every bit of the token; the slow ones have every bit of their signature flipped in keys_test.
TEST_P(TokenOfEveryAlgorithm, B03_B11_RefusesEveryFlippedBitOfTheToken) {
  const std::string token = good_token(GetParam());
  const bool is_slow = GetParam() == Algorithm::es384 || GetParam() == Algorithm::es512;
  testing::for_each_flipped_bit(token, [&](std::string_view mutant, std::size_t bit) {
    if (is_slow && bit % 8 != 0) return;
    ASSERT_NE(verify(mutant, GetParam()), kAccepted) << "bit " << bit;
  });
  EXPECT_EQ(verify(token, GetParam()), kAccepted);
}

TEST_P(TokenOfEveryAlgorithm, B07_B11_RefusesEveryCutOfTheToken) {
  testing::for_each_cut(good_token(GetParam()), [&](std::string_view cut) { ASSERT_NE(verify(cut, GetParam()), kAccepted) << cut.size(); });
}

TEST_P(TokenOfEveryAlgorithm, RefusesATokenOfAnotherKeyOfTheSameKind) {
  const std::string jwks = need(SigningKey::generate_jwks(GetParam(), "test-key"));
  const std::vector<SigningKey> other = need(SigningKey::from_jwks(jwks));
  EXPECT_EQ(verify(compact(header_for(GetParam()), testing::Claims().text(), other.front()), GetParam()), RefusalReason::bad_signature);
}

TEST_P(TokenOfEveryAlgorithm, R06_LeavesOpenSslsErrorQueueEmpty) {
  std::string token = good_token(GetParam());
  token.replace(token.rfind('.') + 1, 4, "AAAA");
  EXPECT_NE(verify(token, GetParam()), kAccepted);
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(UnverifiedJwt, A01_RefusesAlgNoneWithAndWithoutASignature) {
  const std::string header = base64url_encode(R"({"alg":"none"})");
  const std::string payload = base64url_encode(testing::Claims().text());
  EXPECT_EQ(parse(header + "." + payload + "."), RefusalReason::algorithm_refused);
  EXPECT_EQ(parse(header + "." + payload + ".AAAA"), RefusalReason::algorithm_refused);
  EXPECT_EQ(judge_header(R"({"alg":"none","kid":"test-key"})"), RefusalReason::algorithm_refused);
  EXPECT_EQ(judge_header(R"({"alg":"ES256","kid":"test-key"})"), kAccepted);
}

TEST(UnverifiedJwt, A02_A03_A05_RefusesEveryOtherSpellingOfAlg) {
  for (const char* alg :
       {"None", "NONE", "nOnE", " none", "none ", "", "n", "no", "non", "none\\u0000", "es256", "ES256 ", " ES256", "ES256\\u0000"}) {
    EXPECT_EQ(judge_header(R"({"kid":"test-key","alg":")"s + alg + "\"}"), RefusalReason::algorithm_refused) << alg;
  }
  EXPECT_EQ(judge_header(R"({"kid":"test-key","alg":"ES\u0032\u00356"})"), kAccepted) << "an escape spells the same string";
}

TEST(UnverifiedJwt, A04_RefusesAlgThatIsMissingOrNoString) {
  EXPECT_EQ(judge_header(R"({"kid":"test-key"})"), RefusalReason::algorithm_refused);
  for (const char* alg : {"null", "256", "true", R"(["ES256"])", R"({"ES256":1})"}) {
    EXPECT_EQ(judge_header(R"({"kid":"test-key","alg":)"s + alg + "}"), RefusalReason::algorithm_refused) << alg;
  }
}

TEST(UnverifiedJwt, A06_RefusesAlgorithmsThatAreNotOurs) {
  for (const char* alg : {"ES256K", "RS1", "HS1", "dir", "RSA-OAEP", "A256KW", "Ed448", "Ed25519"}) {
    EXPECT_EQ(judge_header(R"({"kid":"test-key","alg":")"s + alg + "\"}"), RefusalReason::algorithm_refused) << alg;
  }
}

TEST(UnverifiedJwt, A07_RefusesDuplicateAlgMembers) {
  EXPECT_EQ(judge_header(R"({"alg":"ES256","alg":"none","kid":"test-key"})"), RefusalReason::malformed);
  EXPECT_EQ(judge_header(R"({"alg":"none","alg":"ES256","kid":"test-key"})"), RefusalReason::malformed);
  EXPECT_EQ(judge_header(R"({"alg":"ES256","alg":"ES256","kid":"test-key"})"), RefusalReason::malformed);
  EXPECT_EQ(judge_header(R"({"alg":"ES256","kid":"test-key","kid":"test-key"})"), RefusalReason::malformed);
}

TEST(UnverifiedJwt, A08_SeesThroughEscapedMemberNames) {
  EXPECT_EQ(judge_header(R"({"a\u006cg":"none","alg":"ES256","kid":"test-key"})"), RefusalReason::malformed);
  EXPECT_EQ(judge_header(R"({"a\u006cg":"none","kid":"test-key"})"), RefusalReason::algorithm_refused);
  EXPECT_EQ(judge_header(R"({"a\u006cg":"ES256","kid":"test-key"})"), kAccepted);
  EXPECT_EQ(judge_members(R"("c\u0072it":["exp"])"), RefusalReason::header_refused);
}

TEST(UnverifiedJwt, A09_RefusesCritInEveryForm) {
  for (const char* crit : {R"(["exp"])", "[]", R"("x")", R"(["alg"])", R"(["missing"])", R"(["x","x"])", "null", "false", "{}"}) {
    EXPECT_EQ(judge_members(R"("crit":)"s + crit), RefusalReason::header_refused) << crit;
  }
  EXPECT_EQ(judge_members(R"("x":1)"), kAccepted) << "an unknown member without crit is ignored (RFC 7515, section 4)";
}

TEST(UnverifiedJwt, A10_RefusesB64WithAndWithoutCrit) {
  EXPECT_EQ(judge_members(R"("b64":false)"), RefusalReason::header_refused);
  EXPECT_EQ(judge_members(R"("b64":true)"), RefusalReason::header_refused);
  EXPECT_EQ(judge_members(R"("b64":false,"crit":["b64"])"), RefusalReason::header_refused);
}

TEST(UnverifiedJwt, A11_RefusesAnEmbeddedKeyEvenWhenItVerifies) {
  const std::string jwks = need(SigningKey::generate_jwks(Algorithm::es256, "test-key"));
  const std::vector<SigningKey> attacker = need(SigningKey::from_jwks(jwks));
  const std::string half = need(SigningKey::public_jwks(jwks));
  const std::string header = R"({"alg":"ES256","kid":"test-key","jwk":)" + half.substr(9, half.size() - 11) + "}";
  EXPECT_EQ(verify(compact(header, testing::Claims().text(), attacker.front()), Algorithm::es256), RefusalReason::header_refused);
}

TEST(UnverifiedJwt, A12_A13_RefusesKeysByReferenceAndCertificates) {
  for (const char* member : {R"("jku":"https://attacker.example/jwks.json")", R"("x5u":"https://attacker.example/chain.pem")",
                             R"("x5c":["MIIB"])", R"("x5t":"AAAA")", R"("x5t#S256":"AAAA")", R"("jku":null)"}) {
    EXPECT_EQ(judge_members(member), RefusalReason::header_refused) << member;
  }
}

TEST(JwtVerifier, A14_A15_TreatsAKidAsANameAndNothingElse) {
  for (const char* kid : {"../../../../dev/null", "/dev/null", "file:///etc/passwd", "x' UNION SELECT '1';--", "| sleep 10", "$(id)",
                          "*\\r\\nFLUSHALL\\r\\n", "", "TEST-KEY", "test-key ", "test-ke"}) {
    EXPECT_EQ(judge_header(R"({"alg":"ES256","kid":")"s + kid + "\"}"), RefusalReason::unknown_key) << kid;
  }
  // Signed with what /dev/null holds: nothing.
  const std::string input = base64url_encode(R"({"alg":"HS256","kid":"/dev/null"})") + "." + base64url_encode(testing::Claims().text());
  std::array<unsigned char, 32> mac{};
  std::size_t length = 0;
  ASSERT_NE(EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, "", 0, reinterpret_cast<const unsigned char*>(input.data()),
                      input.size(), mac.data(), mac.size(), &length),
            nullptr);
  const std::string token = input + "." + base64url_encode({reinterpret_cast<const char*>(mac.data()), length});
  EXPECT_EQ(verify(token, Algorithm::hs256), RefusalReason::unknown_key);
  EXPECT_EQ(verify(token, Algorithm::es256), RefusalReason::algorithm_refused);
}

TEST(JwtVerifier, A16_WithoutAKidUsesTheOnlyFittingKeyAndRefusesTwo) {
  EXPECT_EQ(judge_header(R"({"alg":"ES256"})"), kAccepted);
  const std::string second = need(SigningKey::public_jwks(need(SigningKey::generate_jwks(Algorithm::es256, "second"))));
  const std::string& first = test_key(Algorithm::es256).public_jwks;
  std::vector<std::string> warnings;
  const KeySet two = need(KeySet::from_jwks(first.substr(0, first.size() - 2) + "," + second.substr(9), warnings));
  EXPECT_EQ(verify(with_header(R"({"alg":"ES256"})"), two, testing::expectations({Algorithm::es256})), RefusalReason::unknown_key);
  EXPECT_EQ(verify(with_header(R"({"alg":"ES256","kid":"test-key"})"), two, testing::expectations({Algorithm::es256})), kAccepted);
}

TEST(UnverifiedJwt, A17_RefusesAKidThatIsNoStringOrTooLong) {
  for (const char* kid : {"1", "null", "[\"test-key\"]", "{}", "true"}) {
    EXPECT_EQ(judge_header(R"({"alg":"ES256","kid":)"s + kid + "}"), RefusalReason::malformed) << kid;
  }
  EXPECT_EQ(judge_header(R"({"alg":"ES256","kid":"test-key\u0000"})"), RefusalReason::unknown_key);
  EXPECT_EQ(judge_header(R"({"alg":"ES256","kid":"test-key\u0000x"})"), RefusalReason::unknown_key);
  EXPECT_EQ(judge_header(R"({"alg":"ES256","kid":")" + std::string(10'000, 'k') + "\"}"), RefusalReason::token_too_large);
}

TEST(JwtVerifier, A18_RefusesEveryTypeButTheOneThatIsRequired) {
  Expectations typed = testing::expectations({Algorithm::es256});
  typed.token_type = "at+jwt";
  const auto judge = [&](const std::string& typ) {
    return verify(with_header(R"({"alg":"ES256","kid":"test-key")" + typ + "}"), test_key(Algorithm::es256).verifying, typed);
  };
  for (const char* typ : {"at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"}) {
    EXPECT_EQ(judge(R"(,"typ":")"s + typ + "\""), kAccepted) << typ;
  }
  for (const char* typ :
       {"JWT", "id+jwt", "", "at+jwt ", "at", "application/", "application/x/at+jwt", "text/at+jwt", "application/application/at+jwt"}) {
    EXPECT_EQ(judge(R"(,"typ":")"s + typ + "\""), RefusalReason::token_type_refused) << typ;
  }
  EXPECT_EQ(judge(""), RefusalReason::token_type_refused);
  EXPECT_EQ(judge(R"(,"typ":["at+jwt"])"), RefusalReason::malformed);
  typed.token_type = "application/at+jwt";
  EXPECT_EQ(judge(R"(,"typ":"at+jwt")"), kAccepted);
  EXPECT_EQ(judge_members(R"("typ":"whatever")"), kAccepted) << "where none is required";
}

TEST(UnverifiedJwt, A19_RefusesNestedTokens) {
  EXPECT_EQ(judge_members(R"("cty":"JWT")"), RefusalReason::header_refused);
  const std::string inner = good_token(Algorithm::es256);
  EXPECT_EQ(verify(compact(header_for(Algorithm::es256), inner, test_key(Algorithm::es256).signing), Algorithm::es256),
            RefusalReason::malformed);
}

TEST(UnverifiedJwt, A20_RefusesCompressionAndEncryptionWithoutWork) {
  EXPECT_EQ(judge_members(R"("zip":"DEF")"), RefusalReason::header_refused);
  EXPECT_EQ(judge_members(R"("enc":"A128GCM")"), RefusalReason::header_refused);
  const auto jwe = [](std::string_view header) { return base64url_encode(header) + ".AAAA.AAAA.AAAA.AAAA"; };
  EXPECT_EQ(parse(jwe(R"({"alg":"dir","enc":"A128GCM"})")), RefusalReason::header_refused);
  EXPECT_EQ(parse(jwe(R"({"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AAAA"})")), RefusalReason::header_refused);
  EXPECT_EQ(parse("a.b.c.d.e"), RefusalReason::header_refused) << "not even its header is read";
}

TEST(UnverifiedJwt, A21_RefusesHeadersThatAreNoStrictObject) {
  for (const std::string& header :
       {"[]"s, "\"ES256\""s, "1"s, "null"s, "{}"s, ""s, "{"s, R"({"alg":"ES256"} )"s + "x", R"({"alg":"ES256",})"s, "{'alg':'ES256'}"s,
        "\xEF\xBB\xBF"s + R"({"alg":"ES256"})", R"({"alg":"ES256","x":")"s + "\xFF\"}", R"({"alg":"ES256","x":"\ud800"})"s,
        R"({"alg":"ES256"}{})"s, R"({"alg":"ES256"})"s + '\0',
        R"({"alg":"ES256","x":)"s + std::string(1000, '[') + std::string(1000, ']') + "}"}) {
    EXPECT_NE(judge_header(header), kAccepted) << header.substr(0, 40);
  }
  EXPECT_EQ(judge_header(R"( { "alg" : "ES256" } )"), kAccepted) << "white space is JSON";
}

TEST(UnverifiedJwt, A22_RefusesHeadersOver4KiB) {
  const auto padded = [](std::size_t bytes) {
    const std::string begin = R"({"alg":"ES256","kid":"test-key","x":")";
    return begin + std::string(bytes - begin.size() - 2, 'x') + "\"}";
  };
  EXPECT_EQ(judge_header(padded(kHeaderBytesMax)), kAccepted);
  EXPECT_EQ(judge_header(padded(kHeaderBytesMax + 1)), RefusalReason::token_too_large);
  EXPECT_EQ(judge_header(padded(64 * 1024)), RefusalReason::token_too_large);
}

struct Segments {
  std::string header = header_for(Algorithm::es256);
  std::array<std::string, 3> text;  // encoded

  Segments() {
    const std::string token = good_token(Algorithm::es256);
    const auto pieces = split(token, '.');
    for (std::size_t i = 0; i < 3; ++i) text[i] = pieces[i];
  }
  [[nodiscard]] std::string with(std::size_t part, std::string replacement) const {
    auto copy = text;
    copy[part] = std::move(replacement);
    return copy[0] + "." + copy[1] + "." + copy[2];
  }
};

// Signed over exactly these encoded parts, so that only their form can be at fault.
std::string signed_over(std::string_view header, std::string_view payload) {
  const std::string input = std::string(header) + "." + std::string(payload);
  return input + "." + base64url_encode(need(test_key(Algorithm::es256).signing.sign(input)));
}

TEST(UnverifiedJwt, B01_RefusesPaddingOnEachPart) {
  const Segments good;
  for (std::size_t part = 0; part < 3; ++part) {
    for (const char* padding : {"=", "==", "===="})
      EXPECT_EQ(parse(good.with(part, good.text[part] + padding)), RefusalReason::malformed) << part;
  }
  EXPECT_NE(verify(signed_over(good.text[0] + "=", good.text[1]), Algorithm::es256), kAccepted);
  EXPECT_NE(verify(signed_over(good.text[0], good.text[1] + "="), Algorithm::es256), kAccepted);
  EXPECT_EQ(verify(signed_over(good.text[0], good.text[1]), Algorithm::es256), kAccepted);
}

TEST(UnverifiedJwt, B02_RefusesTheStandardAlphabet) {
  const Segments good;
  // "???>>>" encodes to '/' and '+' in the standard alphabet.
  const std::string payload = base64url_encode(testing::Claims().set("x", R"("???>>>~~~")").text());
  ASSERT_NE(payload.find_first_of("-_"), std::string::npos);
  std::string standard = payload;
  std::replace(standard.begin(), standard.end(), '-', '+');
  std::replace(standard.begin(), standard.end(), '_', '/');
  EXPECT_EQ(verify(signed_over(good.text[0], payload), Algorithm::es256), kAccepted);
  EXPECT_EQ(verify(signed_over(good.text[0], standard), Algorithm::es256), RefusalReason::malformed);
  for (std::size_t part = 0; part < 3; ++part) {
    for (const char letter : {'+', '/'}) {
      std::string changed = good.text[part];
      changed[1] = letter;
      EXPECT_EQ(parse(good.with(part, changed)), RefusalReason::malformed);
    }
  }
}

TEST(UnverifiedJwt, B03_RefusesUnusedBitsThatAreNotZero) {
  const Segments good;
  // 64 signature bytes leave four unused bits in the last letter: 15 other spellings of the same bytes.
  const std::string& signature = good.text[2];
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const std::size_t last = kLetters.find(signature.back());
  ASSERT_EQ(last % 16, 0U);
  for (std::size_t bits = 1; bits < 16; ++bits) {
    EXPECT_EQ(parse(good.with(2, signature.substr(0, signature.size() - 1) + kLetters[last + bits])), RefusalReason::malformed);
  }
  EXPECT_EQ(parse(good.with(2, signature)), kAccepted);
  EXPECT_EQ(verify(signed_over(base64url_encode(R"({"alg":"ES256"}  )"), good.text[1]), Algorithm::es256), kAccepted);
}

TEST(UnverifiedJwt, B04_RefusesLengthsThatNoBytesHave) {
  const Segments good;
  for (std::size_t part = 0; part < 3; ++part) {
    std::string text = good.text[part];
    while (text.size() % 4 != 1) text += 'A';
    EXPECT_EQ(parse(good.with(part, text)), RefusalReason::malformed) << part;
  }
}

TEST(UnverifiedJwt, B05_RefusesForeignBytesAnywhereInEachPart) {
  const Segments good;
  for (std::size_t part = 0; part < 3; ++part) {
    for (const char byte : {' ', '\t', '\r', '\n', '\0', '?', '#', '\x80', '\xFF', '%', ',', '"'}) {
      for (const std::size_t at : {std::size_t{0}, good.text[part].size() / 2, good.text[part].size()}) {
        std::string changed = good.text[part];
        changed.insert(at, 1, byte);
        EXPECT_EQ(parse(good.with(part, changed)), RefusalReason::malformed) << part << " at " << at << ": " << static_cast<int>(byte);
      }
    }
  }
}

TEST(UnverifiedJwt, B06_RefusesEveryOtherNumberOfParts) {
  const Segments good;
  const std::string& a = good.text[0];
  const std::string& b = good.text[1];
  const std::string& c = good.text[2];
  for (const std::string& token :
       {a, a + "." + b, a + "." + b + "." + c + ".", "." + a + "." + b + "." + c, a + "." + b + "." + c + "." + c, "."s, ".."s, "..."s, ""s,
        a + ".." + b + "." + c, a + "." + b + "." + c + "." + c + "." + c + "." + c}) {
    EXPECT_EQ(parse(token), RefusalReason::malformed) << token.substr(0, 20);
  }
  EXPECT_EQ(parse(a + "." + b + "." + c + "." + c + "." + c), RefusalReason::header_refused);
  EXPECT_EQ(parse(a + "." + b + "." + c), kAccepted);
}

TEST(UnverifiedJwt, B07_B10_RefusesEmptyPartsAndDetachedPayloads) {
  const Segments good;
  for (std::size_t part = 0; part < 3; ++part) EXPECT_EQ(parse(good.with(part, "")), RefusalReason::malformed) << part;
  EXPECT_EQ(parse(signed_over(good.text[0], "")), RefusalReason::malformed);
  EXPECT_EQ(parse(signed_over("", good.text[1])), RefusalReason::malformed);
  EXPECT_EQ(parse(".."), RefusalReason::malformed);
}

TEST(UnverifiedJwt, B08_RefusesRunsOfDots) {
  EXPECT_EQ(parse(std::string(8 * 1024, '.')), RefusalReason::malformed);
  EXPECT_EQ(parse(std::string(60 * 1024, '.')), RefusalReason::token_too_large);
}

TEST(UnverifiedJwt, B09_RefusesTheJsonSerializations) {
  const Segments good;
  const std::string flat =
      R"({"protected":")" + good.text[0] + R"(","payload":")" + good.text[1] + R"(","signature":")" + good.text[2] + "\"}";
  const std::string general =
      R"({"payload":")" + good.text[1] + R"(","signatures":[{"protected":")" + good.text[0] + R"(","signature":")" + good.text[2] + "\"}]}";
  EXPECT_EQ(parse(flat), RefusalReason::malformed);
  EXPECT_EQ(parse(general), RefusalReason::malformed);
}

TEST(JwtVerifier, B13_RefusesASignatureOf16KiB) {
  const Segments good;
  // The whole token is at the limit, so the signature is as long as one can be.
  const std::size_t room = kTokenBytesMax - good.text[0].size() - good.text[1].size() - 2;
  EXPECT_EQ(verify(good.with(2, std::string(room - room % 4, 'A')), Algorithm::es256), RefusalReason::bad_signature);
  EXPECT_EQ(verify(good.with(2, std::string(21'830, 'A')), Algorithm::es256), RefusalReason::token_too_large);
}

// A good token of exactly that many bytes: no base64url text has a length of 4n + 1, so the header helps out.
std::string token_of(std::size_t size) {
  for (const char* pad : {"", "x", "xx", "xxx"}) {
    const std::string header = R"({"alg":"ES256","kid":"test-key","x":")"s + pad + "\"}";
    const std::size_t rest = compact(header, "{}", test_key(Algorithm::es256).signing).size() - 3;
    const std::size_t payload = (size - rest) * 3 / 4;
    const std::string frame = testing::Claims().set("x", R"("")").text();
    const std::string claims = testing::Claims().set("x", '"' + std::string(payload - frame.size(), 'x') + '"').text();
    std::string token = compact(header, claims, test_key(Algorithm::es256).signing);
    if (token.size() == size) return token;
  }
  return "";
}

TEST(UnverifiedJwt, C22_TakesATokenAtTheLimitAndRefusesOneByteMore) {
  const std::string at_limit = token_of(kTokenBytesMax);
  ASSERT_EQ(at_limit.size(), kTokenBytesMax);
  EXPECT_EQ(verify(at_limit, Algorithm::es256), kAccepted);
  const std::string over = token_of(kTokenBytesMax + 1);
  ASSERT_EQ(over.size(), kTokenBytesMax + 1);
  EXPECT_EQ(verify(over, Algorithm::es256), RefusalReason::token_too_large);
}

TEST(UnverifiedJws, TakesAnyPayloadThatIsNotEmpty) {
  const std::string token = compact(header_for(Algorithm::es256), "no JSON at all \xFF", test_key(Algorithm::es256).signing);
  auto parsed = UnverifiedJws::parse(token);
  ASSERT_TRUE(std::holds_alternative<UnverifiedJws>(parsed));
  EXPECT_FALSE(JwtVerifier::verify_signature(std::get<UnverifiedJws>(parsed), test_key(Algorithm::es256).verifying, {Algorithm::es256}));
  EXPECT_TRUE(JwtVerifier::verify_signature(std::get<UnverifiedJws>(parsed), test_key(Algorithm::es256).verifying, {Algorithm::es384}));
  EXPECT_EQ(parse(token), RefusalReason::malformed);
}

TEST(UnverifiedJws, B07_B10_RefusesAnEmptyPayload) {
  const std::string header = base64url_encode(header_for(Algorithm::es256));
  EXPECT_TRUE(std::holds_alternative<Refused>(UnverifiedJws::parse(signed_over(header, ""))));
  EXPECT_TRUE(std::holds_alternative<UnverifiedJws>(UnverifiedJws::parse(signed_over(header, "AA"))));
}

TEST(UnverifiedJwt, SaysTheClaimedIssuerOrNothing) {
  const auto claimed = [](const testing::Claims& claims) {
    auto parsed = UnverifiedJwt::parse(good_token(Algorithm::hs256, claims));
    const auto issuer = std::get<UnverifiedJwt>(parsed).claimed_issuer();
    return issuer ? std::optional(std::string(*issuer)) : std::nullopt;
  };
  EXPECT_EQ(claimed(testing::Claims()), "https://issuer.example");
  EXPECT_EQ(claimed(testing::Claims().remove("iss")), std::nullopt);
  EXPECT_EQ(claimed(testing::Claims().set("iss", R"(["https://issuer.example"])")), std::nullopt);
  EXPECT_EQ(claimed(testing::Claims().set("iss", "null")), std::nullopt);
}

TEST(Refused, NeverHoldsTheTokenOrAClaim) {
  const std::string token = good_token(Algorithm::es256, testing::Claims().set("sub", R"("private-name")").set("exp", 1));
  auto parsed = UnverifiedJwt::parse(token);
  const auto verified = JwtVerifier::verify(std::get<UnverifiedJwt>(std::move(parsed)), test_key(Algorithm::es256).verifying,
                                            testing::expectations({Algorithm::es256}), testing::kNow);
  const std::string& detail = std::get<Refused>(verified).detail;
  EXPECT_EQ(detail.find("private-name"), std::string::npos);
  EXPECT_EQ(detail.find(token.substr(0, 10)), std::string::npos);
}

}  // namespace
}  // namespace sallyport::authenticate
