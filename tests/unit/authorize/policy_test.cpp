#include "authorize/policy.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "requirements.hpp"
#include "support/identity_builder.hpp"

namespace sallyport::authorize {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using sallyport::testing::IdentityBuilder;

constexpr WallTime kMoment{std::chrono::seconds(1'700'000'000)};

class Policy : public ::testing::Test {
 protected:
  bool met(const Requirement& requirement) {
    const identity::IdentityPtr identity = identity_.build();
    return satisfies(requirement, Subject{*identity, parameters_, address_, kMoment});
  }
  std::vector<std::string> explained(const Requirement& requirement) {
    const identity::IdentityPtr identity = identity_.build();
    std::vector<std::string> lines;
    const bool with = satisfies(requirement, Subject{*identity, parameters_, address_, kMoment}, &lines);
    EXPECT_EQ(with, met(requirement)) << "explaining must not change the answer";
    return lines;
  }
  std::vector<std::string> satisfying(const Requirement& requirement) {
    const identity::IdentityPtr identity = identity_.build();
    return satisfying_scopes(requirement, Subject{*identity, parameters_, address_, kMoment});
  }

  IdentityBuilder identity_;
  std::vector<http::PathParameter> parameters_;
  std::string address_ = "192.0.2.7";
};

TEST_F(Policy, C16_RolesMatchAsWholeElementsOnly) {
  for (const std::vector<std::string>& roles : std::vector<std::vector<std::string>>{
           {}, {"user admin"}, {"administrator"}, {"Admin"}, {" admin"}, {"admin "}, {"admin,user"}, {""}, {std::string("admin\0", 6)}}) {
    identity_.roles(roles);
    EXPECT_FALSE(met(role("admin"))) << (roles.empty() ? "none" : roles.front());
  }
  identity_.roles({"user", "admin"});
  EXPECT_TRUE(met(role("admin")));
}

TEST_F(Policy, C17_ScopesMatchAsWholeElementsOnly) {
  for (const std::vector<std::string>& scopes : std::vector<std::vector<std::string>>{
           {}, {"orders:readwrite"}, {"orders"}, {"orders:read\torders:write"}, {"orders:read\xC2\xA0orders:write"}, {"ORDERS:READ"}}) {
    identity_.scopes(scopes);
    EXPECT_FALSE(met(scope("orders:read"))) << (scopes.empty() ? "none" : scopes.front());
  }
  identity_.scopes({"", "orders:read"});
  EXPECT_TRUE(met(scope("orders:read")));
  EXPECT_FALSE(met(scope(""))) << "an empty requirement is nobody's";
}

TEST_F(Policy, SubjectIsComparedByteForByte) {
  EXPECT_TRUE(met(subject("alice")));
  for (const std::string_view other : {"Alice", "alic", "alicee", "alice ", "bob"}) EXPECT_FALSE(met(subject(other))) << other;
  identity_.subject("");
  EXPECT_FALSE(met(subject("")));
}

TEST_F(Policy, SubjectMayComeFromThePath) {
  parameters_ = {{"user", "alice"}};
  EXPECT_TRUE(met(subject("{user}")));
  parameters_ = {{"user", "%61lice"}};
  EXPECT_TRUE(met(subject("{user}"))) << "what the upstream would decode";
  for (const std::string_view other : {"bob", "Alice", "alice%20", "%2561lice", "alice%"}) {
    parameters_ = {{"user", other}};
    EXPECT_FALSE(met(subject("{user}"))) << other;
  }
  parameters_.clear();
  EXPECT_FALSE(met(subject("{user}")));
}

TEST_F(Policy, WhatDoesNotDecodeIsNoYesUnderNotEither) {
  parameters_ = {{"user", "bob"}};
  EXPECT_TRUE(met(negation(subject("{user}")))) << "the twin: another user";
  parameters_ = {{"user", "%FF"}};
  EXPECT_FALSE(met(subject("{user}")));
  EXPECT_FALSE(met(negation(subject("{user}"))));
  EXPECT_FALSE(met(negation(negation(subject("{user}")))));
  EXPECT_FALSE(met(negation(all(subject("{user}")))));
  EXPECT_FALSE(met(negation(equals("sub", "\"{user}\""))));
  EXPECT_TRUE(met(any(subject("{user}"), subject("alice")))) << "another way may do";
  EXPECT_FALSE(met(negation(any(subject("{user}"), subject("bob")))));
  EXPECT_TRUE(met(negation(all(subject("{user}"), subject("bob"))))) << "no, whatever the first says";
}

TEST_F(Policy, IssuerIsTheConfiguredName) {
  EXPECT_TRUE(met({IssuerIs{"corp"}}));
  EXPECT_FALSE(met({IssuerIs{"https://issuer.example"}}));
  EXPECT_FALSE(met({IssuerIs{"Corp"}}));
  identity_.issuer_name("");
  EXPECT_FALSE(met({IssuerIs{""}}));
}

TEST_F(Policy, MethodIsHowTheCallerWasAuthenticated) {
  EXPECT_TRUE(met({MethodIs{identity::AuthMethod::jwt}}));
  EXPECT_FALSE(met({MethodIs{identity::AuthMethod::session}}));
  identity_.method(identity::AuthMethod::session);
  EXPECT_TRUE(met({MethodIs{identity::AuthMethod::session}}));
}

TEST_F(Policy, NetworkIsOfTheClientsAddress) {
  EXPECT_TRUE(met(network("192.0.2.0/24")));
  EXPECT_FALSE(met(network("198.51.100.0/24")));
  EXPECT_TRUE(met(negation(network("198.51.100.0/24"))));
  EXPECT_FALSE(met({NetworkIs{}})) << "no network is not every network";
  for (const std::string_view address : {"", "unknown", "192.0.2.7, 10.0.0.1"}) {
    address_ = address;
    EXPECT_FALSE(met(network("0.0.0.0/0"))) << address;
    EXPECT_FALSE(met(negation(network("198.51.100.0/24")))) << address;
  }
}

TEST_F(Policy, MaxAuthAgeNeedsATimeThatIsNeitherOldNorInTheFuture) {
  const Requirement requirement = max_auth_age(300s);
  EXPECT_FALSE(met(requirement)) << "absent";
  EXPECT_FALSE(met(negation(max_auth_age(300s)))) << "absent is not old either";
  struct Row {
    std::chrono::seconds before_now;
    bool met;
  };
  for (const Row row : {Row{0s, true}, Row{300s, true}, Row{301s, false}, Row{-60s, true}, Row{-61s, false}, Row{1'700'000'000s, false}}) {
    identity_.authenticated_at(kMoment - row.before_now);
    EXPECT_EQ(met(requirement), row.met) << row.before_now.count();
  }
  identity_.authenticated_at(kMoment - 10s);
  EXPECT_TRUE(met(max_auth_age(std::chrono::seconds::max())));
}

TEST_F(Policy, ClaimEqualsComparesTypeAndValue) {
  identity_.claims(R"({"tenant":"acme","level":7,"big":9007199254740993,"ok":true,"none":null,"list":["acme"],"a":{"b.c":["x","y"]}})");
  EXPECT_TRUE(met(equals("tenant", R"("acme")")));
  for (const std::string json : {R"("Acme")", R"("acm")", R"("acme ")", R"("")", "true", "null"})
    EXPECT_FALSE(met(equals("tenant", json))) << json;
  EXPECT_TRUE(met(equals("level", "7")));
  EXPECT_TRUE(met(equals("level", "7.0")));
  EXPECT_FALSE(met(equals("level", R"("7")")));
  EXPECT_FALSE(met(equals("level", "8")));
  EXPECT_FALSE(met(equals("big", "9007199254740992"))) << "integers are not rounded";
  EXPECT_TRUE(met(equals("ok", "true")));
  EXPECT_FALSE(met(equals("ok", R"("true")")));
  EXPECT_FALSE(met(equals("ok", "1")));
  EXPECT_FALSE(met(equals("list", R"("acme")")));
  EXPECT_FALSE(met(equals("missing", R"("acme")")));
  EXPECT_FALSE(met(equals("missing", "null")));
}

TEST_F(Policy, C30_ClaimPointersFindOnlyWhatIsThere) {
  identity_.claims(R"({"realm.access":"flat","realm":{"access":["x","y"]},"a/b":1})");
  EXPECT_TRUE(met(equals("/realm/access/1", R"("y")")));
  EXPECT_TRUE(met(contains("/realm/access", R"("x")")));
  EXPECT_TRUE(met(equals("realm.access", R"("flat")")));
  for (const std::string_view pointer :
       {"/realm/access/2", "/realm/access/01", "/realm/access/-", "/realm/access/x", "/realm.access/0", "/a/b"}) {
    EXPECT_FALSE(met(exists(pointer))) << pointer;
    EXPECT_FALSE(met(equals(pointer, R"("y")"))) << pointer;
  }
}

TEST_F(Policy, ClaimContainsLooksForAWholeElementOfAnArray) {
  identity_.claims(R"({"groups":["ops","dev"],"numbers":[1,2.0],"text":"ops dev","object":{"ops":1},"nested":[["ops"]]})");
  EXPECT_TRUE(met(contains("groups", R"("ops")")));
  EXPECT_TRUE(met(contains("numbers", "2")));
  for (const std::string json : {R"("op")", R"("OPS")", R"("ops dev")", "1"}) EXPECT_FALSE(met(contains("groups", json))) << json;
  for (const std::string_view name : {"text", "object", "nested", "missing"}) EXPECT_FALSE(met(contains(name, R"("ops")"))) << name;
}

TEST_F(Policy, ClaimOneOfIsAnyOfItsValues) {
  identity_.claims(R"({"tenant":"acme"})");
  EXPECT_TRUE(met(claim("tenant", ClaimTest::Kind::one_of, {R"("globex")", R"("acme")"})));
  EXPECT_FALSE(met(claim("tenant", ClaimTest::Kind::one_of, {R"("globex")", "7"})));
  EXPECT_FALSE(met(claim("tenant", ClaimTest::Kind::one_of, {})));
}

TEST_F(Policy, ClaimExistsMeansPresentAndNotNull) {
  identity_.claims(R"({"null":null,"empty":"","false":false,"zero":0})");
  for (const std::string_view name : {"empty", "false", "zero"}) {
    EXPECT_TRUE(met(exists(name))) << name;
    EXPECT_FALSE(met(exists(name, false))) << name;
  }
  for (const std::string_view name : {"null", "missing"}) {
    EXPECT_FALSE(met(exists(name))) << name;
    EXPECT_TRUE(met(exists(name, false))) << name;
  }
}

TEST_F(Policy, ClaimValuesMayComeFromThePath) {
  identity_.claims(R"({"tenant":"acme","tenants":["acme","globex"],"level":7})");
  parameters_ = {{"tenant", "acme"}};
  EXPECT_TRUE(met(equals("tenant", R"("{tenant}")")));
  EXPECT_TRUE(met(contains("tenants", R"("{tenant}")")));
  EXPECT_TRUE(met(claim("tenant", ClaimTest::Kind::one_of, {R"("x")", R"("{tenant}")"})));
  parameters_ = {{"tenant", "initech"}};
  EXPECT_FALSE(met(equals("tenant", R"("{tenant}")")));
  EXPECT_FALSE(met(contains("tenants", R"("{tenant}")")));
  parameters_ = {{"tenant", "7"}};
  EXPECT_FALSE(met(equals("level", R"("{tenant}")"))) << "a path is text, never a number";
}

TEST_F(Policy, GroupsFollowTheirWords) {
  identity_.roles({"a", "b"});
  EXPECT_TRUE(met(all(role("a"), role("b"))));
  EXPECT_FALSE(met(all(role("a"), role("c"))));
  EXPECT_TRUE(met(any(role("c"), role("b"))));
  EXPECT_FALSE(met(any(role("c"), role("d"))));
  EXPECT_TRUE(met(negation(role("c"))));
  EXPECT_FALSE(met(negation(role("a"))));
  EXPECT_TRUE(met(all(role("a"), any(role("c"), negation(role("d"))))));
}

TEST_F(Policy, P02_AnEmptyGroupLetsNobodyInNorItsOpposite) {
  EXPECT_FALSE(met(all()));
  EXPECT_FALSE(met(any()));
  EXPECT_FALSE(met({Not{nullptr}}));
  EXPECT_FALSE(met(negation(all())));
  EXPECT_FALSE(met(negation(any())));
}

TEST_F(Policy, AMissingClaimIsANoThatNotTurnsIntoAYes) {
  identity_.claims(R"({})");
  EXPECT_TRUE(met(negation(equals("suspended", "true"))));
  identity_.claims(R"({"suspended":true})");
  EXPECT_FALSE(met(negation(equals("suspended", "true"))));
}

TEST_F(Policy, AClaimOfAnotherTypeIsNeitherYesNorNo) {
  const std::vector<std::pair<const char*, Requirement (*)()>> rows{
      {R"({"suspended":"true"})", [] { return equals("suspended", "true"); }},
      {R"({"suspended":1})", [] { return equals("suspended", "true"); }},
      {R"({"suspended":[true]})", [] { return equals("suspended", "true"); }},
      {R"({"groups":"banned"})", [] { return contains("groups", R"("banned")"); }},
      {R"({"groups":{"0":"banned"}})", [] { return contains("groups", R"("banned")"); }}};
  for (const auto& [claims, requirement] : rows) {
    identity_.claims(claims);
    EXPECT_FALSE(met(requirement())) << claims;
    EXPECT_FALSE(met(negation(requirement()))) << claims;
  }
  identity_.claims(R"({"suspended":false,"groups":["staff"]})");
  EXPECT_TRUE(met(negation(equals("suspended", "true"))));
  EXPECT_TRUE(met(negation(contains("groups", R"("banned")"))));
}

TEST_F(Policy, RolesAndScopesThatCouldNotBeReadAreNeitherThereNorAbsent) {
  EXPECT_TRUE(met(negation(role("suspended"))));
  EXPECT_TRUE(met(negation(scope("limited"))));
  identity_.roles_unreadable().scopes_unreadable();
  EXPECT_FALSE(met(negation(role("suspended"))));
  EXPECT_FALSE(met(negation(scope("limited"))));
}

TEST_F(Policy, ExplainsEachTestWithItsAnswer) {
  identity_.roles({"user"}).scopes({"orders:read"}).claims(R"({"tenant":"secret-tenant"})");
  EXPECT_EQ(explained(role("admin")), std::vector<std::string>{"role admin: no"});
  const std::vector<std::string> expected{
      "all: no",
      "  scope orders:read: yes",
      "  any: no",
      "    role admin: no",
      "    claim /tenant equals \"acme\": no",
      "  not: yes",
      "    claim /suspended equals true: no",
      "  max_auth_age 300s: cannot tell",
  };
  const auto lines = explained(all(scope("orders:read"), any(role("admin"), equals("tenant", R"("acme")")),
                                   negation(equals("suspended", "true")), max_auth_age(300s)));
  EXPECT_EQ(lines, expected);
  for (const std::string& line : lines) EXPECT_EQ(line.find("secret-tenant"), std::string::npos);
}

TEST_F(Policy, RequiredScopesAreThoseThatAllAskFor) {
  EXPECT_EQ(required_scopes(scope("a")), std::vector<std::string>{"a"});
  EXPECT_EQ(required_scopes(all(scope("a"), role("x"), all(scope("b"), scope("a")))), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(required_scopes(any(scope("a"), scope("b"))).empty());
  EXPECT_TRUE(required_scopes(negation(scope("a"))).empty());
}

TEST_F(Policy, SatisfyingScopesAreNamedOnlyWhereTheyWouldHelp) {
  identity_.roles({"user"}).scopes({"a"});
  EXPECT_TRUE(satisfying(scope("a")).empty()) << "satisfied already";
  EXPECT_EQ(satisfying(scope("b")), std::vector<std::string>{"b"});
  EXPECT_EQ(satisfying(all(scope("a"), scope("b"))), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(satisfying(all(scope("b"), role("admin"))).empty()) << "a scope alone would not do";
  EXPECT_EQ(satisfying(all(scope("b"), any(scope("c"), role("user")))), std::vector<std::string>{"b"});
  EXPECT_EQ(satisfying(all(scope("a"), any(role("admin"), scope("c"), scope("d")))), (std::vector<std::string>{"a", "c"}));
  EXPECT_TRUE(satisfying(negation(scope("a"))).empty());
  EXPECT_EQ(satisfying(all(scope("b"), negation(scope("x")))), std::vector<std::string>{"b"});
}

}  // namespace
}  // namespace sallyport::authorize
