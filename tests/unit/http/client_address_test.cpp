#include "http/client_address.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::http {
namespace {

struct ClientAddressTest : ::testing::Test {
  TrustedProxies trusted{{Network::parse("10.0.0.0/8").value(), Network::parse("2001:db8:ffff::/48").value()}};
  Peer peer{.address = "10.0.0.1", .trusted_proxies = &trusted};
  RequestHead head;
  std::string behind(std::vector<std::string> lines) {
    values = std::move(lines);
    head.fields.clear();
    for (const std::string& value : values) head.fields.push_back({"x-forwarded-FOR", value});
    return std::string(client_address(peer, head).view());
  }
  std::vector<std::string> values;
};

TEST_F(ClientAddressTest, I10_OfNobodyTrustedTheHeaderMeansNothing) {
  peer.trusted_proxies = nullptr;
  EXPECT_EQ(behind({"192.0.2.1"}), "10.0.0.1");
  peer.trusted_proxies = &trusted;
  EXPECT_EQ(behind({"192.0.2.1"}), "192.0.2.1");
}

TEST_F(ClientAddressTest, M10_WhatTheClientWroteOnTheLeftDoesNotCount) {
  EXPECT_EQ(behind({"198.51.100.7, 192.0.2.1"}), "192.0.2.1");
  EXPECT_EQ(behind({"198.51.100.7", "192.0.2.1"}), "192.0.2.1");
  EXPECT_EQ(behind({"10.0.0.9, 192.0.2.1, 10.0.0.3"}), "192.0.2.1");
}

TEST_F(ClientAddressTest, GoesThroughTrustedHopsOfEveryField) {
  EXPECT_EQ(behind({"203.0.113.5,192.0.2.1 ,\t10.0.0.3", "10.1.1.1", "2001:DB8:ffff:0::1"}), "192.0.2.1");
  EXPECT_EQ(behind({"10.0.0.3, 10.0.0.2"}), "10.0.0.3") << "all are trusted: the first of them";
  EXPECT_EQ(behind({}), "10.0.0.1");
}

TEST_F(ClientAddressTest, AMalformedElementEndsTheSearch) {
  for (const char* bad : {"unknown", "", "192.0.2", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:123456", "[192.0.2.1]", "[::1", "::1]",
                          "[::1]x", "fe80::1%eth0", "_hidden", "1.2.3.4 5.6.7.8", "\"192.0.2.1\"", "01.2.3.4"}) {
    EXPECT_EQ(behind({std::string("192.0.2.1, ") + bad}), "10.0.0.1") << bad;
    EXPECT_EQ(behind({std::string("192.0.2.1, ") + bad + ", 10.0.0.7"}), "10.0.0.7") << bad;
  }
}

TEST_F(ClientAddressTest, ASpellingIsPutRight) {
  EXPECT_EQ(behind({"2001:DB8:0:0::0001"}), "2001:db8::1");
  EXPECT_EQ(behind({"::ffff:192.0.2.1"}), "192.0.2.1");
  EXPECT_EQ(behind({"192.0.2.1:4711"}), "192.0.2.1");
  EXPECT_EQ(behind({"[2001:db8::1]:4711"}), "2001:db8::1");
  EXPECT_EQ(behind({"[2001:db8::1]"}), "2001:db8::1");
}

TEST_F(ClientAddressTest, OnlyTheExactNameCounts) {
  head.fields = {{"X_Forwarded_For", "192.0.2.1"}, {"X-Forwarded-Fo", "192.0.2.1"}, {"Forwarded", "for=192.0.2.1"}};
  EXPECT_EQ(client_address(peer, head).view(), "10.0.0.1");
}

TEST_F(ClientAddressTest, TheHopsHaveALimit) {
  std::string hops = "192.0.2.1";
  for (std::size_t i = 1; i < kForwardedHopsMax; ++i) hops += ", 10.0.0.2";
  EXPECT_EQ(behind({hops}), "192.0.2.1");
  EXPECT_EQ(behind({hops + ", 10.0.0.2"}), "10.0.0.2");
}

TEST_F(ClientAddressTest, ARequestIdOfATrustedProxyIsKept) {
  head.fields = {{"X-Request-Id", "abc-123_./+=@:~", FieldId::x_request_id}};
  EXPECT_EQ(forwarded_request_id(peer, head), "abc-123_./+=@:~");
  peer.trusted_proxies = nullptr;
  EXPECT_EQ(forwarded_request_id(peer, head), std::nullopt);
}

TEST_F(ClientAddressTest, AMalformedRequestIdIsNot) {
  const std::string longest(kRequestIdBytesMax, 'a');
  head.fields = {{"X-Request-Id", longest, FieldId::x_request_id}};
  EXPECT_EQ(forwarded_request_id(peer, head), longest);
  const std::string longer = longest + "a";
  for (const std::string& bad :
       {std::string(), longer, std::string("a b"), std::string("a\"b"), std::string("a,b"), std::string("\xc3\xa4")}) {
    head.fields = {{"X-Request-Id", bad, FieldId::x_request_id}};
    EXPECT_EQ(forwarded_request_id(peer, head), std::nullopt) << bad;
  }
  head.fields = {{"X-Request-Id", "a", FieldId::x_request_id}, {"X-Request-Id", "b", FieldId::x_request_id}};
  EXPECT_EQ(forwarded_request_id(peer, head), std::nullopt);
}

}  // namespace
}  // namespace sallyport::http
