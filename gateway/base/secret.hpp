// Secrets, randomness and the few primitives of OpenSSL that every folder may use.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sallyport {

// Bytes that must not be seen: no operator<<, no formatter, wiped when destroyed. Move-only.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string bytes);  // move into it: a copy that the caller keeps is the caller's to wipe
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  // For the one call that needs the bytes. Valid while *this lives.
  [[nodiscard]] std::span<const unsigned char> reveal() const noexcept {
    return {reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size()};
  }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }

 private:
  std::string bytes_;
};

[[nodiscard]] inline std::string_view text_of(const Secret& secret) noexcept {
  return {reinterpret_cast<const char*>(secret.reveal().data()), secret.size()};
}

// Whether a and b hold the same bytes, in time that depends on the lengths alone.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

// From the operating system's generator by OpenSSL; throws std::runtime_error when there is none.
void fill_random(std::span<unsigned char> out);
[[nodiscard]] std::uint64_t random_u64();

using Sha256 = std::array<unsigned char, 32>;
[[nodiscard]] Sha256 sha256(std::string_view bytes) noexcept;

// A key made ready to authenticate with, by HMAC-SHA-256 (RFC 2104). Wiped when destroyed. Safe from every thread.
class HmacKey {
 public:
  // Throws std::invalid_argument for an empty key: everybody knows that one.
  explicit HmacKey(const Secret& key);
  HmacKey(HmacKey&&) noexcept;
  ~HmacKey();

  [[nodiscard]] Sha256 tag(std::string_view bytes) const noexcept;

 private:
  struct States;
  std::unique_ptr<States> states_;
};
// The same with a key that is used once.
[[nodiscard]] Sha256 hmac_sha256(const Secret& key, std::string_view bytes);

// Reads a secret file (DESIGN §3.5): raw bytes, one trailing newline removed, at most `bytes_max`.
// Fault::not_found, unavailable (unreadable, a directory), too_large, malformed (empty).
[[nodiscard]] Result<Secret> read_secret_file(const std::string& path, std::size_t bytes_max = 64 * 1024);

}  // namespace sallyport
