#include "authenticate/hash_index.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace sallyport::authenticate {
namespace {

HashIndex::Place find(const HashIndex& index, std::uint64_t hash, HashIndex::Place wanted) {
  return index.find(hash, [wanted](HashIndex::Place at) { return at == wanted; });
}

TEST(HashIndex, AsksAboutPlacesOfTheHashAlone) {
  HashIndex index;
  index.make_room(3);
  index.link(7, 0);
  index.link(7 + 8, 1);  // begins at the same slot
  index.link(7, 2);
  std::vector<HashIndex::Place> asked;
  const auto none = index.find(7, [&](HashIndex::Place at) {
    asked.push_back(at);
    return false;
  });
  EXPECT_EQ(none, HashIndex::kNone);
  EXPECT_EQ(asked, (std::vector<HashIndex::Place>{0, 2}));
  EXPECT_EQ(index.find(9, [](HashIndex::Place) { return true; }), HashIndex::kNone);
}

TEST(HashIndex, ForgetsWhatIsUnlinkedWhereverItStands) {
  for (HashIndex::Place gone = 0; gone < 3; ++gone) {
    HashIndex index;
    index.make_room(3);
    for (HashIndex::Place at = 0; at < 3; ++at) index.link(5, at);
    index.unlink(gone);
    for (HashIndex::Place at = 0; at < 3; ++at) EXPECT_EQ(find(index, 5, at), at == gone ? HashIndex::kNone : at) << gone;
    index.link(6, gone);
    EXPECT_EQ(find(index, 6, gone), gone);
  }
}

TEST(HashIndex, IsEmptyWhenItWasCleared) {
  HashIndex index;
  EXPECT_EQ(find(index, 1, 0), HashIndex::kNone) << "and when it is new";
  index.make_room(1);
  index.link(1, 0);
  index.clear();
  EXPECT_EQ(find(index, 1, 0), HashIndex::kNone);
  index.link(1, 0);
  EXPECT_EQ(find(index, 1, 0), 0U);
}

// Beside a map, with hashes that crowd around few slots, also around the end.
TEST(HashIndex, KnowsWhatAMapKnows) {
  for (const std::uint64_t crowd : {2U, 8U, 40U}) {
    std::mt19937_64 random(crowd);
    HashIndex index;
    std::map<HashIndex::Place, std::uint64_t> linked;
    for (int step = 0; step < 20'000; ++step) {
      const auto at = static_cast<HashIndex::Place>(random() % 60);
      if (const auto found = linked.find(at); found != linked.end()) {
        index.unlink(at);
        linked.erase(found);
      } else {
        const std::uint64_t hash = (random() % 3 << 40) + UINT32_MAX - random() % crowd;
        index.make_room(at + 1);
        index.link(hash, at);
        linked.emplace(at, hash);
      }
      if (step % 16 != 0) continue;
      for (HashIndex::Place place = 0; place < 60; ++place) {
        const auto found = linked.find(place);
        const std::uint64_t hash = found == linked.end() ? UINT32_MAX : found->second;
        ASSERT_EQ(find(index, hash, place), found == linked.end() ? HashIndex::kNone : place) << step;
      }
    }
  }
}

}  // namespace
}  // namespace sallyport::authenticate
