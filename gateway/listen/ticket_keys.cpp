#include "listen/ticket_keys.hpp"

#include <openssl/ssl.h>

#include <algorithm>

#include "base/secret.hpp"

namespace sallyport::listen {

TicketKey::~TicketKey() {
  OPENSSL_cleanse(encryption.data(), encryption.size());
  OPENSSL_cleanse(authentication.data(), authentication.size());
}

void TicketKeyRing::rotate() {
  const MonotonicTime now = clock_.monotonic_now();
  std::erase_if(keys_, [now](const TicketKey& key) { return now - key.made_at >= kRotation * static_cast<int>(kKept); });
  if (!keys_.empty() && now - keys_.front().made_at < kRotation) return;
  TicketKey key;
  fill_random(key.name);
  fill_random(key.encryption);
  fill_random(key.authentication);
  key.made_at = now;
  keys_.insert(keys_.begin(), key);
  if (keys_.size() > kKept) keys_.pop_back();
}

TicketKey TicketKeyRing::newest() {
  const std::lock_guard lock(mutex_);
  rotate();
  return keys_.front();
}

std::optional<TicketKeyRing::Found> TicketKeyRing::find(std::span<const unsigned char, 16> name) {
  const std::lock_guard lock(mutex_);
  rotate();
  const auto found = std::ranges::find_if(keys_, [name](const TicketKey& key) { return std::ranges::equal(key.name, name); });
  if (found == keys_.end()) return std::nullopt;
  return Found{*found, found == keys_.begin()};
}

}  // namespace sallyport::listen
