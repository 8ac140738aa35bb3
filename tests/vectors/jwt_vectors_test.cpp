// Signatures that others published (RFC 7520, 8037, 7797) verify; JSON that others broke is refused, correctly signed though it is.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/mutations.hpp"
#include "support/token_factory.hpp"
#include "vectors/corpora.hpp"

namespace sallyport::authenticate {
namespace {

using identity::Refused;
using testing::need;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// One published signature.
struct Example {
  std::string file;
  std::string key;  // a JWK
  Algorithm algorithm{};
  std::string input;
  std::string signature;
  std::string compact;  // empty where there is none
};

const std::string& text_at(const Json& json, std::string_view member) { return *json.find(member)->string(); }

// `record` has the members input, signing and output; of several signatures, `signing`, `key` and `alg` are lists.
void collect(const std::string& file, const Json& record, std::vector<Example>& examples) {
  const Json& input = *record.find("input");
  const Json& signing = *record.find("signing");
  const JsonArray one{signing};
  const JsonArray& signatures = signing.array() != nullptr ? *signing.array() : one;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    const auto element = [&](std::string_view member) -> const Json& {
      const Json* value = input.find(member);
      return value->array() != nullptr ? (*value->array())[i] : *value;
    };
    const Json* compact = record.find("output")->find("compact");
    Example example{file,
                    element("key").dump(),
                    *parse_algorithm(*element("alg").string()),
                    text_at(signatures[i], "sig-input"),
                    text_at(signatures[i], "sig"),
                    compact == nullptr ? "" : *compact->string()};
    // One file of RFC 7797 repeats another's signature under `signing`; its compact form has its own.
    if (const std::size_t dot = example.compact.rfind('.'); dot != std::string::npos && example.compact[dot - 1] != '.') {
      example.input = example.compact.substr(0, dot);
      example.signature = example.compact.substr(dot + 1);
    }
    examples.push_back(std::move(example));
  }
}

std::vector<Example> cookbook() {
  std::vector<Example> examples;
  const std::filesystem::path folder = corpora() / "cookbook";
  if (!std::filesystem::is_directory(folder)) return examples;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    const std::string file = entry.path().filename().string();
    const Json document = need(Json::parse(read_file(entry.path())));
    if (document.find("signing") != nullptr) collect(file, document, examples);
    if (document.find("sign") != nullptr) collect(file, *document.find("sign"), examples);
  }
  return examples;
}

KeySet keys_of(const Example& example) {
  std::vector<std::string> warnings;
  return need(KeySet::from_jwks("{\"keys\":[" + example.key + "]}", warnings));
}

TEST(JoseCookbook, EverySignatureVerifiesAndNoneWithAFlippedBit) {
  const std::vector<Example> examples = cookbook();
  if (examples.empty()) GTEST_SKIP() << "no corpora at " << corpora();
  for (const Example& example : examples) {
    const KeySet keys = keys_of(example);
    const VerificationKey* key = keys.find(std::nullopt, example.algorithm);
    ASSERT_NE(key, nullptr) << example.file;
    const std::string signature = base64url_decode(example.signature).value();
    EXPECT_EQ(key->verify(example.algorithm, example.input, signature), Verification::valid) << example.file;
    testing::for_each_flipped_bit(signature, [&](std::string_view mutant, std::size_t bit) {
      if (bit % 8 != 0) return;
      EXPECT_EQ(key->verify(example.algorithm, example.input, mutant), Verification::invalid) << example.file << " bit " << bit;
    });
  }
  EXPECT_EQ(examples.size(), 14U) << "every example of the corpus was found";
}

TEST(JoseCookbook, CompactTokensVerifyUnlessTheyAreDetachedOrUnencoded) {
  const std::vector<Example> examples = cookbook();
  if (examples.empty()) GTEST_SKIP() << "no corpora at " << corpora();
  std::size_t verified = 0;
  for (const Example& example : examples) {
    if (example.compact.empty()) continue;
    auto parsed = UnverifiedJws::parse(example.compact);
    const bool is_special = example.file.starts_with("4_5") || example.file.find("b64_false") != std::string::npos;
    ASSERT_EQ(std::holds_alternative<Refused>(parsed), is_special) << example.file;
    if (is_special) continue;
    EXPECT_FALSE(JwtVerifier::verify_signature(std::get<UnverifiedJws>(parsed), keys_of(example), {example.algorithm})) << example.file;
    ++verified;
  }
  EXPECT_EQ(verified, 6U);
}

// Both ways in which a body can be a part of claims: as the whole, and as the value of one claim.
struct Judged {
  std::optional<Refused> whole;
  std::optional<Refused> as_claim;
};

Judged judge(const std::string& body) {
  const auto verify = [](std::string_view claims) -> std::optional<Refused> {
    auto parsed =
        UnverifiedJwt::parse(testing::compact(testing::header_for(Algorithm::hs256), claims, testing::test_key(Algorithm::hs256).signing));
    if (auto* refused = std::get_if<Refused>(&parsed)) return std::move(*refused);
    auto outcome = JwtVerifier::verify(std::get<UnverifiedJwt>(std::move(parsed)), testing::test_key(Algorithm::hs256).verifying,
                                       testing::expectations({Algorithm::hs256}), testing::kNow);
    if (auto* refused = std::get_if<Refused>(&outcome)) return std::move(*refused);
    return std::nullopt;
  };
  return {verify(body), verify(testing::Claims().set("x", body).text())};
}

std::map<std::string, std::string> suite(char kind) {
  std::map<std::string, std::string> bodies;
  const std::filesystem::path folder = corpora() / "JSONTestSuite" / "test_parsing";
  if (!std::filesystem::is_directory(folder)) return bodies;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name[0] == kind && name[1] == '_') bodies[name] = read_file(entry.path());
  }
  return bodies;
}

TEST(JsonTestSuite, C19_MalformedBodiesAreRefusedAlthoughTheirSignatureIsGood) {
  const auto bodies = suite('n');
  if (bodies.empty()) GTEST_SKIP() << "no corpora at " << corpora();
  for (const auto& [name, body] : bodies) {
    const Judged judged = judge(body);
    EXPECT_TRUE(judged.whole) << name;
    EXPECT_TRUE(judged.as_claim) << name;
  }
  EXPECT_EQ(bodies.size(), 188U);
}

TEST(JsonTestSuite, C19_WellFormedBodiesAreJudgedAsClaims) {
  const auto bodies = suite('y');
  if (bodies.empty()) GTEST_SKIP() << "no corpora at " << corpora();
  for (const auto& [name, body] : bodies) {
    const Judged judged = judge(body);
    EXPECT_TRUE(judged.whole) << name << ": none of them has an issuer";
    // RFC 8259 §4 allows duplicate names; we do not.
    const bool is_duplicate = name.find("duplicated_key") != std::string::npos;
    EXPECT_EQ(judged.as_claim.has_value(), is_duplicate) << name;
  }
  EXPECT_EQ(bodies.size(), 95U);
}

TEST(JsonTestSuite, C19_BodiesThatMayBeEitherAreJudgedWithoutHarm) {
  const auto bodies = suite('i');
  if (bodies.empty()) GTEST_SKIP() << "no corpora at " << corpora();
  for (const auto& [name, body] : bodies) EXPECT_TRUE(judge(body).whole) << name;
}

}  // namespace
}  // namespace sallyport::authenticate
