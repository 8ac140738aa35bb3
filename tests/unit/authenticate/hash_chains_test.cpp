#include "authenticate/hash_chains.hpp"

#include <gtest/gtest.h>

namespace sallyport::authenticate {
namespace {

HashChains::Place find(const HashChains& chains, std::uint64_t hash, HashChains::Place wanted) {
  return chains.find(hash, [wanted](HashChains::Place at) { return at == wanted; });
}

TEST(HashChains, AsksAboutPlacesOfTheHashAlone) {
  HashChains chains(1);  // one chain for all
  chains.make_room(3);
  chains.link(7, 0);
  chains.link(8, 1);
  chains.link(7, 2);
  std::vector<HashChains::Place> asked;
  const auto none = chains.find(7, [&](HashChains::Place at) {
    asked.push_back(at);
    return false;
  });
  EXPECT_EQ(none, HashChains::kNone);
  EXPECT_EQ(asked, (std::vector<HashChains::Place>{2, 0}));
  EXPECT_EQ(chains.find(9, [](HashChains::Place) { return true; }), HashChains::kNone);
}

TEST(HashChains, ForgetsWhatIsUnlinkedWhereverItStands) {
  for (HashChains::Place gone = 0; gone < 3; ++gone) {
    HashChains chains(2);
    chains.make_room(3);
    for (HashChains::Place at = 0; at < 3; ++at) chains.link(5, at);
    chains.unlink(gone);
    for (HashChains::Place at = 0; at < 3; ++at) EXPECT_EQ(find(chains, 5, at), at == gone ? HashChains::kNone : at) << gone;
    chains.link(6, gone);
    EXPECT_EQ(find(chains, 6, gone), gone);
  }
}

TEST(HashChains, IsEmptyWhenItWasCleared) {
  HashChains chains(4);
  chains.make_room(1);
  chains.link(1, 0);
  chains.clear();
  EXPECT_EQ(find(chains, 1, 0), HashChains::kNone);
  chains.make_room(1);
  chains.link(1, 0);
  EXPECT_EQ(find(chains, 1, 0), 0U);
}

}  // namespace
}  // namespace sallyport::authenticate
