#include "base/result.hpp"

#include <stdexcept>

namespace sallyport {

std::string_view name(Fault fault) noexcept {
  switch (fault) {
    case Fault::malformed: return "malformed";
    case Fault::too_large: return "too_large";
    case Fault::unsupported: return "unsupported";
    case Fault::mismatch: return "mismatch";
    case Fault::not_found: return "not_found";
    case Fault::unavailable: return "unavailable";
    case Fault::timed_out: return "timed_out";
    case Fault::closed: return "closed";
    case Fault::broken: return "broken";
    case Fault::internal: return "internal";
  }
  return "unknown";
}

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
  throw std::logic_error(std::string(name(error.fault)) + ": " + error.detail + " (value() of an error at " + where.file_name() + ":" +
                         std::to_string(where.line()) + ")");
}

}  // namespace sallyport
