#include "authenticate/session_cache.hpp"

#include "authenticate/identity_bytes.hpp"

namespace sallyport::authenticate {

SessionCache::SessionCache(std::size_t entries_max, std::size_t bytes_max)
    : sessions_(entries_max, bytes_max), keys_(std::bit_ceil(std::max<std::size_t>(sessions_.entries_max(), 1)), kNone) {}

std::size_t SessionCache::slot(const store::Digest& key) const noexcept {
  return hash_of_({reinterpret_cast<const char*>(key.data()), key.size()}) & (keys_.size() - 1);
}

CachedSession* SessionCache::find(SessionKind kind, std::string_view cookie) noexcept {
  const Place at = sessions_.find(cookie);
  // The value of one cookie under the name of the other is no credential.
  if (at == kNone || sessions_[at].session.kind != kind) return nullptr;
  sessions_.use(at);
  return &sessions_[at].session;
}

CachedSession* SessionCache::find(SessionKind kind, const store::Digest& key) noexcept {
  const Place at = place_of(kind, key);
  if (at == kNone) return nullptr;
  sessions_.use(at);
  return &sessions_[at].session;
}

SessionCache::Place SessionCache::place_of(SessionKind kind, const store::Digest& key) const noexcept {
  Place at = keys_[slot(key)];
  while (at != kNone && (sessions_[at].session.kind != kind || sessions_[at].session.key != key)) at = sessions_[at].next;
  return at;
}

void SessionCache::insert(std::string_view cookie, CachedSession session) {
  forget(session.kind, session.key);
  if (const Place old = sessions_.find(cookie); old != kNone) remove(old);
  const std::size_t chain = slot(session.key);
  const std::size_t bytes = bytes_of(*session.identity);
  const Place at = sessions_.insert(cookie, Linked{std::move(session), kNone}, bytes, [this](Place dropped) { unlink(dropped); });
  if (at == kNone) return;
  sessions_[at].next = keys_[chain];
  keys_[chain] = at;
}

void SessionCache::unlink(Place at) noexcept {
  Place* link = &keys_[slot(sessions_[at].session.key)];
  while (*link != at) link = &sessions_[*link].next;
  *link = sessions_[at].next;
}

void SessionCache::remove(Place at) noexcept {
  unlink(at);
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
  std::fill(keys_.begin(), keys_.end(), kNone);
}

std::size_t SessionCache::size_of(std::uint64_t epoch) const noexcept {
  std::size_t count = 0;
  for (const Place chain : keys_) {
    for (Place at = chain; at != kNone; at = sessions_[at].next) count += sessions_[at].session.epoch == epoch ? 1 : 0;
  }
  return count;
}

}  // namespace sallyport::authenticate
