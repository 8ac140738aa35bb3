#include "authenticate/key_cache.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "authenticate/keys.hpp"
#include "base/json.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"

namespace sallyport::authenticate {
namespace {

constexpr std::size_t kFirstLineBytesMax = 8 * 1024;

Error unavailable(std::string_view what) {
  return make_error(Fault::unavailable, std::string(what) + ": " + std::generic_category().message(errno));
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class Descriptor {
 public:
  explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string digest_of(std::string_view jwks) {
  const Sha256 digest = sha256(jwks);
  return base64url_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

const std::string* text_member(const Json& header, std::string_view name) {
  const Json* member = header.find(name);
  return member == nullptr ? nullptr : member->string();
}

}  // namespace

Result<CachedKeys> read_cached_keys(const std::string& path, std::string_view url) {
  const Result<Secret> content = read_secret_file(path, kFirstLineBytesMax + KeySet::kBytesMax);
  if (!content) return content.error();
  const std::string_view text(reinterpret_cast<const char*>(content->reveal().data()), content->size());
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) return make_error(Fault::malformed, "the file is no key cache");
  const Result<Json> header = Json::parse(text.substr(0, line), {.bytes_max = kFirstLineBytesMax});
  if (!header) return make_error(Fault::malformed, "the file is no key cache");
  const std::string* served_by = text_member(*header, "url");
  const std::string* digest = text_member(*header, "sha256");
  const Json* time = header->find("fetched_at");
  const auto* seconds = time == nullptr ? nullptr : std::get_if<std::int64_t>(&time->value());
  // Later than the year 2262 does not fit the clock.
  if (served_by == nullptr || digest == nullptr || seconds == nullptr || *seconds < 0 || *seconds > 9'000'000'000) {
    return make_error(Fault::malformed, "the file is no key cache");
  }
  if (*served_by != url) return make_error(Fault::mismatch, "the file holds what another URL served");
  CachedKeys keys{std::string(text.substr(line + 1)), WallTime(std::chrono::seconds(*seconds))};
  // read_secret_file() drops one newline at the end, which the set may have had.
  if (*digest != digest_of(keys.jwks)) keys.jwks += '\n';
  if (*digest != digest_of(keys.jwks)) return make_error(Fault::malformed, "the file is damaged");
  return keys;
}

Result<void> write_cached_keys(const std::string& path, std::string_view url, const CachedKeys& keys) {
  std::string content = "{\"url\":";
  append_json_string(content, url);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(keys.fetched_at.time_since_epoch()).count();
  content += ",\"fetched_at\":" + std::to_string(seconds) + ",\"sha256\":\"" + digest_of(keys.jwks) + "\"}\n";
  content += keys.jwks;

  const std::string folder = folder_of(path);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return unavailable("making its folder");
  std::string temporary = path + ".XXXXXX";
  {
    const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
    if (file.get() < 0) return unavailable("creating a file");
    if (!write_all(file.get(), content) || ::fsync(file.get()) != 0) {
      const Error error = unavailable("writing");
      ::unlink(temporary.c_str());
      return error;
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const Error error = unavailable("renaming");
    ::unlink(temporary.c_str());
    return error;
  }
  // Best effort: the file is whole either way; only which of the two survives a power failure is open.
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) static_cast<void>(::fsync(directory.get()));
  return {};
}

}  // namespace sallyport::authenticate
