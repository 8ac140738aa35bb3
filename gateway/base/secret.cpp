#include "base/secret.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

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

// EVP_Q_mac looks both algorithms up by name and allocates on every call, which is two thirds of its time: done once for each thread.
using MacContext = std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)>;
MacContext make_hmac_sha256() {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> algorithm(EVP_MAC_fetch(nullptr, "HMAC", nullptr), &EVP_MAC_free);
  MacContext context(algorithm ? EVP_MAC_CTX_new(algorithm.get()) : nullptr, &EVP_MAC_CTX_free);  // holds on to the algorithm
  char digest[] = "SHA256";
  const OSSL_PARAM settings[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
  if (!context || EVP_MAC_CTX_set_params(context.get(), settings) != 1) context.reset();
  return context;
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

Sha256 sha256(std::string_view bytes) {
  // OpenSSL's SHA256() looks the algorithm up by name and allocates on every call; both are done once here.
  using Algorithm = std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)>;
  using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
  static const Algorithm algorithm(EVP_MD_fetch(nullptr, "SHA256", nullptr), &EVP_MD_free);
  thread_local const Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  Sha256 digest{};
  if (!algorithm || !context || EVP_DigestInit_ex2(context.get(), algorithm.get(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) != 1 || EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL has no SHA-256");
  }
  return digest;
}

Sha256 hmac_sha256(const Secret& key, std::string_view bytes) {
  if (key.empty()) throw std::invalid_argument("an HMAC needs a key");
  thread_local const MacContext context = make_hmac_sha256();
  Sha256 tag;
  std::size_t size = 0;
  const std::span<const unsigned char> secret = key.reveal();
  if (!context || EVP_MAC_init(context.get(), secret.data(), secret.size(), nullptr) != 1 ||
      EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) != 1 ||
      EVP_MAC_final(context.get(), tag.data(), &size, tag.size()) != 1 || size != tag.size()) {
    throw std::runtime_error("HMAC-SHA256 failed");
  }
  return tag;
}

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
