#include "http/client_address.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::http {
namespace {

constexpr std::string_view kForwardedFor = "X-Forwarded-For";
constexpr std::size_t kPortDigitsMax = 5;

bool is_port(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kPortDigitsMax && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "address", "v4:port", "[v6]" or "[v6]:port".
std::optional<IpAddress> parse_hop(std::string_view text) noexcept {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return std::nullopt;
    const std::string_view inside = text.substr(1, end - 1);
    return inside.find(':') == std::string_view::npos ? std::nullopt : IpAddress::parse(inside);
  }
  const std::size_t colon = text.find(':');
  const bool has_port = colon != std::string_view::npos && colon == text.rfind(':');
  if (!has_port) return IpAddress::parse(text);
  if (!is_port(text.substr(colon + 1))) return std::nullopt;
  return IpAddress::parse(text.substr(0, colon));
}

// Walks the elements of all fields of a name from the right.
class ElementsFromTheRight {
 public:
  ElementsFromTheRight(const std::vector<Field>& fields, std::string_view name) : fields_(fields), name_(name), left_(fields.size()) {}

  [[nodiscard]] std::optional<std::string_view> next() noexcept {
    while (!rest_) {
      if (left_ == 0) return std::nullopt;
      const Field& field = fields_[--left_];
      if (equals_ignoring_case(field.name, name_)) rest_ = field.value;
    }
    const std::size_t comma = rest_->rfind(',');
    const std::string_view element = comma == std::string_view::npos ? *rest_ : rest_->substr(comma + 1);
    if (comma == std::string_view::npos) {
      rest_.reset();
    } else {
      rest_ = rest_->substr(0, comma);
    }
    return trim_ows(element);
  }

 private:
  const std::vector<Field>& fields_;
  std::string_view name_;
  std::size_t left_;                      // fields not looked at yet
  std::optional<std::string_view> rest_;  // of the field at hand
};

bool is_request_id_byte(char c) noexcept {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return std::string_view("-_.~:/+=@").find(c) != std::string_view::npos;
}

}  // namespace

ClientAddress client_address(const Peer& peer, const RequestHead& request) noexcept {
  if (peer.trusted_proxies == nullptr) return ClientAddress(peer.address);
  ElementsFromTheRight elements(request.fields, kForwardedFor);
  std::optional<IpAddress> client;
  for (std::size_t hops = 0; hops < kForwardedHopsMax; ++hops) {
    const std::optional<std::string_view> element = elements.next();
    if (!element) break;
    const std::optional<IpAddress> address = parse_hop(*element);
    if (!address) break;
    client = address;
    if (!peer.trusted_proxies->contains(*address)) break;
  }
  return client ? ClientAddress(*client) : ClientAddress(peer.address);
}

std::optional<std::string_view> forwarded_request_id(const Peer& peer, const RequestHead& request) noexcept {
  if (peer.trusted_proxies == nullptr) return std::nullopt;
  const Field* field = request.find(FieldId::x_request_id);
  if (field == nullptr || request.count(FieldId::x_request_id) != 1) return std::nullopt;
  const std::string_view id = field->value;
  if (id.empty() || id.size() > kRequestIdBytesMax || !std::ranges::all_of(id, is_request_id_byte)) return std::nullopt;
  return id;
}

}  // namespace sallyport::http
