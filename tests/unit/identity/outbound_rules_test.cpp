// `request_headers` and passed preflights: what is added and taken away between theirs and ours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "identity/outbound_request.hpp"
#include "outbound_fixture.hpp"

namespace sallyport::identity {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(Outbound, RulesRemoveSetAndAddWithEveryAlias) {
  plan_.fields = std::make_shared<const FieldRules>(
      FieldRules{.remove = {"X-Debug"}, .set = {{"X-Stage", "production"}}, .add = {{"X-Tag", "edge"}}});
  const auto lines = get(alice(), {"X_Debug: 1", "X-Debug: 2", "x.stage: test", "X-Tag: mine", "X-Kept: 1"});
  EXPECT_THAT(values(lines, "X-Debug"), IsEmpty());
  EXPECT_THAT(values(lines, "X_Debug"), IsEmpty());
  EXPECT_THAT(values(lines, "X-Stage"), ElementsAre("production"));
  EXPECT_THAT(values(lines, "X-Tag"), ElementsAre("mine", "edge"));
  EXPECT_THAT(values(lines, "X-Kept"), ElementsAre("1"));
}

TEST_F(Outbound, RulesStandBeforeIdentity) {
  plan_.fields = std::make_shared<const FieldRules>(FieldRules{.remove = {}, .set = {}, .add = {{"X-Tag", "edge"}}});
  const auto lines = get(alice(), {});
  const auto tag = std::ranges::find(lines, "X-Tag: edge");
  const auto method = std::ranges::find(lines, "X-Auth-Method: jwt");
  ASSERT_NE(tag, lines.end());
  EXPECT_LT(tag, method);
}

}  // namespace
}  // namespace sallyport::identity
