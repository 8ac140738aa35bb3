// The field names that only the gateway may set (DESIGN §3.1, §3.5; hazards I).
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace sallyport::identity {

// A name folded: lower case, with '_' and '.' read as '-'. Upstreams that follow CGI cannot tell names apart that fold alike.
[[nodiscard]] std::string fold_name(std::string_view name);

// Every name that is removed from requests on every route. Built once per configuration; immutable.
class OwnedNames {
 public:
  // `identity_headers`: every identity header of every route, in any case.
  explicit OwnedNames(const std::vector<std::string>& identity_headers);

  // Whether a field of that name must not come from a client. True for each alias of a name that we own, and for anything that folds to a
  // framing or hop-by-hop field's name (`Content_Length`). No allocation.
  [[nodiscard]] bool owns(std::string_view name) const noexcept;

  // Whether `name` may be configured as an identity header: not one of the reserved ones (X-Forwarded-*, Host, Cookie, framing, …).
  [[nodiscard]] static bool is_reserved(std::string_view name);

 private:
  // Filled by the implementation: a small open-addressing table over a hash of the folded name.
  struct Slot {
    std::string folded;
  };
  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
};

}  // namespace sallyport::identity
