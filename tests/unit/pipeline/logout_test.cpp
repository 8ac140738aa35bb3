#include <gmock/gmock.h>

#include "gateway.hpp"

namespace sallyport::pipeline {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

class LogoutTest : public GatewayTest {
 protected:
  test::FakeExchange logout(std::vector<std::string> fields, std::string_view query = "") {
    return post("/.gateway/logout" + std::string(query), fields);
  }
  // From our own site.
  test::FakeExchange click_logout(std::vector<std::string> fields, std::string_view query = "") {
    fields.push_back(same_origin());
    return logout(std::move(fields), query);
  }
  static void expect_farewell(const test::FakeExchange& exchange) {
    EXPECT_EQ(exchange.status(), 204);
    EXPECT_TRUE(is_cleared(exchange, "__Host-session"));
    EXPECT_TRUE(is_cleared(exchange, "__Host-access"));
    EXPECT_TRUE(is_cleared(exchange, "__Host-refresh"));
    EXPECT_EQ(exchange.field("Clear-Site-Data"), R"("cookies", "storage")");
    EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  }
};

TEST_F(LogoutTest, F13_EndsTheSessionAndClearsItsCookie) {
  const std::string value = worker_.sign_in();
  const std::string cookie = session_cookie(value);
  ASSERT_EQ(get("/api/x", {cookie}).status(), 200);
  expect_farewell(click_logout({cookie}));
  EXPECT_EQ(get("/api/x", {cookie}).status(), 401);
  EXPECT_EQ(worker_.store.session_count(), 0U);
  const std::string logged = audit_.text();
  EXPECT_THAT(logged, HasSubstr(R"("event":"session_ended")"));
  EXPECT_THAT(logged, HasSubstr(R"("session":")" + worker_.session_handle(value)));
  EXPECT_THAT(logged, Not(HasSubstr(value)));
}

TEST_F(LogoutTest, EndsNobodyElsesSession) {
  const std::string mine = session_cookie(worker_.sign_in());
  const std::string other = session_cookie(worker_.sign_in());
  expect_farewell(click_logout({mine}));
  EXPECT_EQ(get("/api/x", {other}).status(), 200);
}

TEST_F(LogoutTest, ASecondClickEndsWellToo) {
  const std::string cookie = session_cookie(worker_.sign_in());
  expect_farewell(click_logout({cookie}));
  expect_farewell(click_logout({cookie}));
  expect_farewell(logout({session_cookie("not-a-session")}));
}

TEST_F(LogoutTest, H14_EndsTheFamilyOfTheCookies) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  const std::string access = access_cookie(pair->access);
  const std::string refresh = refresh_cookie(pair->refresh);
  for (const std::string& named_by : {access, refresh}) {
    const issue::TokenPairPtr fresh = worker_.issue_tokens(edge_);
    expect_farewell(click_logout({named_by == access ? access_cookie(fresh->access) : refresh_cookie(fresh->refresh)}));
    EXPECT_EQ(get("/api/x", {bearer(fresh->access)}).status(), 401);
    EXPECT_EQ(get("/api/x", {refresh_cookie(fresh->refresh)}).status(), 401);
  }
  EXPECT_EQ(get("/api/x", {bearer(pair->access)}).status(), 200) << "the other family lives";
  EXPECT_THAT(audit_.text(), HasSubstr(R"("kind":"family")"));
}

TEST_F(LogoutTest, H14_ARefreshThatIsUnderWayComesToNothing) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  open();
  // The logout comes between the store's yes and its answer.
  bool logged_out = false;
  worker_.store.on_decided([&](std::string_view command) {
    if (command != "rotate_family" || std::exchange(logged_out, true)) return;
    store::Revocation revocation;
    revocation.kind = store::Revocation::Kind::family;
    revocation.value = pair->family;
    revocation.issued_before = worker_.clock.wall_now();
    revocation.keep_for = 1h;
    EXPECT_TRUE(worker_.revocations.add(revocation, worker_.clock.wall_now() + 1h, worker_.clock.wall_now()));
  });
  const auto exchange = get("/api/x", {refresh_cookie(pair->refresh)});
  EXPECT_TRUE(logged_out);
  EXPECT_EQ(exchange.status(), 401);
  EXPECT_TRUE(is_cleared(exchange, "__Host-refresh"));
}

TEST_F(LogoutTest, EndsEverythingThatTheCookiesName) {
  const std::string session = worker_.sign_in();
  const issue::TokenPairPtr one = worker_.issue_tokens(edge_);
  const issue::TokenPairPtr two = worker_.issue_tokens(edge_);
  expect_farewell(
      click_logout({"Cookie: __Host-session=" + session + "; __Host-access=" + one->access, "Cookie: __Host-refresh=" + two->refresh}));
  EXPECT_EQ(get("/api/x", {session_cookie(session)}).status(), 401);
  EXPECT_EQ(get("/api/x", {bearer(one->access)}).status(), 401);
  EXPECT_EQ(get("/api/x", {bearer(two->access)}).status(), 401);
}

TEST_F(LogoutTest, EndsTheFamilyOfABearerTokenOfOursWithoutACsrfCheck) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  expect_farewell(logout({bearer(pair->access), cross_site()}));
  EXPECT_EQ(get("/api/x", {bearer(pair->access)}).status(), 401);
  EXPECT_EQ(worker_.store.family_count(), 0U);
  expect_farewell(logout({bearer(pair->access)}));
}

TEST_F(LogoutTest, ABearerTokenThatIsNoGoodIs401) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  worker_.clock.advance(20min);
  const auto expired = logout({bearer(pair->access)});
  EXPECT_EQ(expired.status(), 401) << "its family may live on";
  EXPECT_EQ(count_cookies_set(expired), 0U);
  EXPECT_EQ(logout({bearer("garbage")}).status(), 401);
  EXPECT_EQ(logout({}).status(), 401) << "nobody";
  EXPECT_EQ(worker_.store.family_count(), 1U);
}

TEST_F(LogoutTest, F14_AnotherSiteLogsNobodyOut) {
  const std::string session = worker_.sign_in();
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  for (const std::string& cookie : {session_cookie(session), access_cookie(pair->access), refresh_cookie(pair->refresh)}) {
    for (const std::string& from : {cross_site(), std::string("X-CSRF-Token: ") + std::string(43, 'A')}) {
      for (const std::string query : {"", "?everywhere=true"}) {
        const auto exchange = logout({cookie, from}, query);
        EXPECT_EQ(exchange.status(), 403) << query;
        EXPECT_EQ(count_cookies_set(exchange), 0U);
        EXPECT_EQ(exchange.field("Clear-Site-Data"), std::nullopt);
      }
    }
  }
  EXPECT_EQ(get("/api/x", {session_cookie(session)}).status(), 200);
  EXPECT_EQ(get("/api/x", {bearer(pair->access)}).status(), 200);
  EXPECT_EQ(worker_.store.calls("rotate_family"), 0U);
}

TEST_F(LogoutTest, TakesTheCsrfTokenOfAnythingThatIsNamed) {
  const std::string session = worker_.sign_in();
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  const std::string cookies = "Cookie: __Host-session=" + session + "; __Host-refresh=" + pair->refresh;
  EXPECT_EQ(logout({cookies, "X-CSRF-Token: " + worker_.csrf_token_of_session(worker_.sign_in())}).status(), 403);
  expect_farewell(logout({cookies, "X-CSRF-Token: " + worker_.csrf_token_of_family(pair->family)}));
  const std::string next = worker_.sign_in();
  expect_farewell(logout({session_cookie(next), "X-CSRF-Token: " + worker_.csrf_token_of_session(next)}));
}

TEST_F(LogoutTest, EndsEverythingOfTheSubjectEverywhere) {
  const std::string here = session_cookie(worker_.sign_in());
  const std::string there = session_cookie(worker_.sign_in());
  const std::string bobs = session_cookie(worker_.sign_in("bob"));
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  expect_farewell(click_logout({here}, "?everywhere=true"));
  EXPECT_EQ(get("/api/x", {here}).status(), 401);
  EXPECT_EQ(get("/api/x", {there}).status(), 401);
  EXPECT_EQ(get("/api/x", {bearer(pair->access)}).status(), 401);
  EXPECT_EQ(get("/api/x", {refresh_cookie(pair->refresh)}).status(), 401);
  EXPECT_EQ(get("/api/x", {bobs}).status(), 200);
  const std::string logged = audit_.text();
  EXPECT_THAT(logged, HasSubstr(R"("kind":"subject")"));
  EXPECT_THAT(logged, HasSubstr(R"("event":"revoked")"));
}

TEST_F(LogoutTest, EverywhereIsOnlyForThoseWhomWeSignedIn) {
  const std::string here = session_cookie(worker_.sign_in());
  const std::string foreign = bearer(testing::good_token(authenticate::Algorithm::es256));
  EXPECT_EQ(logout({foreign}, "?everywhere=true").status(), 409) << "another issuer's alice is not ours";
  EXPECT_EQ(get("/api/x", {here}).status(), 200);
  EXPECT_EQ(get("/api/x", {foreign}).status(), 200);
}

TEST_F(LogoutTest, EverywhereWithAnExpiredAccessCookieAsksTheRefreshCookieWhoseEverythingIsMeant) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  const issue::TokenPairPtr elsewhere = worker_.issue_tokens(edge_);
  worker_.clock.advance(20min);
  expect_farewell(click_logout({"Cookie: __Host-access=" + pair->access + "; __Host-refresh=" + pair->refresh}, "?everywhere=true"));
  EXPECT_EQ(get("/api/x", {refresh_cookie(elsewhere->refresh)}).status(), 401);
  EXPECT_EQ(worker_.store.family_count(), 0U);
}

TEST_F(LogoutTest, EverywhereOfNobodyIs401) {
  const std::string cookie = session_cookie(worker_.sign_in());
  expect_farewell(click_logout({cookie}));
  EXPECT_EQ(click_logout({cookie}, "?everywhere=true").status(), 401) << "nothing says any more whose everything is meant";
  EXPECT_TRUE(worker_.store.calls("end_all_of") == 0U);
}

TEST_F(LogoutTest, RefusesAQueryThatItDoesNotKnow) {
  const std::string cookie = session_cookie(worker_.sign_in());
  for (const std::string query : {"?everywhere", "?everywhere=", "?everywhere=yes", "?everywhere=true&everywhere=true", "?everwhere=true",
                                  "?everywhere=true&x=1", "?%65verywhere=TRUE"}) {
    EXPECT_EQ(click_logout({cookie}, query).status(), 400) << query;
  }
  EXPECT_EQ(get("/api/x", {cookie}).status(), 200) << "nothing ended";
  expect_farewell(click_logout({cookie}, "?everywhere=false"));
}

TEST_F(LogoutTest, SaysThatWhatWasIssuedElsewhereIsEndedThere) {
  const auto exchange = logout({bearer(testing::good_token(authenticate::Algorithm::es256))});
  EXPECT_EQ(exchange.status(), 409);
  EXPECT_EQ(count_cookies_set(exchange), 0U);
  EXPECT_EQ(exchange.field("Clear-Site-Data"), std::nullopt);
}

TEST_F(LogoutTest, F02_TwoCookiesOfOneNameAre400) {
  const std::string session = worker_.sign_in();
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  const std::vector<std::string> twice{"Cookie: __Host-session=" + session + "; __Host-session=x",
                                       "Cookie: __Host-access=" + pair->access + "; __Host-access=x",
                                       "Cookie: __Host-refresh=" + pair->refresh + "; __Host-refresh=x",
                                       "Cookie: __Host-session=" + session + "; __Host-refresh=" + pair->refresh + "; __Host-refresh=x"};
  for (const std::string& cookies : twice) EXPECT_EQ(click_logout({cookies}).status(), 400) << cookies;
  EXPECT_EQ(get("/api/x", {session_cookie(session)}).status(), 200);
  EXPECT_EQ(get("/api/x", {bearer(pair->access)}).status(), 200);
}

TEST_F(LogoutTest, N02_AStoreThatIsAwayIs503AndClearsNothing) {
  const std::string session = session_cookie(worker_.sign_in());
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  ASSERT_EQ(get("/api/x", {session}).status(), 200);  // warm: the session itself can be answered from memory
  worker_.store.fail_with(Fault::timed_out);
  const std::vector<std::vector<std::string>> requests{{session}, {access_cookie(pair->access)}, {refresh_cookie(pair->refresh)}};
  for (const std::vector<std::string>& fields : requests) {
    for (const std::string query : {"", "?everywhere=true"}) {
      const auto exchange = click_logout(fields, query);
      EXPECT_EQ(exchange.status(), 503) << fields[0] << query;
      EXPECT_EQ(exchange.field("Retry-After"), "1");
      EXPECT_EQ(count_cookies_set(exchange), 0U);
      EXPECT_EQ(exchange.field("Clear-Site-Data"), std::nullopt);
    }
  }
  worker_.store.fail_with(std::nullopt);
  expect_farewell(click_logout({session}));
}

TEST_F(LogoutTest, ARevocationThatCouldNotBeKeptIs503) {
  const std::string ours = bearer(worker_.issue_tokens(edge_)->access);
  worker_.store.fail_with(Fault::unavailable);
  const auto exchange = logout({ours}, "?everywhere=true");
  EXPECT_EQ(exchange.status(), 503) << "nothing else of this caller would have shown it";
  EXPECT_EQ(count_cookies_set(exchange), 0U);
}

TEST_F(LogoutTest, WithoutKeysNoCookieCanBeReadWhichIs503) {
  const std::string session = session_cookie(worker_.sign_in());
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  worker_.sessions.use_keys(nullptr);
  for (const std::string& cookie : {session, refresh_cookie(pair->refresh)}) {
    const auto exchange = click_logout({cookie});
    EXPECT_EQ(exchange.status(), 503);
    EXPECT_EQ(count_cookies_set(exchange), 0U);
  }
}

}  // namespace
}  // namespace sallyport::pipeline
