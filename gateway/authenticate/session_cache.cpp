#include "authenticate/session_cache.hpp"

#include "base/prefetch.hpp"

namespace sallyport::authenticate {

SessionCache::SessionCache(std::size_t entries_max, std::size_t bytes_max) : sessions_(entries_max, bytes_max) {}

CachedSession* SessionCache::find(SessionKind kind, std::string_view cookie) noexcept {
  const Place at = sessions_.find(cookie);
  // The value of one cookie under the name of the other is no credential.
  if (at == kNone || sessions_[at].kind != kind) return nullptr;
  sessions_.use(at);
  // Of one in a thousand it is far away, and seldom asked for before the request is judged.
  sallyport::prefetch(sessions_[at].identity.get());
  return &sessions_[at];
}

CachedSession* SessionCache::find(SessionKind kind, const store::Digest& key) noexcept {
  const Place at = place_of(kind, key);
  if (at == kNone) return nullptr;
  sessions_.use(at);
  return &sessions_[at];
}

CachedSession* SessionCache::peek(SessionKind kind, const store::Digest& key) noexcept {
  const Place at = place_of(kind, key);
  return at == kNone ? nullptr : &sessions_[at];
}

SessionCache::Place SessionCache::place_of(SessionKind kind, const store::Digest& key) const noexcept {
  return place_of(hash_of_(key), kind, key);
}

SessionCache::Place SessionCache::place_of(std::uint64_t hash, SessionKind kind, const store::Digest& key) const noexcept {
  return keys_.find(hash, [&](Place at) { return sessions_[at].kind == kind && sessions_[at].key == key; });
}

CachedSession* SessionCache::insert(std::string_view cookie, CachedSession&& session) {
  const std::uint64_t hash = hash_of_(session.key);
  if (const Place old = place_of(hash, session.kind, session.key); old != kNone) remove(old);
  keys_.make_room(sessions_.size() + 1);  // places are given out from the first on
  const Place at = sessions_.insert(cookie, std::move(session), [this](Place dropped) { keys_.unlink(dropped); });
  if (at == kNone) return nullptr;
  keys_.link(hash, at);
  return &sessions_[at];
}

void SessionCache::remove(Place at) noexcept {
  keys_.unlink(at);
  sessions_.remove(at);
}

bool SessionCache::forget(SessionKind kind, const store::Digest& key) noexcept {
  const Place at = place_of(kind, key);
  if (at == kNone) return false;
  remove(at);
  return true;
}

void SessionCache::clear() {
  sessions_.clear();
  keys_.clear();
}

std::size_t SessionCache::size_of(std::uint64_t epoch) const noexcept {
  std::size_t count = 0;
  sessions_.each([&](const CachedSession& session) { count += session.epoch == epoch ? 1 : 0; });
  return count;
}

}  // namespace sallyport::authenticate
