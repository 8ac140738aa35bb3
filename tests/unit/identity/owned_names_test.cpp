#include "identity/owned_names.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace sallyport::identity {
namespace {

const OwnedNames& configured() {
  static const OwnedNames names({"X-User-Id", "X-User-Roles", "Remote-User"});
  return names;
}

TEST(FoldName, ReadsCaseAndSeparatorsAsCgiDoes) {
  EXPECT_EQ(fold_name("X_User.Id"), "x-user-id");
  EXPECT_EQ(fold_name("X!User~ID9"), "x-user-id9");
  EXPECT_TRUE(fold_alike("X_USER_ID", "x-user.id"));
  EXPECT_FALSE(fold_alike("X_USER_ID", "x-user-i"));
  EXPECT_FALSE(fold_alike("X-User-Id", "Y-User-Id"));
  EXPECT_FALSE(fold_alike("XUserId", "X-User-Id"));
}

TEST(OwnedNames, I03_OwnsEverySpellingOfAnIdentityHeader) {
  for (const std::string_view name :
       {"X-User-Id", "x-user-id", "X_User_Id", "X-User_Id", "x_user-id", "X.User.Id", "X-USER.ID", "X-User-Id_", "_X-User-Id", "X-User-Id-",
        "X!User!Id", "REMOTE_USER", "Remote-User", "x_auth_subject", "X-Auth-Roles"}) {
    EXPECT_TRUE(configured().owns(name)) << name;
  }
}

TEST(OwnedNames, LeavesOtherNamesAlone) {
  for (const std::string_view name : {"X-User",
                                      "X-User-Ids",
                                      "X-User-Id2",
                                      "XUserId",
                                      "X--User-Id",
                                      "User-Agent",
                                      "Accept",
                                      "Accept-Encoding",
                                      "X-Auth-Token",
                                      "X-Forwardedx",
                                      "Content-Type",
                                      "Content-Length-Hint",
                                      "Referer",
                                      "X-Requested-With",
                                      "Sec-Fetch-Site",
                                      "X-HTTP-Method-Override",
                                      "Proxy-Foo",
                                      "-",
                                      "___",
                                      ""}) {
    EXPECT_FALSE(configured().owns(name)) << name;
  }
}

TEST(OwnedNames, OwnsIdentityHeadersOnlyWhereConfigured) {
  const OwnedNames none({});
  EXPECT_FALSE(none.owns("X-User-Id"));
  EXPECT_TRUE(configured().owns("X-User-Id"));
  for (const std::string_view name : {"X-Auth-Subject", "X-Auth-Issuer", "X-Auth-Method", "X-Auth-Roles", "X-Auth-Scopes", "X-Auth-Session",
                                      "X-Auth-Assertion", "X-Auth-Establish"}) {
    EXPECT_TRUE(none.owns(name)) << name;
  }
}

TEST(OwnedNames, I10_OwnsTheForwardingHeaders) {
  for (const std::string_view name : {"X-Forwarded-For",
                                      "X-Forwarded-Proto",
                                      "X-Forwarded-Host",
                                      "X-Forwarded-Port",
                                      "X-Forwarded-Prefix",
                                      "X-Forwarded-Uri",
                                      "X-Forwarded-Method",
                                      "X-Forwarded-Server",
                                      "X-Forwarded-Anything",
                                      "X_Forwarded_For",
                                      "X-Forwarded",
                                      "Forwarded",
                                      "X-Real-IP",
                                      "X_Real_IP",
                                      "X-Original-URL",
                                      "X-Rewrite-URL",
                                      "X-Request-Id",
                                      "traceparent",
                                      "Via",
                                      "Proxy",
                                      "X-Accel-Redirect",
                                      "X-Sendfile",
                                      "X-Sendfile-Type"}) {
    EXPECT_TRUE(configured().owns(name)) << name;
  }
}

TEST(OwnedNames, OwnsFramingAndHopByHopFieldsInEverySpelling) {
  for (const std::string_view name :
       {"Content-Length", "Content_Length", "content.length", "Transfer-Encoding", "Transfer_Encoding", "Connection", "Connection_",
        "Keep_Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Proxy_Authorization", "Expect", "HTTP2-Settings"}) {
    EXPECT_TRUE(configured().owns(name)) << name;
  }
}

TEST(OwnedNames, OwnsOnlyTheAliasesOfFieldsWithRulesOfTheirOwn) {
  for (const std::string_view exact :
       {"Host", "host", "AUTHORIZATION", "Cookie", "Content-Type", "content-encoding", "Origin", "tracestate"}) {
    EXPECT_FALSE(configured().owns(exact)) << exact;
  }
  for (const std::string_view alias :
       {"Host_", "_Host", "Authorization_", "Authorization.", "Cookie-", "Content_Type", "content.encoding", "Origin_"}) {
    EXPECT_TRUE(configured().owns(alias)) << alias;
  }
}

TEST(OwnedNames, AConfiguredNameIsOwnedOutright) {
  EXPECT_TRUE(OwnedNames({"Origin"}).owns("Origin"));
  EXPECT_FALSE(OwnedNames({}).owns("Origin"));
}

TEST(OwnedNames, P08_ReservedNamesAreNoIdentityHeaders) {
  for (const std::string_view name : {"Host",
                                      "host_",
                                      "Authorization",
                                      "Cookie",
                                      "Set-Cookie",
                                      "Content-Length",
                                      "content_type",
                                      "Transfer-Encoding",
                                      "Connection",
                                      "TE",
                                      "Via",
                                      "X-Forwarded-For",
                                      "X_Forwarded_User",
                                      "Forwarded",
                                      "X-Real-IP",
                                      "X-Request-Id",
                                      "traceparent",
                                      "tracestate",
                                      "Expect",
                                      "Upgrade",
                                      "Trailer",
                                      "X-Auth-Session",
                                      "X-Auth-Assertion",
                                      "X-Auth-Establish",
                                      "Proxy",
                                      "Date",
                                      "Origin",
                                      "",
                                      "-",
                                      "X-Original.URL"}) {
    EXPECT_TRUE(OwnedNames::is_reserved(name)) << name;
  }
  for (const std::string_view name : {"X-User-Id", "X-Auth-Subject", "X-Auth-Method", "X-Auth-Roles", "Remote-User", "X-Tenant"}) {
    EXPECT_FALSE(OwnedNames::is_reserved(name)) << name;
  }
}

TEST(OwnedNames, AgreesWithASetOnRandomNames) {
  std::mt19937_64 random(11);
  const std::string alphabet = "abAB-_.9";
  const auto any_name = [&] {
    std::string name(1 + random() % 5, 'a');
    for (char& c : name) c = alphabet[random() % alphabet.size()];
    return name;
  };
  const auto trimmed = [](std::string name) {
    while (name.starts_with('-')) name.erase(0, 1);
    while (name.ends_with('-')) name.pop_back();
    return name;
  };
  std::vector<std::string> owned_names;
  std::unordered_set<std::string> reference;
  for (int i = 0; i != 300; ++i) {
    owned_names.push_back(any_name());
    reference.insert(trimmed(fold_name(owned_names.back())));
  }
  const OwnedNames names(owned_names);
  std::size_t owned = 0;
  for (int i = 0; i != 100'000; ++i) {
    const std::string name = any_name();
    const std::string folded = trimmed(fold_name(name));
    const bool expected = !folded.empty() && reference.contains(folded);
    ASSERT_EQ(names.owns(name), expected) << name;
    owned += expected ? 1 : 0;
  }
  EXPECT_GT(owned, 1000u);
  EXPECT_LT(owned, 99'000u);
}

}  // namespace
}  // namespace sallyport::identity
