#include "authorize/authorizer.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "requirements.hpp"
#include "support/identity_builder.hpp"

namespace sallyport::authorize {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using identity::AuthOutcome;
using sallyport::testing::IdentityBuilder;

constexpr WallTime kNow{std::chrono::seconds(1'700'000'000)};

RoutePolicy policy(Access access) { return {.access = access, .require = std::nullopt}; }
RoutePolicy policy(Access access, Requirement require) {
  RoutePolicy result = policy(access);
  result.require = std::move(require);
  return result;
}

Decision decide(const RoutePolicy& route, const AuthOutcome& outcome, WallTime now = kNow) {
  return Authorizer::decide(3, route, outcome, {}, "192.0.2.7", now);
}
Denied denied(const RoutePolicy& route, const AuthOutcome& outcome, WallTime now = kNow) {
  Decision decision = decide(route, outcome, now);
  if (std::holds_alternative<identity::Permit>(decision)) {
    ADD_FAILURE() << "permitted";
    return {.why = Denied::Why::unavailable, .reason = "permitted", .detail = {}, .scopes = {}};
  }
  return std::get<Denied>(std::move(decision));
}

AuthOutcome verified(const IdentityBuilder& builder = {}) { return builder.build(); }
AuthOutcome refused() { return identity::Refused{identity::RefusalReason::bad_signature, "corp"}; }
AuthOutcome ambiguous() { return identity::Ambiguous{"two tokens"}; }
AuthOutcome unavailable() { return identity::Unavailable{"no keys"}; }

TEST(Authorizer, GivesAPermitThatCarriesTheIdentityAndTheRoute) {
  const AuthOutcome outcome = verified();
  const Decision decision = decide(policy(Access::authenticated), outcome);
  const auto& permit = std::get<identity::Permit>(decision);
  EXPECT_EQ(permit.identity(), std::get<identity::IdentityPtr>(outcome).get());
  EXPECT_EQ(permit.route(), 3u);
}

TEST(Authorizer, APublicRouteLooksAtNoCredential) {
  for (const AuthOutcome& outcome : {verified(), AuthOutcome(identity::NotPresented{}), refused(), ambiguous(), unavailable()}) {
    const Decision decision = decide(policy(Access::public_), outcome);
    const auto* permit = std::get_if<identity::Permit>(&decision);
    ASSERT_NE(permit, nullptr);
    EXPECT_EQ(permit->identity(), nullptr) << "not even a good one makes an identity here";
  }
}

TEST(Authorizer, P02_APublicRouteThatRequiresSomethingLetsNobodyIn) {
  EXPECT_EQ(denied(policy(Access::public_, role("admin")), verified(IdentityBuilder().roles({"admin"}))).why,
            Denied::Why::requirement_unmet);
}

TEST(Authorizer, OnlyOptionalRoutesLetAnonymousCallersIn) {
  const Decision decision = decide(policy(Access::optional), identity::NotPresented{});
  ASSERT_TRUE(std::holds_alternative<identity::Permit>(decision));
  EXPECT_EQ(std::get<identity::Permit>(decision).identity(), nullptr);
  const Denied no = denied(policy(Access::authenticated), identity::NotPresented{});
  EXPECT_EQ(no.why, Denied::Why::no_credential);
  EXPECT_EQ(no.reason, "no_credential");
}

TEST(Authorizer, AnAnonymousCallerSatisfiesNothing) {
  EXPECT_EQ(denied(policy(Access::optional, role("admin")), identity::NotPresented{}).why, Denied::Why::no_credential);
  EXPECT_EQ(denied(policy(Access::optional, negation(role("admin"))), identity::NotPresented{}).why, Denied::Why::no_credential);
  EXPECT_TRUE(std::holds_alternative<identity::Permit>(decide(policy(Access::optional, negation(role("admin"))), verified())));
}

TEST(Authorizer, ABadCredentialIsRefusedOnOptionalRoutesToo) {
  for (const Access access : {Access::optional, Access::authenticated}) {
    EXPECT_EQ(denied(policy(access), refused()).why, Denied::Why::credential_refused);
    EXPECT_EQ(denied(policy(access), refused()).reason, "bad_signature");
    EXPECT_EQ(denied(policy(access), ambiguous()).why, Denied::Why::ambiguous_credential);
    EXPECT_EQ(denied(policy(access), ambiguous()).reason, "ambiguous_credential");
    EXPECT_TRUE(std::holds_alternative<identity::Permit>(decide(policy(access), verified())));
  }
}

TEST(Authorizer, CouldNotAskIsNotNo) {
  for (const Access access : {Access::optional, Access::authenticated}) {
    const Denied answer = denied(policy(access), unavailable());
    EXPECT_EQ(answer.why, Denied::Why::unavailable);
    EXPECT_EQ(answer.detail, "no keys");
  }
}

TEST(Authorizer, AMissingIdentityNeverBecomesAnAnonymousPermit) {
  EXPECT_EQ(denied(policy(Access::optional), identity::IdentityPtr()).why, Denied::Why::unavailable);
  EXPECT_EQ(denied(policy(Access::authenticated), identity::IdentityPtr()).why, Denied::Why::unavailable);
}

TEST(Authorizer, C27_AnIdentityIsNeverUsedAtItsExpiryOrLater) {
  const AuthOutcome outcome = verified(IdentityBuilder().expires_at(kNow));
  EXPECT_TRUE(std::holds_alternative<identity::Permit>(decide(policy(Access::authenticated), outcome, kNow - 1ns)));
  EXPECT_EQ(denied(policy(Access::authenticated), outcome, kNow).why, Denied::Why::credential_refused);
  EXPECT_EQ(denied(policy(Access::authenticated), outcome, kNow).reason, "expired");
  EXPECT_EQ(denied(policy(Access::optional), outcome, kNow + 1h).reason, "expired");
}

TEST(Authorizer, SaysWhichScopesWouldHaveDone) {
  const Denied answer = denied(policy(Access::authenticated, all(scope("orders:read"), scope("orders:write"))),
                               verified(IdentityBuilder().scopes({"orders:read"})));
  EXPECT_EQ(answer.why, Denied::Why::insufficient_scope);
  EXPECT_EQ(answer.scopes, (std::vector<std::string>{"orders:read", "orders:write"}));
}

TEST(Authorizer, DoesNotBlameScopesForWhatElseIsMissing) {
  const RoutePolicy route = policy(Access::authenticated, all(scope("orders:read"), role("admin")));
  const Denied answer = denied(route, verified());
  EXPECT_EQ(answer.why, Denied::Why::requirement_unmet);
  EXPECT_TRUE(answer.scopes.empty());
  EXPECT_EQ(denied(route, verified(IdentityBuilder().roles({"admin"}))).why, Denied::Why::insufficient_scope);
  EXPECT_EQ(denied(route, verified(IdentityBuilder().scopes({"orders:read"}))).why, Denied::Why::requirement_unmet);
  EXPECT_TRUE(
      std::holds_alternative<identity::Permit>(decide(route, verified(IdentityBuilder().roles({"admin"}).scopes({"orders:read"})))));
}

TEST(Authorizer, C29_EachRouteIsJudgedAnew) {
  const AuthOutcome outcome = verified(IdentityBuilder().roles({"reader"}));
  EXPECT_TRUE(std::holds_alternative<identity::Permit>(decide(policy(Access::authenticated, role("reader")), outcome)));
  EXPECT_EQ(denied(policy(Access::authenticated, role("writer")), outcome).why, Denied::Why::requirement_unmet);
  EXPECT_EQ(denied(policy(Access::authenticated, {IssuerIs{"partner"}}), outcome).why, Denied::Why::requirement_unmet);
}

TEST(Authorizer, ThePathDecidesWhoseProfileItIs) {
  const RoutePolicy own = policy(Access::authenticated, equals("sub", "\"{user}\""));
  const auto asked_for = [&](std::string_view user) {
    return std::holds_alternative<identity::Permit>(Authorizer::decide(0, own, verified(), {{"user", user}}, "192.0.2.7", kNow));
  };
  EXPECT_TRUE(asked_for("alice"));
  EXPECT_FALSE(asked_for("bob"));
  EXPECT_FALSE(asked_for("alice%00"));
}

TEST(Authorizer, EveryReasonHasAName) {
  std::vector<std::string_view> names;
  for (const auto why : {Denied::Why::no_credential, Denied::Why::credential_refused, Denied::Why::ambiguous_credential,
                         Denied::Why::insufficient_scope, Denied::Why::requirement_unmet, Denied::Why::unavailable}) {
    names.push_back(name(why));
  }
  EXPECT_EQ(names, (std::vector<std::string_view>{"no_credential", "credential_refused", "ambiguous_credential", "insufficient_scope",
                                                  "requirement_unmet", "unavailable"}));
}

}  // namespace
}  // namespace sallyport::authorize
