#include "pipeline/route_rules.hpp"

namespace sallyport::pipeline {

bool admits(const RouteRules& rules, std::string_view address) noexcept {
  if (rules.allow.empty() && rules.deny.empty()) return true;
  const auto parsed = IpAddress::parse(address);
  if (!parsed) return false;
  if (contains(rules.deny, *parsed)) return false;
  return rules.allow.empty() || contains(rules.allow, *parsed);
}

}  // namespace sallyport::pipeline
