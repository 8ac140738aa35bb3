#include "app/commands.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "authenticate/jwt.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "configuration_fixture.hpp"

namespace sallyport::app {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

struct Ran {
  int code;
  std::string out;
  std::string error;
};

std::string last_config_path;  // what `serve` was called with
int serve(const RunOptions& options) {
  last_config_path = options.config_path;
  return kCouldNotStart;
}

Ran run(const std::vector<std::string>& arguments, const std::string& input = "") {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream error;
  const int code = run_command_line(arguments, {in, out, error}, serve);
  return {code, out.str(), error.str()};
}

class Commands : public ConfigurationFixture {
 protected:
  Commands()
      : keys_(folder().write_secret("private.jwks.json", folder().private_keys())),
        public_keys_(folder().file("config/keys/corp.jwks.json")) {}

  std::string token(const std::string& claims, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"token", "sign", "--keys", keys_, "--claims", claims};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.code, kDone) << ran.error;
    return ran.out.empty() ? "" : ran.out.substr(0, ran.out.size() - 1);
  }
  static Json claims_of(const std::string& token) { return Json::parse(base64url_decode(split(token, '.').at(1)).value()).value(); }
  Ran verify(const std::string& token) { return run({"token", "verify", "--keys", public_keys_, "--algorithms", "ES256,RS256", token}); }

  std::string keys_;
  std::string public_keys_;
};

TEST_F(Commands, UsageErrorsAre2) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"nonsense"},
                                             {"run"},
                                             {"run", "--config"},
                                             {"check"},
                                             {"check", "--config", "x", "extra"},
                                             {"--nonsense"},
                                             {"keys"},
                                             {"keys", "generate"},
                                             {"keys", "generate", "--algorithm", "XX"},
                                             {"keys", "generate", "--algorithm", "none"},
                                             {"token"},
                                             {"token", "sign"},
                                             {"token", "sign", "--keys", keys_, "--claims", "[]"},
                                             {"token", "sign", "--keys", keys_, "--claims", "{"},
                                             {"token", "sign", "--keys", keys_, "--claims", "{}", "--ttl", "15"},
                                             {"token", "verify", "--keys", keys_},
                                             {"token", "verify", "--keys", keys_, "--algorithms", "none", "x"},
                                             {"token", "verify", "--keys", keys_, "--algorithms", "", "x"},
                                             {"token", "verify", "--keys", keys_, "--algorithms", "ES256,", "x"},
                                             {"explain", "--config", "x"},
                                             {"explain", "--config", "x", "--url", "ftp://x/"}}) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.code, kUsage) << ::testing::PrintToString(arguments);
    EXPECT_THAT(ran.error, Not(IsEmpty()));
  }
}

TEST_F(Commands, HelpAndVersionAre0) {
  EXPECT_EQ(run({"--help"}).code, kDone);
  EXPECT_THAT(run({"--help"}).out, HasSubstr("explain"));
  EXPECT_EQ(run({"--version"}).code, kDone);
  EXPECT_THAT(run({"--version"}).out, StartsWith("sallyport "));
  EXPECT_EQ(run({"token", "verify", "--help"}).code, kDone);
}

TEST_F(Commands, RunServesTheConfigurationAndGivesItsExitCode) {
  EXPECT_EQ(run({"run", "--config", "some.yaml"}).code, kCouldNotStart);
  EXPECT_EQ(last_config_path, "some.yaml");
}

TEST_F(Commands, CheckIs0ForAValidConfigurationAnd1WithEveryProblemOtherwise) {
  ASSERT_TRUE(load().settings);
  const std::string path = folder().file("config/gateway.yaml");
  const Ran good = run({"check", "--config", path});
  EXPECT_EQ(good.code, kDone);
  EXPECT_EQ(good.out, path + ": valid\n");
  EXPECT_THAT(good.error, IsEmpty());

  ASSERT_FALSE(load("version: 1\nlisteners", "version: 2\nworkers: many\nlisteners").settings);
  const Ran bad = run({"check", "--config", path});
  EXPECT_EQ(bad.code, kRefused);
  EXPECT_THAT(bad.out, AllOf(StartsWith(path + ":1:10: "), HasSubstr("\n" + path + ":2:10: ")));
  EXPECT_THAT(bad.error, EndsWith("2 problems\n"));

  EXPECT_EQ(run({"check", "--config", folder().file("none.yaml")}).code, kRefused);
}

TEST_F(Commands, CheckPrintsWarningsAndIsStill0) {
  ASSERT_TRUE(load("https://issuer.example", "http://issuer.example").settings);
  const Ran ran = run({"check", "--config", folder().file("config/gateway.yaml")});
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.error, StartsWith("warning: " + folder().file("config/gateway.yaml") + ":6:13: "));
}

TEST_F(Commands, GeneratedKeysSignWhatTheirPublicHalvesVerify) {
  for (const char* algorithm : {"ES256", "RS256", "EdDSA", "HS256"}) {
    const Ran generated = run({"keys", "generate", "--algorithm", algorithm, "--kid", "k1"});
    ASSERT_EQ(generated.code, kDone) << generated.error;
    const std::string path = folder().write_secret("generated.jwks.json", generated.out);
    const Json* keys = nullptr;
    const Json document = Json::parse(generated.out).value();
    keys = document.find("keys");
    ASSERT_TRUE(keys != nullptr && keys->array() != nullptr && keys->array()->size() == 1);
    EXPECT_EQ(*keys->array()->front().find("kid")->string(), "k1");
    const Ran signed_token = run({"token", "sign", "--keys", path, "--claims", "{\"sub\":\"alice\"}"});
    ASSERT_EQ(signed_token.code, kDone) << signed_token.error;
    std::string verifying = path;
    if (std::string(algorithm) != "HS256") verifying = folder().write("public.jwks.json", run({"keys", "public", "--keys", path}).out);
    EXPECT_EQ(run({"token", "verify", "--keys", verifying, "--algorithms", algorithm}, signed_token.out).out, "valid\n") << algorithm;
    EXPECT_EQ(run({"token", "verify", "--keys", verifying, "--algorithms", "PS512"}, signed_token.out).code, kRefused) << algorithm;
  }
}

TEST_F(Commands, KeysWithoutAnIdGetDifferentOnes) {
  const auto kid = [] {
    const Json document = Json::parse(run({"keys", "generate", "--algorithm", "ES256"}).out).value();
    return *document.find("keys")->array()->front().find("kid")->string();
  };
  EXPECT_NE(kid(), kid());
}

TEST_F(Commands, PublicKeysHoldNothingPrivate) {
  const Ran ran = run({"keys", "public", "--keys", keys_});
  EXPECT_EQ(ran.code, kDone);
  const Json document = Json::parse(ran.out).value();
  EXPECT_EQ(document.find("keys")->array()->size(), 2U);
  for (const Json& key : *document.find("keys")->array()) {
    for (const char* member : {"d", "p", "q", "dp", "dq", "qi", "k"}) EXPECT_EQ(key.find(member), nullptr) << member;
  }
}

TEST_F(Commands, SignAddsTimesUnlessTheClaimsHaveThem) {
  const Json plain = claims_of(token("{}"));
  EXPECT_EQ(plain.find("exp")->number().value() - plain.find("iat")->number().value(), 900.0);
  const Json longer = claims_of(token("{\"sub\":\"a\"}", {"--ttl", "2h"}));
  EXPECT_EQ(longer.find("exp")->number().value() - longer.find("iat")->number().value(), 7200.0);
  EXPECT_EQ(*longer.find("sub")->string(), "a");
  const Json own = claims_of(token("{\"exp\":1,\"iat\":null}"));
  EXPECT_EQ(own.find("exp")->number().value(), 1.0);
  EXPECT_TRUE(own.find("iat")->is_null());
}

TEST_F(Commands, SignKeepsTheClaimsAsTheyWereWritten) {
  const std::string token_text = token(" { \"n\" : 1.50e3, \"s\":\"}\" } ", {"--ttl", "1m"});
  EXPECT_THAT(base64url_decode(split(token_text, '.').at(1)).value(), HasSubstr("\"n\" : 1.50e3"));
}

TEST_F(Commands, SignChoosesTheKeyByItsId) {
  const auto header = [&](const std::string& token_text) { return base64url_decode(split(token_text, '.').at(0)).value(); };
  EXPECT_THAT(header(token("{}")), HasSubstr("ES256"));
  EXPECT_THAT(header(token("{}", {"--kid", "rsa"})), AllOf(HasSubstr("RS256"), HasSubstr("\"rsa\"")));
  EXPECT_THAT(header(token("{}", {"--type", "at+jwt"})), HasSubstr("at+jwt"));
  EXPECT_EQ(run({"token", "sign", "--keys", keys_, "--claims", "{}", "--kid", "none"}).code, kRefused);
}

TEST_F(Commands, VerifyLooksAtTheSignatureAloneAndSaysSo) {
  const std::string expired = token("{\"exp\":1,\"aud\":\"somebody else\"}");
  const Ran ran = verify(expired);
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(ran.out, "valid\n");
  EXPECT_THAT(ran.error, HasSubstr("the signature alone was checked"));
}

TEST_F(Commands, VerifyRefusesEveryChangeOfTheSignature) {
  const std::string good = token("{\"sub\":\"alice\"}");
  for (std::size_t at = good.rfind('.') + 1; at < good.size(); at += 7) {
    std::string bad = good;
    bad[at] = bad[at] == 'A' ? 'B' : 'A';
    const Ran ran = verify(bad);
    EXPECT_EQ(ran.code, kRefused);
    EXPECT_THAT(ran.out, StartsWith("refused: "));
  }
  EXPECT_EQ(verify("").out, "refused: empty\n");
  EXPECT_EQ(verify("a.b").out, "refused: malformed\n");
}

TEST_F(Commands, VerifyReadsOneTokenPerLine) {
  const std::string good = token("{\"sub\":\"alice\"}");
  const auto lines = [&](const std::string& input) {
    return run({"token", "verify", "--keys", public_keys_, "--algorithms", "ES256"}, input);
  };
  const Ran mixed = lines(good + "\n\n" + good + "x\n" + good);
  EXPECT_EQ(mixed.code, kRefused);
  EXPECT_THAT(mixed.out, AllOf(StartsWith("valid\nrefused: empty\nrefused: "), EndsWith("\nvalid\n")));
  EXPECT_THAT(mixed.error, IsEmpty());
  EXPECT_EQ(lines(good + "\n" + good + "\n").code, kDone);
  EXPECT_EQ(lines(good + "\r\n").code, kRefused);
  EXPECT_EQ(lines("\n").out, "refused: empty\n");
  EXPECT_EQ(lines("").out, "");
}

TEST_F(Commands, VerifyReadsPemToo) {
  const test::Identity identity = test::make_identity({.common_name = "x", .alt_names = {}});
  const std::string path = folder().write("some.pem", test::certificate_pem(identity));
  EXPECT_EQ(run({"token", "verify", "--keys", path, "--algorithms", "ES256"}, token("{}") + "\n").out,
            "refused: bad_signature\n");  // found and tried: PEM keys have no id
}

TEST_F(Commands, VerifyTellsARefusedKeySetFromOneThatIsNotThere) {
  const std::string bad = folder().write("bad.json", "{\"keys\":[]}");
  const Ran refused = run({"token", "verify", "--keys", bad, "--algorithms", "ES256", "x"});
  EXPECT_EQ(refused.code, kRefused);
  EXPECT_THAT(refused.error, Not(IsEmpty()));
  EXPECT_THAT(refused.out, IsEmpty());
  EXPECT_EQ(run({"token", "verify", "--keys", folder().file("none"), "--algorithms", "ES256", "x"}).code, kCouldNotStart);
  EXPECT_EQ(run({"token", "sign", "--keys", folder().file("none"), "--claims", "{}"}).code, kCouldNotStart);
}

class Explain : public Commands {
 protected:
  Explain() {
    Loaded loaded = load("    upstream: web", R"(    upstream: web
  - { name: pages, match: { path: /pages/** }, access: public, upstream: web }
  - { name: own, match: { path: "/users/{user}/**" }, access: authenticated, require: { subject: "{user}" }, upstream: web }
  - name: named
    match: { path: /named, methods: [POST] }
    access: authenticated
    identity: { headers: { X-Name: name } }
    upstream: web)");
    EXPECT_TRUE(loaded.settings);
  }
  Ran explain(const std::string& url, const std::vector<std::string>& headers = {}, const std::string& method = "GET") {
    std::vector<std::string> arguments{"explain", "--config", folder().file("config/gateway.yaml"), "--method", method, "--url", url};
    for (const std::string& header : headers) arguments.insert(arguments.end(), {"--header", header});
    return run(arguments);
  }
  std::string bearer(const std::string& more = "") {
    return "Authorization: Bearer " + token("{\"iss\":\"https://issuer.example\",\"aud\":\"api\",\"sub\":\"alice\"" + more + "}");
  }
};

TEST_F(Explain, ShowsEachStepOfAnAllowedRequest) {
  const Ran ran = explain("https://api.example.com/api/x?y=1", {bearer()});
  EXPECT_EQ(ran.code, kDone) << ran.out << ran.error;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("request: GET /api/x for host api.example.com\n"), HasSubstr("route: api ("),
                             HasSubstr("p.yaml:3:5) by /api/**\n"), HasSubstr("access: authenticated\n"),
                             HasSubstr("credential: verified, subject alice of issuer corp\n"), HasSubstr("decision: allowed\n"),
                             HasSubstr("identity: X-Auth-Subject: alice\n"), EndsWith("upstream: web gets GET /api/x?y=1\n")));
}

TEST_F(Explain, VerifiesTheTokenReally) {
  const std::string good = bearer();
  EXPECT_EQ(explain("/api/x", {good}).code, kDone);
  std::string forged = good;
  forged[forged.size() - 10] = forged[forged.size() - 10] == 'A' ? 'B' : 'A';
  const Ran ran = explain("/api/x", {forged});
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("bad_signature"), HasSubstr("answer: 401")));
  EXPECT_THAT(ran.out, Not(HasSubstr(forged.substr(22))));
  EXPECT_THAT(explain("/api/x", {bearer(",\"exp\":1")}).out, HasSubstr("expired"));
}

TEST_F(Explain, AnswersAsTheServerWould) {
  EXPECT_THAT(explain("/api/x").out, HasSubstr("answer: 401"));
  EXPECT_THAT(explain("/nowhere").out, HasSubstr("answer: 404"));
  EXPECT_THAT(explain("/named").out, HasSubstr("answer: 405"));
  EXPECT_THAT(explain("/pages/../api").out, HasSubstr("answer: 400"));
  EXPECT_THAT(explain("/pages/%2e%2e/api").out, HasSubstr("answer: 400"));
  EXPECT_THAT(explain("/pages/x", {"Host: a", "Host: b"}).out, HasSubstr("answer: 400"));
  EXPECT_THAT(explain("/api/x", {bearer(), bearer()}).out, HasSubstr("answer: 400"));
  EXPECT_THAT(explain("/users/bob/x", {bearer()}).out, AllOf(HasSubstr("path parameter: user = bob"), HasSubstr("answer: 403")));
  EXPECT_EQ(explain("/users/alice/x", {bearer()}).code, kDone);
  EXPECT_EQ(explain("/pages/x").code, kDone);
  EXPECT_EQ(explain("/.gateway/session", {bearer()}).code, kRefused);
  EXPECT_THAT(explain("/pages/x", {}, "TRACE").out, HasSubstr("answer: 405"));
}

TEST_F(Explain, GoesOnToTheHeadersThatAClaimMayNotBecome) {
  EXPECT_EQ(explain("/named", {bearer(",\"name\":\"Alice\"")}, "POST").code, kDone);
  const Ran ran = explain("/named", {bearer(",\"name\":\"Alice\\r\\nX-Role: admin\"")}, "POST");
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("identity: refused, X-Name: "), HasSubstr("answer: 403")));
}

TEST_F(Explain, RefusesOptionsThatAreNoRequestLineAsUsage) {
  EXPECT_EQ(explain("/pages/x", {"no colon"}).code, kUsage);
  EXPECT_EQ(explain("/pages/x", {"X: a\r\nY: b"}).code, kUsage);
  EXPECT_EQ(explain("/pages/x HTTP/1.1").code, kUsage);
  EXPECT_EQ(explain("/pages/x", {}, "GET /").code, kUsage);
}

TEST_F(Explain, ShowsTheProblemsOfAnInvalidConfiguration) {
  ASSERT_FALSE(load("version: 1", "version: 2").settings);
  const Ran ran = explain("/pages/x");
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_THAT(ran.error, HasSubstr(":1:10: "));
}

}  // namespace
}  // namespace sallyport::app
