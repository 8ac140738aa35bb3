#include "authorize/csrf.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "http/request_parser.hpp"

namespace sallyport::authorize {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kGoodToken = "the-token";

// A request as it comes over the wire; its views live as long as it does.
class Request {
 public:
  Request(const std::string& method, const std::string& host, const Fields& fields) {
    text_ = method + " /orders HTTP/1.1\r\nHost: " + host + "\r\n";
    for (const auto& [name, value] : fields) text_ += name + ": " + value + "\r\n";
    text_ += "\r\n";
    http::RequestParser parser(limits_);
    EXPECT_TRUE(std::holds_alternative<http::HeadParsed>(parser.parse(text_, head_))) << text_;
  }
  [[nodiscard]] const http::RequestHead& head() const { return head_; }

 private:
  http::Limits limits_;
  std::string text_;
  http::RequestHead head_;
};

http::Peer peer(bool is_tls) { return {.listener = "public", .address = "192.0.2.1", .port = 50000, .is_tls = is_tls}; }

CsrfPolicy allowing(std::vector<std::string> origins) { return {.off = false, .allowed_origins = std::move(origins)}; }

CsrfVerdict check(const std::string& method, const Fields& fields, const CsrfPolicy& policy = {}, bool is_tls = true,
                  const std::string& host = "app.example") {
  const Request request(method, host, fields);
  int asked = 0;
  const CsrfVerdict verdict = check_csrf(request.head(), peer(is_tls), policy, [&](std::string_view token) {
    ++asked;
    return token == kGoodToken;
  });
  EXPECT_LE(asked, 1);
  return verdict;
}
CsrfVerdict post(const Fields& fields, const CsrfPolicy& policy = {}, bool is_tls = true, const std::string& host = "app.example") {
  return check("POST", fields, policy, is_tls, host);
}

TEST(Csrf, LooksAtUnsafeMethodsOnly) {
  const Fields foreign{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}};
  for (const std::string method : {"GET", "HEAD", "OPTIONS"}) EXPECT_EQ(check(method, foreign), CsrfVerdict::not_needed) << method;
  for (const std::string method : {"POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get"}) {
    EXPECT_EQ(check(method, foreign), CsrfVerdict::refused) << method;
  }
}

TEST(Csrf, IsOffWhereTheRouteSaysSo) {
  const Fields foreign{{"Sec-Fetch-Site", "cross-site"}};
  EXPECT_EQ(post(foreign, {.off = true, .allowed_origins = {}}), CsrfVerdict::not_needed);
  EXPECT_EQ(post(foreign, {}), CsrfVerdict::refused);
}

struct Row {
  std::string name;
  Fields fields;
  CsrfVerdict expected;
};
class CsrfTable : public ::testing::TestWithParam<Row> {};

TEST_P(CsrfTable, F14_JudgesAPostThatACookieAuthenticated) {
  EXPECT_EQ(post(GetParam().fields, allowing({"https://shop.example", "capacitor://localhost"})), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    All, CsrfTable,
    ::testing::Values(
        Row{"same_origin", {{"Sec-Fetch-Site", "same-origin"}}, CsrfVerdict::same_origin},
        Row{"typed_by_the_user", {{"Sec-Fetch-Site", "none"}}, CsrfVerdict::same_origin},
        Row{"cross_site", {{"Sec-Fetch-Site", "cross-site"}}, CsrfVerdict::refused},
        Row{"same_site", {{"Sec-Fetch-Site", "same-site"}}, CsrfVerdict::refused},
        Row{"unknown_site", {{"Sec-Fetch-Site", "Same-Origin"}}, CsrfVerdict::refused},
        Row{"empty_site", {{"Sec-Fetch-Site", ""}}, CsrfVerdict::refused},
        Row{"two_sites", {{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "same-origin"}}, CsrfVerdict::refused},
        Row{"cross_site_of_an_allowed_origin",
            {{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://shop.example"}},
            CsrfVerdict::same_origin},
        Row{"same_site_of_an_allowed_origin",
            {{"Sec-Fetch-Site", "same-site"}, {"Origin", "https://shop.example"}},
            CsrfVerdict::same_origin},
        Row{"cross_site_of_another_origin", {{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}}, CsrfVerdict::refused},
        Row{"cross_site_that_names_our_origin",
            {{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://app.example"}},
            CsrfVerdict::refused},
        Row{"cross_site_with_the_token", {{"Sec-Fetch-Site", "cross-site"}, {"X-CSRF-Token", "the-token"}}, CsrfVerdict::refused},
        Row{"own_origin", {{"Origin", "https://app.example"}}, CsrfVerdict::same_origin},
        Row{"own_origin_with_its_default_port", {{"Origin", "https://app.example:443"}}, CsrfVerdict::same_origin},
        Row{"own_host_on_another_port", {{"Origin", "https://app.example:8443"}}, CsrfVerdict::refused},
        Row{"own_host_without_tls", {{"Origin", "http://app.example"}}, CsrfVerdict::refused},
        Row{"own_host_as_a_label", {{"Origin", "https://app.example.evil.example"}}, CsrfVerdict::refused},
        Row{"own_host_as_a_suffix", {{"Origin", "https://evilapp.example"}}, CsrfVerdict::refused},
        Row{"own_host_as_user", {{"Origin", "https://app.example@evil.example"}}, CsrfVerdict::refused},
        Row{"own_host_with_a_path", {{"Origin", "https://app.example/"}}, CsrfVerdict::refused},
        Row{"no_scheme", {{"Origin", "app.example"}}, CsrfVerdict::refused}, Row{"null_origin", {{"Origin", "null"}}, CsrfVerdict::refused},
        Row{"empty_origin", {{"Origin", ""}}, CsrfVerdict::refused},
        Row{"foreign_origin", {{"Origin", "https://evil.example"}}, CsrfVerdict::refused},
        Row{"foreign_origin_with_the_token", {{"Origin", "https://evil.example"}, {"X-CSRF-Token", "the-token"}}, CsrfVerdict::refused},
        Row{"two_origins", {{"Origin", "https://app.example"}, {"Origin", "https://app.example"}}, CsrfVerdict::refused},
        Row{"two_origins_in_one", {{"Origin", "https://app.example https://evil.example"}}, CsrfVerdict::refused},
        Row{"allowed_origin", {{"Origin", "https://shop.example"}}, CsrfVerdict::same_origin},
        Row{"allowed_origin_of_another_scheme", {{"Origin", "http://shop.example"}}, CsrfVerdict::refused},
        Row{"allowed_application", {{"Origin", "capacitor://localhost"}}, CsrfVerdict::same_origin},
        Row{"another_application", {{"Origin", "capacitor://app.example"}}, CsrfVerdict::refused}, Row{"nothing", {}, CsrfVerdict::refused},
        Row{"the_token", {{"X-CSRF-Token", "the-token"}}, CsrfVerdict::token},
        Row{"the_token_in_another_case", {{"x-csrf-token", "the-token"}}, CsrfVerdict::token},
        Row{"another_token", {{"X-CSRF-Token", "the-tokem"}}, CsrfVerdict::refused},
        Row{"an_empty_token", {{"X-CSRF-Token", ""}}, CsrfVerdict::refused},
        Row{"two_tokens", {{"X-CSRF-Token", "the-token"}, {"X-CSRF-Token", "the-token"}}, CsrfVerdict::refused},
        Row{"the_token_under_an_alias", {{"X_CSRF_Token", "the-token"}}, CsrfVerdict::refused}),
    [](const auto& row) { return row.param.name; });

TEST(Csrf, TakesTheHostAndPortByWhichTheClientCame) {
  EXPECT_EQ(post({{"Origin", "https://app.example:8443"}}, {}, true, "app.example:8443"), CsrfVerdict::same_origin);
  EXPECT_EQ(post({{"Origin", "https://app.example"}}, {}, true, "app.example:8443"), CsrfVerdict::refused);
  EXPECT_EQ(post({{"Origin", "https://app.example"}}, {}, true, "App.Example:443"), CsrfVerdict::same_origin);
  EXPECT_EQ(post({{"Origin", "https://app.example."}}, {}, true, "app.example."), CsrfVerdict::same_origin);
  EXPECT_EQ(post({{"Origin", "https://[2001:db8::1]"}}, {}, true, "[2001:db8::1]"), CsrfVerdict::same_origin);
  EXPECT_EQ(post({{"Origin", "https://[2001:db8::1]:8443"}}, {}, true, "[2001:db8::1]"), CsrfVerdict::refused);
  EXPECT_EQ(post({{"Origin", "https://[2001:db8::1]:8443"}}, {}, true, "[2001:db8::1]:8443"), CsrfVerdict::same_origin);
}

TEST(Csrf, TakesEitherSchemeWhereTlsMayEndInFront) {
  EXPECT_EQ(post({{"Origin", "https://app.example"}}, {}, false), CsrfVerdict::same_origin);
  EXPECT_EQ(post({{"Origin", "http://app.example"}}, {}, false), CsrfVerdict::same_origin);
  EXPECT_EQ(post({{"Origin", "http://app.example"}}, {}, false, "app.example:80"), CsrfVerdict::same_origin);
  EXPECT_EQ(post({{"Origin", "https://app.example"}}, {}, false, "app.example:80"), CsrfVerdict::refused);
  EXPECT_EQ(post({{"Origin", "ftp://app.example"}}, {}, false), CsrfVerdict::refused);
  EXPECT_EQ(post({{"Origin", "https://evil.example"}}, {}, false), CsrfVerdict::refused);
}

TEST(Csrf, CallsASignInCrossSiteOnlyWhenTheBrowserSaysSo) {
  const auto is_foreign = [](const std::string& method, const Fields& fields, const CsrfPolicy& policy = {}) {
    const Request request(method, "app.example", fields);
    return is_cross_site(request.head(), peer(true), policy);
  };
  EXPECT_FALSE(is_foreign("POST", {})) << "no browser";
  EXPECT_FALSE(is_foreign("POST", {{"Sec-Fetch-Site", "same-origin"}}));
  EXPECT_FALSE(is_foreign("POST", {{"Origin", "https://app.example"}}));
  EXPECT_FALSE(is_foreign("GET", {{"Sec-Fetch-Site", "cross-site"}})) << "a link that somebody followed";
  EXPECT_TRUE(is_foreign("POST", {{"Sec-Fetch-Site", "cross-site"}}));
  EXPECT_TRUE(is_foreign("POST", {{"Sec-Fetch-Site", "same-site"}}));
  EXPECT_TRUE(is_foreign("POST", {{"Origin", "https://evil.example"}}));
  EXPECT_TRUE(is_foreign("POST", {{"Origin", "null"}}));
  EXPECT_FALSE(
      is_foreign("POST", {{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://shop.example"}}, allowing({"https://shop.example"})));
  EXPECT_FALSE(is_foreign("POST", {{"Sec-Fetch-Site", "cross-site"}}, {.off = true, .allowed_origins = {}}));
}

TEST(Csrf, ReadsOriginsAsBrowsersSpellThem) {
  const auto origin = [](std::string_view text) {
    const Result<std::string> parsed = parse_origin(text);
    return parsed ? *parsed : "refused: " + std::string(name(parsed.error().fault));
  };
  EXPECT_EQ(origin("https://app.example.com"), "https://app.example.com");
  EXPECT_EQ(origin("HTTPS://App.Example.com:443"), "https://app.example.com");
  EXPECT_EQ(origin("http://app.example.com:80"), "http://app.example.com");
  EXPECT_EQ(origin("http://app.example.com:443"), "http://app.example.com:443");
  EXPECT_EQ(origin("https://[2001:db8::1]:8443"), "https://[2001:db8::1]:8443");
  EXPECT_EQ(origin("https://[2001:db8::1]"), "https://[2001:db8::1]");
  EXPECT_EQ(origin("capacitor://localhost"), "capacitor://localhost");
  for (const std::string_view bad :
       {"", "null", "*", "app.example.com", "https://", "https:///", "https://app.example.com/", "https://*.example.com",
        "https://a.example https://b.example", "https://user@app.example", "https://app.example:0", "https://app.example:port",
        "://app.example", "1http://app.example", "https://app.example?x", "https://app.example#x"}) {
    EXPECT_EQ(origin(bad), "refused: malformed") << bad;
  }
}

}  // namespace
}  // namespace sallyport::authorize
