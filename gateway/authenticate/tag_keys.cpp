#include "authenticate/tag_keys.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <stdexcept>

#include "base/text.hpp"

namespace sallyport::authenticate {
namespace {

constexpr std::size_t kSecretBytesMin = 32;
constexpr std::size_t kSessionBytes = 32;
constexpr std::size_t kFamilyBytes = 24;
constexpr std::size_t kGenerationBytes = 8;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kBodyBytes = 32;  // of both kinds: what the tag is over
static_assert(kSessionBytes == kBodyBytes && kFamilyBytes + kGenerationBytes == kBodyBytes);
static_assert((kBodyBytes + kTagBytes) % 3 == 0 && (kBodyBytes + kTagBytes) / 3 * 4 == kTaggedIdChars);
constexpr std::size_t kTokenIdBytes = 16;

std::string_view as_text(const Sha256& digest) noexcept { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  fill_random({reinterpret_cast<unsigned char*>(bytes.data()), bytes.size()});
  return bytes;
}

// Big-endian.
std::string bytes_of(std::uint64_t number) {
  std::string bytes(kGenerationBytes, '\0');
  for (std::size_t i = 0; i < kGenerationBytes; ++i) bytes[kGenerationBytes - 1 - i] = static_cast<char>(number >> (8 * i) & 0xFF);
  return bytes;
}

std::uint64_t number_of(std::string_view bytes) noexcept {
  std::uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

// A refresh token's body.
std::string body_of(std::string_view family_id, std::uint64_t generation) {
  if (family_id.size() != kFamilyBytes || generation == 0) throw std::invalid_argument("no family id, or no generation");
  return std::string(family_id) + bytes_of(generation);
}

HmacKey derive(const Secret& secret, std::string_view label) {
  const Sha256 key = hmac_sha256(secret, label);
  return HmacKey(Secret(std::string(as_text(key))));
}

// What one secret makes and opens.
struct Keys {
  explicit Keys(const Secret& secret)
      : session(derive(secret, "sallyport session id")),
        refresh(derive(secret, "sallyport refresh token")),
        token_id(derive(secret, "sallyport token id")),
        csrf(derive(secret, "sallyport csrf token")) {}

  HmacKey session;
  HmacKey refresh;
  HmacKey token_id;
  HmacKey csrf;
};

using Tag = std::array<char, kTagBytes>;

Tag tag_of(const HmacKey& key, std::string_view body) {
  const Sha256 digest = key.tag(body);
  Tag tag;
  std::copy_n(as_text(digest).begin(), tag.size(), tag.begin());
  return tag;
}

}  // namespace

struct TagKeys::Impl {
  // The body of a text whose tag one of the keys made.
  [[nodiscard]] std::optional<std::string> open(std::string_view text, HmacKey Keys::* kind) const {
    std::string bytes;
    if (text.size() != kTaggedIdChars || !base64url_decode(text, bytes)) return std::nullopt;
    const std::string_view tag = std::string_view(bytes).substr(kBodyBytes);
    const std::string_view body = std::string_view(bytes).substr(0, kBodyBytes);
    const auto made_it = [&](const Keys& candidate) {
      const Tag made = tag_of(candidate.*kind, body);
      return equal_in_constant_time({made.data(), made.size()}, tag);
    };
    if (std::none_of(keys.begin(), keys.end(), made_it)) return std::nullopt;
    bytes.resize(kBodyBytes);
    return bytes;
  }

  [[nodiscard]] std::string seal(std::string body, HmacKey Keys::* kind) const {
    const Tag tag = tag_of(keys.front().*kind, body);
    body.append(tag.data(), tag.size());
    return base64url_encode(body);
  }

  std::vector<Keys> keys;
};

TagKeys::TagKeys(std::vector<Secret> secrets) {
  if (secrets.empty()) throw std::invalid_argument("tag keys of no secret");
  auto impl = std::make_unique<Impl>();
  for (const Secret& secret : secrets) {
    if (secret.size() < kSecretBytesMin) throw std::invalid_argument("a secret for tags has 32 bytes or more");
    impl->keys.emplace_back(secret);
  }
  impl_ = std::move(impl);
}
TagKeys::~TagKeys() = default;

TagKeys::NewSessionId TagKeys::make_session_id() const {
  std::string id = random_bytes(kSessionBytes);
  const store::Digest key = sha256(id);
  return {impl_->seal(std::move(id), &Keys::session), key};
}

std::optional<SessionId> TagKeys::open_session_id(std::string_view text) const {
  const std::optional<std::string> id = impl_->open(text, &Keys::session);
  if (!id) return std::nullopt;
  return SessionId{sha256(*id)};
}

std::string TagKeys::make_family_id() const { return random_bytes(kFamilyBytes); }

std::string TagKeys::refresh_token(std::string_view family_id, std::uint64_t generation) const {
  return impl_->seal(body_of(family_id, generation), &Keys::refresh);
}

std::optional<RefreshToken> TagKeys::open_refresh_token(std::string_view text) const {
  const std::optional<std::string> body = impl_->open(text, &Keys::refresh);
  if (!body) return std::nullopt;
  const std::string_view bytes = *body;
  const std::string_view family_id = bytes.substr(0, kFamilyBytes);
  return RefreshToken{std::string(family_id), sha256(family_id), number_of(bytes.substr(kFamilyBytes))};
}

std::string TagKeys::token_id(std::string_view family_id, std::uint64_t generation) const {
  const Sha256 digest = impl_->keys.front().token_id.tag(body_of(family_id, generation));
  return base64url_encode(as_text(digest).substr(0, kTokenIdBytes));
}

std::string TagKeys::csrf_token(std::string_view binding) const {
  if (binding.empty()) throw std::invalid_argument("a CSRF token is bound to somebody");
  return base64url_encode(as_text(impl_->keys.front().csrf.tag(binding)));
}

bool TagKeys::is_csrf_token(std::string_view text, std::string_view binding) const {
  if (binding.empty()) return false;
  return std::any_of(impl_->keys.begin(), impl_->keys.end(), [&](const Keys& candidate) {
    return equal_in_constant_time(base64url_encode(as_text(candidate.csrf.tag(binding))), text);
  });
}

}  // namespace sallyport::authenticate
