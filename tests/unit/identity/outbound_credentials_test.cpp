#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "outbound_fixture.hpp"

namespace sallyport::identity {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(Outbound, I16_RemovesTheBearerTokenUnlessTheRouteForwardsIt) {
  for (const std::string value : {"Bearer abc.def.ghi", "bearer abc", "BEARER abc", "Bearer", "Bearer\tabc", "Bearer,abc"}) {
    EXPECT_THAT(values(get(alice(), {"Authorization: " + value}), "Authorization"), IsEmpty()) << value;
  }
  plan_.forward_credentials = true;
  EXPECT_THAT(values(get(alice(), {"Authorization: Bearer abc.def.ghi"}), "Authorization"), ElementsAre("Bearer abc.def.ghi"));
}

TEST_F(Outbound, I16_OtherSchemesPass) {
  for (const std::string value : {"Basic YTpi", "Bearers abc", "DPoP abc", "Digest username=\"Bearer\""}) {
    EXPECT_THAT(values(get(alice(), {"Authorization: " + value}), "Authorization"), ElementsAre(value));
  }
}

TEST_F(Outbound, I16_PublicRoutesPassAuthorizationAndTokenHeaders) {
  plan_.is_public = true;
  plan_.credential_headers = {"x-api-token"};
  const auto lines = get(PermitBuilder::anonymous(), {"Authorization: Bearer abc", "X-Api-Token: t"});
  EXPECT_THAT(values(lines, "Authorization"), ElementsAre("Bearer abc"));
  EXPECT_THAT(values(lines, "X-Api-Token"), ElementsAre("t"));
}

TEST_F(Outbound, I16_RemovesTokenHeadersAndTheirAliases) {
  plan_.credential_headers = {"x-api-token"};
  const std::vector<std::string> fields{"X-Api-Token: t", "x_api_token: u", "X-Api-Tokens: v"};
  EXPECT_THAT(values(get(alice(), fields), "X-Api-Token"), IsEmpty());
  EXPECT_THAT(values(get(alice(), fields), "X-Api-Tokens"), ElementsAre("v"));
  plan_.forward_credentials = true;
  EXPECT_THAT(values(get(alice(), fields), "X-Api-Token"), ElementsAre("t", "u"));
}

struct CookieRow {
  std::string name;
  std::string sent;
  std::vector<std::string> passed;
};
class OutboundCookies : public Outbound, public ::testing::WithParamInterface<CookieRow> {};

TEST_P(OutboundCookies, F09_OursAreCutOutAndOthersStayByteForByte) {
  plan_.our_cookies = {"__Host-session", "__Host-access"};
  EXPECT_EQ(values(get(alice(), {"Cookie: " + GetParam().sent}), "Cookie"), GetParam().passed);
  plan_.is_public = true;
  EXPECT_EQ(values(get(PermitBuilder::anonymous(), {"Cookie: " + GetParam().sent}), "Cookie"), GetParam().passed);
  plan_.forward_credentials = true;
  EXPECT_EQ(values(get(PermitBuilder::anonymous(), {"Cookie: " + GetParam().sent}), "Cookie"), GetParam().passed)
      << "nothing of ours leaves by a public route";
  plan_.is_public = false;
  EXPECT_EQ(values(get(alice(), {"Cookie: " + GetParam().sent}), "Cookie"), std::vector<std::string>{GetParam().sent});
}

INSTANTIATE_TEST_SUITE_P(
    Rows, OutboundCookies,
    ::testing::Values(CookieRow{"None", "a=1; b=2", {"a=1; b=2"}}, CookieRow{"First", "__Host-session=s; a=1; b=2", {"a=1; b=2"}},
                      CookieRow{"Middle", "a=1; __Host-session=s; b=2", {"a=1; b=2"}},
                      CookieRow{"Last", "a=1; b=2; __Host-session=s", {"a=1; b=2"}}, CookieRow{"Alone", "__Host-session=s", {}},
                      CookieRow{"AllOurs", "__Host-session=s; __Host-access=t", {}},
                      CookieRow{"Twice", "__Host-session=s; a=1; __Host-session=u", {"a=1"}},
                      CookieRow{"AloneWithSemicolons", ";; __Host-session=s;", {}},
                      CookieRow{"TightAndWide", "a=1;__Host-session=s;b=2;   c=3", {"a=1;b=2;   c=3"}},
                      CookieRow{"OddOthers", "a=\"x y\"; =; {}=[]; b; __Host-session=s; c=a=b", {"a=\"x y\"; =; {}=[]; b; c=a=b"}},
                      CookieRow{"Prefixes",
                                "x__Host-session=1; __Host-sessions=2; __host-session=3",
                                {"x__Host-session=1; __Host-sessions=2; __host-session=3"}},
                      CookieRow{"SpacesAroundOurs", "a=1;  __Host-session =s; b=2", {"a=1; b=2"}},
                      CookieRow{"NameAlone", "a=1; __Host-session", {"a=1"}},
                      CookieRow{"QuotesPartNothing", "a=\"1; __Host-session=s; b=2\"", {"a=\"1; b=2\""}}),
    [](const auto& row) { return row.param.name; });

TEST_F(Outbound, H15_TheRefreshCookieGoesNowhere) {
  plan_.our_cookies = {"__Host-access", "__Host-refresh"};
  plan_.refresh_cookie = "__Host-refresh";
  const std::vector<std::string> fields{"Cookie: a=1; __Host-refresh=r; __Host-access=t", "Cookie: __Host-refresh=r"};
  EXPECT_THAT(values(get(alice(), fields), "Cookie"), ElementsAre("a=1"));
  plan_.forward_credentials = true;
  EXPECT_THAT(values(get(alice(), fields), "Cookie"), ElementsAre("a=1; __Host-access=t"));
  plan_.our_cookies.clear();
  EXPECT_THAT(values(get(alice(), fields), "Cookie"), ElementsAre("a=1; __Host-access=t"));
}

TEST_F(Outbound, F09_EachCookieFieldIsCutByItself) {
  plan_.our_cookies = {"__Host-session"};
  EXPECT_THAT(values(get(alice(), {"Cookie: a=1; __Host-session=s", "Cookie: __Host-session=s", "Cookie: b=2"}), "Cookie"),
              ElementsAre("a=1", "b=2"));
}

}  // namespace
}  // namespace sallyport::identity
