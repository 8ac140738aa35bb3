#include <gtest/gtest.h>

#include <string>

#include "identity/outbound_request.hpp"

namespace sallyport::identity {
namespace {

TEST(IdentityHeader, ReadsItsSource) {
  EXPECT_EQ(parse_identity_header("X-User-Id", "sub")->fact, FactKind::subject);
  EXPECT_EQ(parse_identity_header("X-User-Issuer", "iss")->fact, FactKind::issuer);
  EXPECT_EQ(parse_identity_header("X-User-Roles", "roles")->fact, FactKind::roles);
  EXPECT_EQ(parse_identity_header("X-User-Scopes", "scopes")->fact, FactKind::scopes);
  EXPECT_EQ(parse_identity_header("X-How", "method")->fact, FactKind::method);

  const auto email = parse_identity_header("X-User-Email", "email");
  ASSERT_TRUE(email);
  EXPECT_EQ(email->fact, FactKind::claim);
  EXPECT_EQ(email->pointer, JsonPointer::member("email"));
  EXPECT_EQ(parse_identity_header("X-Claim", "a/b")->pointer, JsonPointer::member("a/b"));
  EXPECT_EQ(parse_identity_header("X-Realm", "/realm_access/name")->pointer, JsonPointer::parse("/realm_access/name").value());
}

TEST(IdentityHeader, P08_RefusesNamesThatAreNotItsToTake) {
  for (const std::string_view name : {"", "X User", "X-User:", "X-\xC3\xA9", "Host", "content_length", "X-Forwarded-User", "Cookie",
                                      "X-Auth-Establish", "X-User\r\nEvil"}) {
    EXPECT_FALSE(parse_identity_header(name, "sub")) << name;
  }
  EXPECT_TRUE(parse_identity_header("X-User", "sub"));
}

TEST(IdentityHeader, RefusesSourcesThatAreNone) {
  for (const std::string_view source : {"", "/a~2", "/~"}) EXPECT_FALSE(parse_identity_header("X-User", source)) << source;
}

TEST(IdentityHeader, TheMethodHeaderSaysTheMethodOnly) {
  EXPECT_TRUE(parse_identity_header("X-Auth-Method", "method"));
  EXPECT_FALSE(parse_identity_header("X-Auth-Method", "sub"));
  EXPECT_FALSE(parse_identity_header("x_auth_method", "amr"));
}

TEST(IdentityHeader, TheDefaultsAreTheFiveOfTheContract) {
  std::string names;
  for (const IdentityHeader& header : default_identity_headers()) names += header.name + " ";
  EXPECT_EQ(names, "X-Auth-Subject X-Auth-Issuer X-Auth-Method X-Auth-Roles X-Auth-Scopes ");
}

}  // namespace
}  // namespace sallyport::identity
