// The request target, canonicalised once (DESIGN §3.5 "Path"; RFC 3986 §6.2.2, RFC 9112 §3.2; hazards J).
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sallyport::http {

enum class TargetForm : unsigned char { origin, absolute, asterisk };

// Views are into the connection's buffer, or into `storage` where decoding changed something. Not copyable for that reason.
class Target {
 public:
  Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  Target(Target&&) = default;
  Target& operator=(Target&&) = default;

  // Fault::malformed with the reason. `text` must stay where it is while *this is used. On success path() is canonical:
  // begins with '/', no empty or dot segments in any spelling (`..;x` and overlong UTF-8 included), no %2F %5C %00-%1F %7F,
  // unreserved bytes decoded, hex upper case. Of the asterisk form it is "*".
  // Applying it to its own result changes nothing.
  [[nodiscard]] Result<void> assign(std::string_view text);

  // Back to an empty origin form; the storage keeps its capacity. What assign() leaves behind when it refuses.
  void clear() noexcept;

  [[nodiscard]] TargetForm form() const noexcept { return form_; }
  [[nodiscard]] std::string_view path() const noexcept { return path_in_storage_ ? std::string_view(storage_) : path_; }
  // Without '?'; has_query() tells "/a?" from "/a". Printable ASCII without '#'; otherwise as it came.
  [[nodiscard]] std::string_view query() const noexcept { return query_; }
  [[nodiscard]] bool has_query() const noexcept { return has_query_; }
  // Absolute form: what stood between "http://" (or "https://") and the path, to be compared with Host.
  [[nodiscard]] std::string_view authority() const noexcept { return authority_; }

 private:
  std::string_view path_;
  std::string storage_;  // capacity is reused from request to request
  bool path_in_storage_ = false;
  std::string_view query_;
  bool has_query_ = false;
  std::string_view authority_;
  TargetForm form_ = TargetForm::origin;
};

}  // namespace sallyport::http
