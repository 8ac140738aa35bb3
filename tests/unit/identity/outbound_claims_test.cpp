#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/text.hpp"
#include "outbound_fixture.hpp"

namespace sallyport::identity {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(Outbound, C14_AClaimWithAControlByteIsRefused) {
  name_headers({{"X-User-Name", "name"}});
  for (int byte = 0; byte != 0x80; ++byte) {
    const std::string escaped = "\\u00" + hex_encode(std::string(1, static_cast<char>(byte)));
    const bool control = byte < 0x20 || byte == 0x7F;
    EXPECT_EQ(refusal(with_claims(R"({"name":"al)" + escaped + R"(ice"})")), control ? "X-User-Name: a control byte" : "sent") << byte;
  }
  EXPECT_EQ(refusal(with_claims(R"({"name":"x\r\nX-Role: admin"})")), "X-User-Name: a control byte");
}

TEST_F(Outbound, C14_ARefusalTakesBackWhatWasWrittenBeforeTheBufferGrew) {
  name_headers({{"X-Large", "large"}, {"X-Larger", "large"}, {"X-User-Name", "name"}});
  const std::string large(kHeaderValueBytesMax, 'x');
  EXPECT_EQ(refusal(with_claims(R"({"name":"a\tb","large":")" + large + "\"}")), "X-User-Name: a control byte");
  EXPECT_EQ(refusal(with_claims(R"({"name":"a b","large":")" + large + "\"}")), "sent");
}

TEST_F(Outbound, C13_ASubjectWithAControlByteIsRefused) {
  EXPECT_EQ(refusal(PermitBuilder::of(IdentityBuilder().subject("alice\r\nX-Auth-Roles: admin").build())),
            "X-Auth-Subject: a control byte");
  EXPECT_EQ(refusal(PermitBuilder::of(IdentityBuilder().issuer(std::string("x\0y", 3)).build())), "X-Auth-Issuer: a control byte");
  EXPECT_EQ(refusal(alice()), "sent");
}

TEST_F(Outbound, C13_AnEmptySubjectInjectsNothing) {
  EXPECT_THAT(values(get(PermitBuilder::of(IdentityBuilder().subject("").build()), {"X-Auth-Subject: root"}), "X-Auth-Subject"), IsEmpty());
}

TEST_F(Outbound, C14_Utf8GoesAsItIs) {
  name_headers({{"X-User-Name", "name"}});
  for (const std::string text : {"Zo\xC3\xAB",
                                 "\xE2\x80\xAE"
                                 "evil",
                                 "\xC2\x85", "\xF0\x9F\x94\x91"}) {
    EXPECT_THAT(values(get(with_claims(R"({"name":")" + text + R"("})"), {}), "X-User-Name"), ElementsAre(text));
  }
}

TEST_F(Outbound, C14_ClaimsHaveAGreatestLength) {
  name_headers({{"X-User-Name", "name"}, {"X-User-Roles", "roles"}});
  const auto of_length = [](std::size_t bytes) { return with_claims(R"({"name":")" + std::string(bytes, 'x') + R"("})"); };
  EXPECT_EQ(refusal(of_length(kHeaderValueBytesMax)), "sent");
  EXPECT_EQ(refusal(of_length(kHeaderValueBytesMax + 1)), "X-User-Name: longer than 4 KiB");
  EXPECT_EQ(refusal(of_length(9 * 1024)), "X-User-Name: longer than 4 KiB");

  const std::string half(kHeaderValueBytesMax / 2, 'x');
  EXPECT_EQ(refusal(PermitBuilder::of(IdentityBuilder().roles({half, half.substr(1)}).build())), "sent") << "the comma counts";
  EXPECT_EQ(refusal(PermitBuilder::of(IdentityBuilder().roles({half, half}).build())), "X-User-Roles: longer than 4 KiB");
}

TEST_F(Outbound, C14_ASpaceAtAnEndIsRefusedBecauseItsReaderWouldDropIt) {
  name_headers({{"X-User-Name", "name"}});
  for (const std::string text : {" admin", "admin ", " "}) {
    EXPECT_EQ(refusal(with_claims(R"({"name":")" + text + R"("})")), "X-User-Name: a space at an end");
    EXPECT_EQ(refusal(with_claims(R"({"name":["user",")" + text + R"("]})")), "X-User-Name: a space at an end");
  }
  EXPECT_EQ(refusal(with_claims(R"({"name":"ad min"})")), "sent");
}

TEST_F(Outbound, C15_EachKindOfClaimHasItsForm) {
  name_headers({{"X-Claim", "claim"}});
  struct Row {
    std::string claims;
    std::vector<std::string> sent;
  };
  const std::vector<Row> rows{
      {R"({})", {}},
      {R"({"claim":null})", {}},
      {R"({"claim":""})", {}},
      {R"({"claim":{}})", {}},
      {R"({"claim":{"a":"b"}})", {}},
      {R"({"claim":[]})", {}},
      {R"({"claim":[""]})", {}},
      {R"({"claim":["a",{"b":1}]})", {}},
      {R"({"claim":["a",["b"]]})", {}},
      {R"({"claim":["a",null]})", {}},
      {R"({"claim":true})", {"true"}},
      {R"({"claim":false})", {"false"}},
      {R"({"claim":0})", {"0"}},
      {R"({"claim":-12})", {"-12"}},
      {R"({"claim":18446744073709551615})", {"18446744073709551615"}},
      {R"({"claim":"text"})", {"text"}},
      {R"({"claim":"a,b"})", {"a,b"}},
      {R"({"claim":["a"]})", {"a"}},
      {R"({"claim":["a","b",3,true]})", {"a,b,3,true"}},
      {R"({"claim":["","a","","b"]})", {"a,b"}},
  };
  for (const Row& row : rows) EXPECT_EQ(values(get(with_claims(row.claims), {"X-Claim: theirs"}), "X-Claim"), row.sent) << row.claims;
}

TEST_F(Outbound, C16_ACommaInAnElementIsRefused) {
  EXPECT_EQ(refusal(PermitBuilder::of(IdentityBuilder().roles({"user", "x,admin"}).build())),
            "X-Auth-Roles: a comma in an element of a list");
  EXPECT_EQ(refusal(PermitBuilder::of(IdentityBuilder().scopes({"a,b"}).build())), "X-Auth-Scopes: a comma in an element of a list");
  name_headers({{"X-Groups", "groups"}});
  EXPECT_EQ(refusal(with_claims(R"({"groups":["user,admin"]})")), "X-Groups: a comma in an element of a list");
  EXPECT_EQ(refusal(with_claims(R"({"groups":["user","admin"]})")), "sent");
}

TEST_F(Outbound, C17_EmptyElementsAreLeftOut) {
  const auto lines = get(PermitBuilder::of(IdentityBuilder().scopes({"read", "", "write"}).roles({}).build()), {});
  EXPECT_THAT(values(lines, "X-Auth-Scopes"), ElementsAre("read,write"));
  EXPECT_THAT(values(lines, "X-Auth-Roles"), IsEmpty());
}

TEST_F(Outbound, TheMethodAlwaysGoesAlongOnce) {
  EXPECT_THAT(values(get(PermitBuilder::of(IdentityBuilder().method(AuthMethod::session).build()), {}), "X-Auth-Method"),
              ElementsAre("session"));
  name_headers({{"X-User-Id", "sub"}, {"x_auth_method", "method"}, {"X-How", "method"}});
  const auto lines = get(alice(), {});
  EXPECT_THAT(values(lines, "X-Auth-Method"), ElementsAre("jwt"));
  EXPECT_THAT(values(lines, "X-How"), ElementsAre("jwt"));
}

TEST_F(Outbound, AnonymousCallersGetNoIdentityHeaderAtAll) {
  name_headers({{"X-User-Id", "sub"}, {"X-How", "method"}});
  const auto lines = get(PermitBuilder::anonymous(), {"X-User-Id: admin", "X-How: jwt"});
  EXPECT_THAT(values(lines, "X-User-Id"), IsEmpty());
  EXPECT_THAT(values(lines, "X-How"), IsEmpty());
  EXPECT_THAT(values(lines, "X-Auth-Method"), ElementsAre("anonymous"));
}

}  // namespace
}  // namespace sallyport::identity
