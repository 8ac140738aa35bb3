#include "observe/trace_context.hpp"

#include <set>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace sallyport::observe {
namespace {

constexpr std::string_view kGood = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

bool is_well_formed(std::string_view text) {
  return text.size() == 55 && text.starts_with("00-") && text[35] == '-' && text[52] == '-' &&
         text.find_first_not_of("0123456789abcdef-") == std::string_view::npos;
}

TEST(TraceContext, KeepsTraceIdAndFlagsAndChangesTheParent) {
  IdGenerator ids;
  for (const std::string flags : {"00", "01", "ff"}) {
    const std::string incoming = std::string(kGood.substr(0, 53)) + flags;
    const TraceContext trace(incoming, ids);
    EXPECT_TRUE(trace.was_continued());
    EXPECT_EQ(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_EQ(trace.traceparent().substr(0, 36), kGood.substr(0, 36));
    EXPECT_NE(trace.traceparent().substr(36, 16), kGood.substr(36, 16));
    EXPECT_EQ(trace.traceparent().substr(53), flags);
    EXPECT_TRUE(is_well_formed(trace.traceparent()));
  }
}

TEST(TraceContext, ReplacesWhatIsMalformed) {
  IdGenerator ids;
  const std::string good(kGood);
  std::vector<std::string> malformed{"",
                                     "00",
                                     good.substr(0, 54),
                                     good + "0",
                                     good + "-",
                                     " " + good.substr(1),
                                     "01" + good.substr(2),
                                     "ff" + good.substr(2),
                                     "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                     "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                     "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                     "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"};
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string broken = good;
    broken[i] = 'g';
    malformed.push_back(broken);
    broken[i] = '\0';
    malformed.push_back(broken);
  }
  for (const std::string& incoming : malformed) {
    const TraceContext trace(incoming, ids);
    EXPECT_FALSE(trace.was_continued()) << incoming;
    EXPECT_TRUE(is_well_formed(trace.traceparent())) << incoming;
    EXPECT_NE(trace.trace_id(), kGood.substr(3, 32)) << incoming;
    EXPECT_TRUE(trace.traceparent().ends_with("-01"));
  }
}

TEST(TraceContext, MakesADifferentTraceEachTime) {
  IdGenerator ids;
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.emplace(TraceContext("", ids).trace_id());
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(TraceContext, MakesWhatItWouldContinue) {
  IdGenerator ids;
  const TraceContext first("", ids);
  const TraceContext second(first.traceparent(), ids);
  EXPECT_TRUE(second.was_continued());
  EXPECT_EQ(first.trace_id(), second.trace_id());
}

TEST(RequestId, Is32HexDigitsAndUnique) {
  IdGenerator ids;
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const RequestId id(ids);
    EXPECT_EQ(id.view().size(), 32U);
    EXPECT_EQ(id.view().find_first_not_of("0123456789abcdef"), std::string_view::npos);
    seen.emplace(id.view());
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(IdGenerator, IsSeededDifferentlyEachTime) {
  IdGenerator a;
  IdGenerator b;
  EXPECT_NE(a.next(), b.next());
}

TEST(RequestId, IsTwoNumbersInHexadecimal) {
  IdGenerator ids;
  IdGenerator same = ids;
  for (int round = 0; round < 200; ++round) {
    const RequestId id(ids);
    const std::uint64_t high = same.next();
    EXPECT_EQ(id.view(), fmt::format("{:016x}{:016x}", high, same.next()));
  }
}

}  // namespace
}  // namespace sallyport::observe
