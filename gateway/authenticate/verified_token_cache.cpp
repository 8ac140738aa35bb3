#include "authenticate/verified_token_cache.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/secret.hpp"

namespace sallyport::authenticate {
namespace {

constexpr std::uint32_t kNone = UINT32_MAX;

// The word at `at`, in the order of this machine: the hash never leaves the process.
std::uint64_t word(const char* at) noexcept {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Both halves of the 128-bit product, folded: one multiplication spreads each bit of either factor over the whole word.
std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Keyed and fast, not cryptographic: what collides costs a comparison of two tokens and nothing else. Without the key nobody can aim.
class TokenHash {
 public:
  TokenHash() : key_{random_u64(), random_u64(), random_u64(), random_u64()} {}

  [[nodiscard]] std::uint64_t operator()(std::string_view text) const noexcept {
    const char* at = text.data();
    std::size_t left = text.size();
    std::uint64_t a = key_[0];
    std::uint64_t b = key_[1];
    for (; left > 32; at += 32, left -= 32) {  // two chains, so that the multiplications overlap
      a = fold(word(at) ^ key_[2], word(at + 8) ^ a);
      b = fold(word(at + 16) ^ key_[3], word(at + 24) ^ b);
    }
    std::array<char, 32> tail{};
    std::memcpy(tail.data(), at, left);
    a = fold(word(tail.data()) ^ key_[2], word(tail.data() + 8) ^ a);
    b = fold(word(tail.data() + 16) ^ key_[3], word(tail.data() + 24) ^ b);
    return fold(a ^ text.size() ^ key_[1], b ^ key_[0]);
  }

 private:
  std::array<std::uint64_t, 4> key_;
};

// What a value holds outside itself.
std::size_t bytes_behind(const Json& value) noexcept {
  std::size_t total = 0;
  if (const std::string* text = value.string()) return text->capacity();
  if (const JsonArray* array = value.array()) {
    total = array->capacity() * sizeof(Json);
    for (const Json& element : *array) total += bytes_behind(element);
  } else if (const JsonObject* object = value.object()) {
    total = object->capacity() * sizeof(JsonMember);
    for (const JsonMember& member : *object) total += member.first.capacity() + bytes_behind(member.second);
  }
  return total;
}

std::size_t bytes_behind(const std::vector<std::string>& strings) noexcept {
  std::size_t total = strings.capacity() * sizeof(std::string);
  for (const std::string& text : strings) total += text.capacity();
  return total;
}

std::size_t bytes_of(const identity::VerifiedIdentity& identity) noexcept {
  const identity::IdentityFacts& facts = identity.facts();
  return sizeof identity + facts.subject.capacity() + facts.issuer.capacity() + facts.issuer_name.capacity() + facts.token_id.capacity() +
         bytes_behind(facts.roles) + bytes_behind(facts.scopes) + bytes_behind(facts.claims);
}

struct Entry {
  std::uint64_t hash = 0;
  std::string token;
  IssuerPtr issuer;
  identity::IdentityPtr identity;  // null: the entry is free
  WallTime verified_at;
  std::size_t bytes = 0;
  std::uint32_t next = kNone;  // in the bucket's chain
  bool is_referenced = false;  // since the hand last passed
};

}  // namespace

// Entries in one growing array with chained buckets over it; the hand of the clock walks the same array.
struct VerifiedTokenCache::Impl {
  Impl(std::size_t entries, std::size_t bytes)
      : entries_max(std::min<std::size_t>(entries, kNone - 1)),
        bytes_max(bytes),
        buckets(std::bit_ceil(std::max<std::size_t>(entries_max, 1)), kNone) {}

  std::uint32_t& bucket(std::uint64_t hash) noexcept { return buckets[hash & (buckets.size() - 1)]; }

  std::uint32_t look_up(std::uint64_t hash, std::string_view token) noexcept {
    std::uint32_t at = bucket(hash);
    while (at != kNone && (entries[at].hash != hash || entries[at].token != token)) at = entries[at].next;
    return at;
  }

  void remove(std::uint32_t at) noexcept {
    Entry& entry = entries[at];
    std::uint32_t* link = &bucket(entry.hash);
    while (*link != at) link = &entries[*link].next;
    *link = entry.next;
    bytes_used -= entry.bytes;
    entry = Entry{};
    free.push_back(at);  // its room was reserved when the entry was made
  }

  // One entry goes: the first that nobody asked for since the hand last passed. Two rounds suffice.
  void evict_one() noexcept {
    for (;;) {
      hand = hand + 1 >= entries.size() ? 0 : hand + 1;
      Entry& entry = entries[hand];
      if (!entry.identity) continue;
      if (!entry.is_referenced) return remove(static_cast<std::uint32_t>(hand));
      entry.is_referenced = false;
    }
  }

  [[nodiscard]] std::size_t used() const noexcept { return entries.size() - free.size(); }

  std::uint32_t take_free_entry() {
    if (free.empty()) {
      if (free.capacity() <= entries.size()) free.reserve(2 * entries.size() + 1);  // so that remove() never allocates
      entries.emplace_back();
      return static_cast<std::uint32_t>(entries.size() - 1);
    }
    const std::uint32_t at = free.back();
    free.pop_back();
    return at;
  }

  const std::size_t entries_max;
  const std::size_t bytes_max;
  const TokenHash hash_of;
  std::vector<std::uint32_t> buckets;
  std::vector<Entry> entries;
  std::vector<std::uint32_t> free;
  std::size_t hand = 0;
  std::size_t bytes_used = 0;
};

VerifiedTokenCache::VerifiedTokenCache(std::size_t entries_max, std::size_t bytes_max)
    : impl_(std::make_unique<Impl>(entries_max, bytes_max)) {}
VerifiedTokenCache::~VerifiedTokenCache() = default;

VerifiedTokenCache::Hit VerifiedTokenCache::find(std::string_view token, WallTime now) {
  const std::uint32_t at = impl_->look_up(impl_->hash_of(token), token);
  if (at != kNone) {
    Entry& entry = impl_->entries[at];
    if (now >= entry.verified_at && now < entry.identity->facts().expires_at) {
      entry.is_referenced = true;
      ++hits_;
      return {entry.identity, entry.issuer.get()};
    }
    impl_->remove(at);
  }
  ++misses_;
  return {nullptr, nullptr};
}

void VerifiedTokenCache::insert(std::string_view token, IssuerPtr issuer, identity::IdentityPtr identity, WallTime now) {
  const std::uint64_t hash = impl_->hash_of(token);
  if (const std::uint32_t old = impl_->look_up(hash, token); old != kNone) impl_->remove(old);
  const std::size_t bytes = sizeof(Entry) + token.size() + bytes_of(*identity);
  if (bytes > impl_->bytes_max || impl_->entries_max == 0) return;
  while (impl_->used() >= impl_->entries_max || impl_->bytes_used + bytes > impl_->bytes_max) impl_->evict_one();
  std::string copy(token);  // before anything changes: it may throw
  const std::uint32_t at = impl_->take_free_entry();
  impl_->entries[at] = Entry{hash, std::move(copy), std::move(issuer), std::move(identity), now, bytes, impl_->bucket(hash), false};
  impl_->bucket(hash) = at;
  impl_->bytes_used += bytes;
}

void VerifiedTokenCache::clear() {
  std::fill(impl_->buckets.begin(), impl_->buckets.end(), kNone);
  impl_->entries.clear();
  impl_->free.clear();
  impl_->hand = 0;
  impl_->bytes_used = 0;
}

std::size_t VerifiedTokenCache::entries() const noexcept { return impl_->used(); }
std::size_t VerifiedTokenCache::bytes() const noexcept { return impl_->bytes_used; }

}  // namespace sallyport::authenticate
