#include <gtest/gtest.h>

#include <string>

#include "base/network.hpp"

namespace sallyport {
namespace {

TEST(Network, HoldsTheAddressesBehindItsBits) {
  const auto v4 = Network::parse("10.20.0.0/15");
  ASSERT_TRUE(v4);
  EXPECT_TRUE(v4->contains("10.20.0.0"));
  EXPECT_TRUE(v4->contains("10.21.255.255"));
  EXPECT_FALSE(v4->contains("10.22.0.0"));
  EXPECT_FALSE(v4->contains("10.19.255.255"));

  const auto v6 = Network::parse("2001:db8:8000::/33");
  ASSERT_TRUE(v6);
  EXPECT_TRUE(v6->contains("2001:db8:ffff::1"));
  EXPECT_FALSE(v6->contains("2001:db8:7fff::1"));
  EXPECT_FALSE(v6->contains("10.0.0.1"));
}

TEST(Network, OneAddressHoldsItself) {
  EXPECT_TRUE(Network::parse("192.0.2.1")->contains("192.0.2.1"));
  EXPECT_FALSE(Network::parse("192.0.2.1")->contains("192.0.2.2"));
  EXPECT_TRUE(Network::parse("::1")->contains("0:0:0:0:0:0:0:1"));
  EXPECT_FALSE(Network::parse("::1")->contains("::2"));
}

TEST(Network, I11_Ipv4MappedAddressesCountAsIpv4) {
  EXPECT_TRUE(Network::parse("127.0.0.0/8")->contains("::ffff:127.0.0.1"));
  EXPECT_TRUE(Network::parse("::ffff:127.0.0.0/104")->contains("127.0.0.1"));
  EXPECT_FALSE(Network::parse("::ffff:127.0.0.0/104")->contains("128.0.0.1"));
  EXPECT_FALSE(Network::parse("::/0")->contains("127.0.0.1"));
  EXPECT_FALSE(Network::parse("0.0.0.0/0")->contains("::1"));
}

TEST(Network, I11_WhatIsNoAddressIsInNoNetwork) {
  const auto everything4 = Network::parse("0.0.0.0/0");
  const auto everything6 = Network::parse("::/0");
  ASSERT_TRUE(everything4->is_everything());
  ASSERT_TRUE(everything6->is_everything());
  EXPECT_TRUE(everything4->contains("8.8.8.8"));
  EXPECT_TRUE(everything6->contains("fe80::1"));
  const std::string with_nul("1.2.3.4\0", 8);
  for (const std::string& text :
       {std::string(), std::string("localhost"), std::string("1.2.3"), std::string("1.2.3.04"), std::string("1.2.3.4 "),
        std::string("fe80::1%lo"), std::string("[::1]"), std::string("0x7f.0.0.1"), with_nul, std::string(300, '1')}) {
    EXPECT_FALSE(everything4->contains(text)) << text;
    EXPECT_FALSE(everything6->contains(text)) << text;
    EXPECT_FALSE(Network::is_address(text)) << text;
  }
}

TEST(Network, RefusesWhatIsNoNetwork) {
  for (const std::string_view text :
       {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8", "10.0.0/8", "10.0.0.1/8", "10.0.0.0/0x8",
        "2001:db8::/129", "2001:db8::1/64", "::ffff:10.0.0.0/95", "example.com", "10.0.0.0/99999999999999999999", "*"}) {
    EXPECT_FALSE(Network::parse(text)) << text;
  }
  EXPECT_TRUE(Network::parse("10.0.0.0/8"));
  EXPECT_TRUE(Network::parse("0.0.0.0/0"));
  EXPECT_TRUE(Network::parse("10.0.0.1/32"));
  EXPECT_TRUE(Network::parse("::/0"));
}

}  // namespace
}  // namespace sallyport
