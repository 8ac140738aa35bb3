#include <set>

#include <gtest/gtest.h>

#include "identity/auth_outcome.hpp"

namespace sallyport::identity {
namespace {

TEST(RefusalReason, HasANameOfItsOwnForEach) {
  std::set<std::string_view> names;
  constexpr auto kLast = static_cast<int>(RefusalReason::revoked);
  for (int i = 0; i <= kLast; ++i) names.insert(name(static_cast<RefusalReason>(i)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kLast) + 1);
  EXPECT_EQ(names.count("unknown"), 0U);
  EXPECT_EQ(name(RefusalReason::bad_signature), "bad_signature");
}

TEST(AuthMethod, HasAName) {
  EXPECT_EQ(name(AuthMethod::jwt), "jwt");
  EXPECT_EQ(name(AuthMethod::session), "session");
  EXPECT_EQ(name(AuthMethod::client_certificate), "client_certificate");
}

}  // namespace
}  // namespace sallyport::identity
