#include "base/secret.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

namespace sallyport {
namespace {

// The capacity and not only the size: a string keeps what it held before.
void wipe(std::string& bytes) noexcept {
  OPENSSL_cleanse(bytes.data(), bytes.capacity());
  bytes.clear();
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int value) : value_(value) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (value_ >= 0) ::close(value_);
  }
  [[nodiscard]] int get() const noexcept { return value_; }

 private:
  int value_;
};

// OpenSSL's functions for SHA-256 alone. They are marked as old, and are what EVP calls in the end; EVP takes as long again for a session
// id, and a state that was prepared cannot be copied there without an allocation.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

class Sha256State {
 public:
  Sha256State() noexcept { SHA256_Init(&state_); }
  Sha256State& take(std::span<const unsigned char> bytes) noexcept {
    SHA256_Update(&state_, bytes.data(), bytes.size());
    return *this;
  }
  // No more of it is of use then.
  [[nodiscard]] Sha256 digest() noexcept {
    Sha256 digest;
    SHA256_Final(digest.data(), &state_);
    return digest;
  }
  void wipe() noexcept { OPENSSL_cleanse(&state_, sizeof state_); }

 private:
  SHA256_CTX state_;
};

#pragma GCC diagnostic pop

std::span<const unsigned char> as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

Error file_error(const std::string& path, int number) {
  const Fault fault = number == ENOENT || number == ENOTDIR ? Fault::not_found : Fault::unavailable;
  return make_error(fault, path + ": " + std::strerror(number));
}

}  // namespace

Secret::Secret(std::string bytes) : bytes_(std::move(bytes)) { wipe(bytes); }

Secret::Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) {
  wipe(other.bytes_);  // a short string is copied, not moved
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  wipe(bytes_);
  bytes_.swap(other.bytes_);
  wipe(other.bytes_);
  return *this;
}

Secret::~Secret() { wipe(bytes_); }

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void fill_random(std::span<unsigned char> out) {
  // RAND_bytes counts in int.
  constexpr std::size_t kPieceMax = 1 << 20;
  while (!out.empty()) {
    const std::size_t piece = std::min(out.size(), kPieceMax);
    if (RAND_bytes(out.data(), static_cast<int>(piece)) != 1) throw std::runtime_error("no random bytes from the operating system");
    out = out.subspan(piece);
  }
}

std::uint64_t random_u64() {
  std::array<unsigned char, sizeof(std::uint64_t)> bytes{};
  fill_random(bytes);
  std::uint64_t number = 0;
  std::memcpy(&number, bytes.data(), bytes.size());
  return number;
}

Sha256 sha256(std::string_view bytes) noexcept { return Sha256State().take(as_bytes(bytes)).digest(); }

// What is left to do of RFC 2104 when the key has gone in.
struct HmacKey::States {
  Sha256State inner;
  Sha256State outer;
};

HmacKey::HmacKey(const Secret& key) {
  if (key.empty()) throw std::invalid_argument("an HMAC needs a key");
  constexpr std::size_t kBlockBytes = 64;
  constexpr unsigned char kInnerPad = 0x36;
  constexpr unsigned char kOuterPad = 0x5C;
  std::array<unsigned char, kBlockBytes> block{};
  states_ = std::make_unique<States>();  // first: whatever throws leaves no key behind
  const std::span<const unsigned char> secret = key.reveal();
  if (secret.size() > block.size()) {
    Sha256State long_key;
    Sha256 digest = long_key.take(secret).digest();
    std::ranges::copy(digest, block.begin());
    OPENSSL_cleanse(digest.data(), digest.size());
    long_key.wipe();
  } else {
    std::ranges::copy(secret, block.begin());
  }
  for (unsigned char& byte : block) byte ^= kInnerPad;
  states_->inner.take(block);
  for (unsigned char& byte : block) byte ^= kInnerPad ^ kOuterPad;
  states_->outer.take(block);
  OPENSSL_cleanse(block.data(), block.size());
}

HmacKey::HmacKey(HmacKey&&) noexcept = default;

HmacKey::~HmacKey() {
  if (!states_) return;
  states_->inner.wipe();
  states_->outer.wipe();
}

Sha256 HmacKey::tag(std::string_view bytes) const noexcept {
  const Sha256 inner = Sha256State(states_->inner).take(as_bytes(bytes)).digest();
  return Sha256State(states_->outer).take(inner).digest();
}

Sha256 hmac_sha256(const Secret& key, std::string_view bytes) { return HmacKey(key).tag(bytes); }

Result<Secret> read_secret_file(const std::string& path, std::size_t bytes_max) {
  if (path.find('\0') != std::string::npos) return make_error(Fault::not_found, "a file name cannot hold NUL");
  // Without O_NONBLOCK the opening of a FIFO would wait for a writer.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return file_error(path, errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return file_error(path, errno);
  if (!S_ISREG(status.st_mode)) return make_error(Fault::unavailable, path + ": not a regular file");

  // Two more bytes than allowed: one for the newline that does not count, one to see that there is too much.
  // Never resized upwards after this, so that no half-read copy stays behind in freed memory.
  std::string bytes(bytes_max + 2, '\0');
  struct Wiper {
    std::string& target;
    ~Wiper() { wipe(target); }
  } wiper{bytes};
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t count = ::read(file.get(), bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error(path, errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > 0 && bytes[size - 1] == '\n') --size;
  if (size == 0) return make_error(Fault::malformed, path + ": empty");
  if (size > bytes_max) return make_error(Fault::too_large, path + ": larger than " + std::to_string(bytes_max) + " bytes");
  return Secret(std::string(bytes.data(), size));
}

}  // namespace sallyport
