#include "authenticate/verified_token_cache.hpp"

#include "authenticate/clock_map.hpp"
#include "base/prefetch.hpp"

namespace sallyport::authenticate {
namespace {

struct Entry {
  IssuerPtr issuer;
  identity::IdentityPtr identity;
  WallTime verified_at;
  std::uint64_t revocations_seen = 0;
  std::uint64_t keys_generation = 0;
};

}  // namespace

struct VerifiedTokenCache::Impl {
  Impl(std::size_t entries_max, std::size_t bytes_max) : tokens(entries_max, bytes_max) {}
  ClockMap<Entry> tokens;
};

VerifiedTokenCache::VerifiedTokenCache(std::size_t entries_max, std::size_t bytes_max)
    : impl_(std::make_unique<Impl>(entries_max, bytes_max)) {}
VerifiedTokenCache::~VerifiedTokenCache() = default;

VerifiedTokenCache::Hit VerifiedTokenCache::find(std::string_view token, WallTime now) {
  auto& tokens = impl_->tokens;
  const auto at = tokens.find(token);
  if (at != tokens.kNone) {
    Entry& entry = tokens[at];
    prefetch(entry.identity.get());
    if (now >= entry.verified_at && now < entry.identity->facts().expires_at) {
      tokens.use(at);
      ++hits_;
      return {entry.identity, entry.issuer.get(), &entry.revocations_seen, entry.keys_generation};
    }
    tokens.remove(at);
  }
  ++misses_;
  return {};
}

void VerifiedTokenCache::insert(std::string_view token, IssuerPtr issuer, identity::IdentityPtr identity, WallTime now,
                                std::uint64_t revocations_seen, std::uint64_t keys_generation) {
  impl_->tokens.insert(token, Entry{std::move(issuer), std::move(identity), now, revocations_seen, keys_generation}, [](auto) {});
}

void VerifiedTokenCache::clear() { impl_->tokens.clear(); }
std::size_t VerifiedTokenCache::entries() const noexcept { return impl_->tokens.size(); }
std::size_t VerifiedTokenCache::bytes() const noexcept { return impl_->tokens.bytes(); }

}  // namespace sallyport::authenticate
