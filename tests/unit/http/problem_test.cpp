#include "http/problem.hpp"

#include <gtest/gtest.h>

namespace sallyport::http {
namespace {

TEST(Problem, HoldsTheMembersOfRfc9457) {
  EXPECT_EQ(problem_json(401, "Unauthorized", "A credential is needed.", "abc"),
            R"({"type":"about:blank","title":"Unauthorized","status":401,"detail":"A credential is needed.","request_id":"abc"})");
}

TEST(Problem, TakesTheTitleFromTheStatus) {
  EXPECT_EQ(problem_json(404, "", "", ""), R"({"type":"about:blank","title":"Not Found","status":404})");
}

TEST(Problem, EscapesWhatItIsGiven) {
  EXPECT_EQ(problem_json(400, "a\"b", "c\\d\n", "\x01"),
            R"({"type":"about:blank","title":"a\"b","status":400,"detail":"c\\d\n","request_id":"\u0001"})");
}

}  // namespace
}  // namespace sallyport::http
